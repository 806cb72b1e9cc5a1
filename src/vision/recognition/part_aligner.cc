#include "vision/recognition/part_aligner.h"

#include <algorithm>
#include <fmt/format.h>

namespace verge::vision {
namespace {

constexpr int kPartSideMin = 16;

}  // namespace

Result<PartAligner> PartAligner::make(std::shared_ptr<const pipeline::Frame> good, double correlation_min) {
  if (std::min(good->width, good->height) < kPartSideMin || std::max(good->width, good->height) > kGreySideMax) {
    return Error{ErrorCode::invalid_argument, fmt::format("lay pictures over one of {}x{}: sides from {} to {}",
                                                          good->width, good->height, kPartSideMin, kGreySideMax)};
  }
  PartAligner aligner;
  VERGE_TRY(aligner.grey_, as_grey(*good));
  aligner.good_ = std::move(good);
  aligner.correlation_min_ = correlation_min;
  return aligner;
}

Result<PartAligner::Laid> PartAligner::lay(const pipeline::Frame& picture) const {
  VERGE_TRY(auto stretched, as_rgb(picture, good_->width, good_->height));
  VERGE_TRY(const GreyPicture grey, as_grey(*stretched));
  return laid(std::move(stretched), align(grey_, grey));
}

Result<Alignment> PartAligner::find(const pipeline::Frame& picture) const {
  VERGE_TRY(const auto stretched, as_rgb(picture, good_->width, good_->height));
  VERGE_TRY(const GreyPicture grey, as_grey(*stretched));
  return align(grey_, grey);
}

Result<PartAligner::Laid> PartAligner::lay(const pipeline::Frame& picture, const Alignment& alignment) const {
  VERGE_TRY(auto stretched, as_rgb(picture, good_->width, good_->height));
  return laid(std::move(stretched), alignment);
}

PartAligner::Laid PartAligner::laid(std::shared_ptr<const pipeline::Frame> stretched,
                                    const Alignment& alignment) const {
  if (alignment.correlation >= correlation_min_) return {laid_over(*good_, *stretched, alignment), alignment, true};
  Alignment unmoved;
  unmoved.correlation = alignment.correlation;
  return {std::move(stretched), unmoved, false};
}

}  // namespace verge::vision
