// inference/tensor.h -- a block of numbers with a shape, row-major.
//
// Threads: a Tensor owns its bytes; share it only when nobody writes.
#pragma once

#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"

namespace verge::inference {

enum class DataType : std::uint8_t { float32, float16, uint8, int8, int32, int64, boolean };

std::size_t bytes_of(DataType type);
std::string_view name_of(DataType type);  ///< "float32"

using Shape = std::vector<std::int64_t>;
/// "[1,3,416,416]"; a free dimension (-1) is written as ?.
std::string to_text(const Shape& shape);
/// Product of the dimensions; 1 for a scalar.
std::size_t element_count(const Shape& shape);

class Tensor {
 public:
  Tensor() = default;
  /// Zeroed.
  Tensor(DataType type, Shape shape);

  template <class T>
  static Tensor of(Shape shape, std::span<const T> values);

  DataType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  std::size_t count() const { return element_count(shape_); }
  /// Another shape over the same bytes: what fits stays as it is, what is new is zero. Memory grows, but never shrinks.
  void reshape(Shape shape);
  /// T must fit type(): float, std::uint8_t, std::int8_t, std::int32_t, std::int64_t, bool (as std::uint8_t).
  template <class T>
  std::span<T> values() {
    VERGE_ASSERT(sizeof(T) == bytes_of(type_));
    return {reinterpret_cast<T*>(bytes_.data()), count()};
  }
  template <class T>
  std::span<const T> values() const {
    VERGE_ASSERT(sizeof(T) == bytes_of(type_));
    return {reinterpret_cast<const T*>(bytes_.data()), count()};
  }
  void* data() { return bytes_.data(); }
  const void* data() const { return bytes_.data(); }
  std::size_t byte_count() const { return count() * bytes_of(type_); }

 private:
  struct alignas(64) Line {
    unsigned char bytes[64];
  };
  DataType type_ = DataType::float32;
  Shape shape_{0};
  std::vector<Line> bytes_;  ///< 64-byte aligned.
};

template <class T>
DataType type_of() {
  if constexpr (std::is_same_v<T, float>) return DataType::float32;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DataType::uint8;
  if constexpr (std::is_same_v<T, std::int8_t>) return DataType::int8;
  if constexpr (std::is_same_v<T, std::int32_t>) return DataType::int32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DataType::int64;
}

template <class T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor tensor(type_of<T>(), std::move(shape));
  VERGE_ASSERT(values.size() == tensor.count());
  std::copy(values.begin(), values.end(), tensor.template values<T>().begin());
  return tensor;
}

}  // namespace verge::inference
