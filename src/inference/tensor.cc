#include "inference/tensor.h"

namespace verge::inference {

std::size_t bytes_of(DataType type) {
  switch (type) {
    case DataType::float32:
    case DataType::int32:
      return 4;
    case DataType::float16:
      return 2;
    case DataType::uint8:
    case DataType::int8:
    case DataType::boolean:
      return 1;
    case DataType::int64:
      return 8;
  }
  return 0;
}

std::string_view name_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return "float32";
    case DataType::float16:
      return "float16";
    case DataType::uint8:
      return "uint8";
    case DataType::int8:
      return "int8";
    case DataType::int32:
      return "int32";
    case DataType::int64:
      return "int64";
    case DataType::boolean:
      return "boolean";
  }
  return "unknown";
}

std::string to_text(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    if (text.size() > 1) text += ',';
    text += size < 0 ? "?" : std::to_string(size);
  }
  return text + "]";
}

std::size_t element_count(const Shape& shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) {
    VERGE_ASSERT(size >= 0);
    count *= static_cast<std::size_t>(size);
  }
  return count;
}

Tensor::Tensor(DataType type, Shape shape) : type_(type), shape_(std::move(shape)) {
  bytes_.resize((byte_count() + sizeof(Line) - 1) / sizeof(Line));
}

void Tensor::reshape(Shape shape) {
  shape_ = std::move(shape);
  bytes_.resize((byte_count() + sizeof(Line) - 1) / sizeof(Line));
}

}  // namespace verge::inference
