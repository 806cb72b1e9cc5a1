// connectors/camera/picture_mask.h -- parts of a camera's picture that nothing may see: black before any stage.
//
// Source: even-odd rule for polygons, Shimrat 1962, row by row through the middles of the pixels.
// Threads: a PictureMask is used by one thread at a time; a source made by with_mask() as pipeline::Source.
#pragma once

#include <memory>
#include <vector>

#include "pipeline/privacy.h"
#include "pipeline/stage.h"

namespace verge::connectors {

class PictureMask {
 public:
  explicit PictureMask(std::vector<pipeline::Polygon> polygons) : polygons_(std::move(polygons)) {}
  /// A copy (decoders still need the original) that is black within the polygons. Cost: one copy of the pixels.
  std::shared_ptr<const pipeline::Frame> apply(const pipeline::Frame& frame);

 private:
  struct Span {
    int row, from, to;  ///< Columns; `to` is exclusive.
  };
  void measure(int width, int height);

  const std::vector<pipeline::Polygon> polygons_;
  int width_ = 0, height_ = 0;
  std::vector<Span> spans_;
};

/// The source with masked pictures.
std::unique_ptr<pipeline::Source> with_mask(std::unique_ptr<pipeline::Source> source, PictureMask mask);

}  // namespace verge::connectors
