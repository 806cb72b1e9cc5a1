// vision/letterbox.h -- a picture as the input tensor of a network: converted, resized, normalised in one pass.
//
// The picture keeps its proportions and lies in the top left corner; the rest is padding. Bilinear, pixel centres at
// half coordinates. Source: ITU-R BT.601 for colours (limited and full range).
// Threads: a Letterbox is used by one thread at a time; letterbox_plain is a pure function.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::vision {

struct LetterboxOptions {
  int width = 416, height = 416;       ///< Of the tensor, pixels, 1..8192.
  bool is_bgr = false;                 ///< Order of the channels; mean and deviation follow it.
  std::array<float, 3> mean{0, 0, 0};  ///< Out = (value 0..255 - mean) / deviation.
  std::array<float, 3> deviation{1, 1, 1};
  float padding = 0;  ///< 0..255, before normalising.
};

/// Where the picture lies in the tensor.
struct Placement {
  int width = 0, height = 0;  ///< The part that the picture fills, pixels of the tensor.
};
Placement place(int picture_width, int picture_height, const LetterboxOptions& options);

class Letterbox {
 public:
  explicit Letterbox(LetterboxOptions options);

  /// tensor  [3, height, width] float32. Errors: invalid_argument for a picture without pixels or a wrong tensor size.
  Result<Placement> fill(const pipeline::Frame& frame, std::span<float> tensor);
  const LetterboxOptions& options() const { return options_; }

 private:
  /// For each output column: the left source pixel and the right one's weight in 1/256.
  struct Columns {
    int source = 0, target = 0;
    std::vector<std::int32_t> left;
    std::vector<std::int32_t> weight;
  };
  void prepare(Columns& columns, int plane_width, int picture_width, int target) const;
  void fill_yuv(const pipeline::Frame& frame, Placement placement, std::span<float> tensor);
  void fill_padding(Placement placement, std::span<float> tensor) const;

  LetterboxOptions options_;
  Columns luma_, chroma_;
  std::vector<std::uint16_t> blended_;
  std::vector<float> rows_;
};

/// The same by the definition, pixel by pixel, for any pixel format: the tests' reference.
Result<Placement> letterbox_plain(const pipeline::Frame& frame, const LetterboxOptions& options,
                                  std::span<float> tensor);

}  // namespace verge::vision
