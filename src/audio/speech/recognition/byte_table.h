// audio/speech/recognition/byte_table.h -- a matrix of 8-bit numbers with one scale: rows looked up, and multiplied.
//
// value = (byte - zero) * scale, as ONNX's DequantizeLinear. A decoder's embeddings are such a table, used twice in a
// step: the last token's row goes in, and the hidden vector times every row gives the tokens' logits. Multiplying the
// bytes as they lie reads a quarter of what the same numbers as floats would. Threads: immutable.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/onnx_graph.h"

namespace verge::audio {

class ByteTable {
 public:
  /// [rows, width] uint8 or int8. Errors: invalid_argument for other types and ranks.
  static Result<ByteTable> make(const models::OnnxTensor& numbers, float scale, int zero);

  std::size_t rows() const { return rows_; }
  std::size_t width() const { return width_; }
  bool is_signed() const { return is_signed_; }
  /// The bytes as they were given. target: width bytes. row < rows.
  void read_row(std::size_t row, std::span<std::uint8_t> target) const;
  /// products: rows numbers, each the row times `vector` (width numbers), summed in float32.
  void multiply(std::span<const float> vector, std::span<float> products) const;

 private:
  std::size_t rows_ = 0, width_ = 0;
  bool is_signed_ = false;
  float scale_ = 1;
  int zero_ = 0;  ///< Of the bytes as they are held: unsigned.
  std::vector<std::uint8_t> bytes_;
};

}  // namespace verge::audio
