#include "audio/speech/recognition/byte_table.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/kernel.h"

namespace verge::audio {
namespace {

constexpr std::size_t kLanes = 32;

/// Sum of bytes[i] * numbers[i]; kLanes sums side by side, so that they become vector instructions.
VERGE_KERNEL void multiply_rows(const std::uint8_t* bytes, std::size_t rows, std::size_t width, const float* numbers,
                                float* sums) {
  for (std::size_t row = 0; row < rows; ++row, bytes += width) {
    float lanes[kLanes] = {};
    std::size_t at = 0;
    for (; at + kLanes <= width; at += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] += static_cast<float>(bytes[at + lane]) * numbers[at + lane];
    }
    float sum = 0;
    for (; at < width; ++at) sum += static_cast<float>(bytes[at]) * numbers[at];
    for (const float lane : lanes) sum += lane;
    sums[row] = sum;
  }
}

}  // namespace

Result<ByteTable> ByteTable::make(const models::OnnxTensor& numbers, float scale, int zero) {
  const bool is_signed = numbers.type == models::ElementType::int8;
  if ((!is_signed && numbers.type != models::ElementType::uint8) || numbers.shape.size() != 2 || numbers.is_external) {
    return Error{ErrorCode::invalid_argument, fmt::format("take \"{}\" for a table of bytes: it is {} {}", numbers.name,
                                                          name_of(numbers.type), models::shape_text(numbers.shape))};
  }
  ByteTable table;
  table.rows_ = static_cast<std::size_t>(numbers.shape[0]);
  table.width_ = static_cast<std::size_t>(numbers.shape[1]);
  table.is_signed_ = is_signed;
  table.scale_ = scale;
  table.zero_ = is_signed ? zero + 128 : zero;
  table.bytes_.assign(numbers.bytes.begin(), numbers.bytes.end());
  if (is_signed) {
    for (auto& byte : table.bytes_) byte = static_cast<std::uint8_t>(byte ^ 0x80U);
  }
  return table;
}

void ByteTable::read_row(std::size_t row, std::span<std::uint8_t> target) const {
  VERGE_ASSERT(row < rows_ && target.size() == width_);
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(row * width_), width_, target.begin());
  if (!is_signed_) return;
  for (auto& byte : target) byte = static_cast<std::uint8_t>(byte ^ 0x80U);
}

void ByteTable::multiply(std::span<const float> vector, std::span<float> products) const {
  VERGE_ASSERT(vector.size() == width_ && products.size() == rows_);
  multiply_rows(bytes_.data(), rows_, width_, vector.data(), products.data());
  float sum = 0;
  for (const float number : vector) sum += number;
  const float nothing = static_cast<float>(zero_) * sum;
  for (float& product : products) product = (product - nothing) * scale_;
}

}  // namespace verge::audio
