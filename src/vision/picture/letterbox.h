// vision/picture/letterbox.h -- a picture as the input tensor of a network: converted, resized, normalised in one pass.
//
// The picture keeps its proportions and lies in the middle or the top left corner, the rest is padding; or it is
// stretched over the whole tensor. Bilinear, pixel centres at half coordinates. Source: ITU-R BT.601 for colours
// (limited and full range) and for the grey of RGB pictures.
// Threads: a Letterbox is used by one thread at a time; the functions are pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/kernel.h"
#include "base/result.h"
#include "inference/tensor.h"
#include "models/model_card.h"
#include "pipeline/packet.h"
#include "vision/picture/colour_rows.h"
#include "vision/picture/row_sampler.h"

namespace verge::vision {

struct LetterboxOptions {
  int width = 416, height = 416;       ///< Of the tensor, pixels, 1..8192.
  bool is_bgr = false;                 ///< Order of the channels; mean and deviation follow it.
  std::array<float, 3> mean{0, 0, 0};  ///< Out = (value 0..255 - mean) / deviation.
  std::array<float, 3> deviation{1, 1, 1};
  float padding = 0;  ///< 0..255, before normalising.
  models::PictureFit fit = models::PictureFit::letterbox_top_left;
  bool is_grey = false;           ///< One channel, whose mean and deviation are the first ones.
  bool is_channels_first = true;  ///< [1, channels, height, width]; else [1, height, width, channels].
  inference::DataType type = inference::DataType::float32;  ///< Or uint8, int32: rounded and limited to the type.
};
inference::Shape shape_of(const LetterboxOptions& options);

/// Where the picture lies in the tensor, in its pixels.
struct Placement {
  int left = 0, top = 0, width = 0, height = 0;
  bool operator==(const Placement&) const = default;
};
Placement place(int picture_width, int picture_height, const LetterboxOptions& options);
/// From pixels of the tensor to parts of the picture: 0 at its left or upper edge, 1 at the other; outside in the
/// padding.
inline double part_across(Placement placement, float x) {
  return (static_cast<double>(x) - placement.left) / placement.width;
}
inline double part_down(Placement placement, float y) {
  return (static_cast<double>(y) - placement.top) / placement.height;
}

class Letterbox {
 public:
  /// options.type is float32, uint8 or int32.
  /// level  at most kernel_level(); lower ones give nearly the same numbers, and are for tests
  explicit Letterbox(LetterboxOptions options, KernelLevel level = kernel_level());

  /// is_padded  the tensor is as this letterbox left it last: padding that stays where it was is not written again
  /// Errors: invalid_argument for a picture without pixels, or a tensor of another type or shape than
  /// shape_of(options).
  Result<Placement> fill(const pipeline::Frame& frame, inference::Tensor& tensor, bool is_padded = false);
  const LetterboxOptions& options() const { return options_; }

 private:
  std::array<PlaneRow, 3> source_rows(const pipeline::Frame& frame, Placement placement, int row) const;
  ColourScales scales() const;
  /// False where ColourRows cannot do it.
  bool fill_yuv_wide(const pipeline::Frame& frame, Placement placement, inference::Tensor& tensor);
  void fill_yuv(const pipeline::Frame& frame, Placement placement, inference::Tensor& tensor);

  LetterboxOptions options_;
  KernelLevel level_;
  Placement placement_;  ///< Of the last picture.
  ColourRows colours_;
  RowSampler luma_, chroma_;
  std::vector<float> rows_;    ///< Y, U, V of one output row.
  std::vector<float> normal_;  ///< The row's channels, when they cannot be written where they belong at once.
};

/// The same by the definition, pixel by pixel, for any pixel format: the tests' reference.
Result<Placement> letterbox_plain(const pipeline::Frame& frame, const LetterboxOptions& options,
                                  inference::Tensor& tensor);

}  // namespace verge::vision
