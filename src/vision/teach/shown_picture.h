// vision/teach/shown_picture.h -- pictures for a report, with what is to be seen in them drawn in: boxes, heat.
//
// Threads: values and pure functions.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::vision {

using Colour = std::array<std::uint8_t, 3>;
inline constexpr Colour kFoundColour{235, 40, 50}, kMarkedColour{40, 140, 255};

/// An rgb24 picture that may be drawn on.
class ShownPicture {
 public:
  /// The frame, made smaller or larger to this width. Errors: invalid_argument (no pixels).
  static Result<ShownPicture> make(const pipeline::Frame& frame, int width);

  int width() const { return frame_.width; }
  int height() const { return frame_.height; }
  /// Redder by `share` of 0..1, for each pixel.
  void heat(const std::function<float(int x, int y)>& share);
  /// An outline, two pixels wide, in pixels of this picture; what lies outside is left out.
  void box(double left, double top, double right, double bottom, const Colour& colour);
  /// Empty when the library refuses.
  std::string to_jpeg() const;

 private:
  std::uint8_t* at(int x, int y) { return bytes_->data() + static_cast<std::size_t>(y * frame_.width + x) * 3; }
  std::shared_ptr<std::vector<std::uint8_t>> bytes_;
  pipeline::Frame frame_;
};

}  // namespace verge::vision
