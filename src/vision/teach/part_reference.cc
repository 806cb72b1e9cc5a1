#include "vision/teach/part_reference.h"

#include <algorithm>
#include <cmath>

namespace verge::vision {
namespace {

using Greys = std::vector<GreyPicture>;

constexpr std::size_t kReferenceTrials = 4;  ///< Pictures that are tried as the one to lay over.
constexpr std::size_t kProbes = 12;          ///< Pictures that are laid over each of them.
constexpr double kFitsMin = 0.6;             ///< Correlation; pictures of unrelated things reach 0.4.
constexpr double kFitsShare = 0.6;           ///< Of the worst good picture's: below it the part is not in a picture.
constexpr double kFoundLeast = 0.3;
constexpr double kOnePartShare = 0.9;
constexpr double kMovingExplained = 0.3;
constexpr double kMovingLeast = 0.004;  ///< Of the longer side: less is within the nearest cell.

template <class Value>
Value median_number(std::vector<Value> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// The largest way of a corner, in parts of the longer side.
double moved_by(const Alignment& alignment, const GreyPicture& good) {
  const PixelBox whole{0, 0, static_cast<double>(good.width), static_cast<double>(good.height)};
  double largest = 0;
  for (const double x : {whole.left, whole.right}) {
    for (const double y : {whole.top, whole.bottom}) {
      const PixelBox there = box_in_picture({x, y, x, y}, good, good.width, good.height, alignment);
      largest = std::max(largest, std::hypot(there.left - x, there.top - y));
    }
  }
  return largest / std::max(good.width, good.height);
}

Result<GreyPicture> grey_at(const pipeline::Frame& frame, int width, int height) {
  VERGE_TRY(const auto rgb, as_rgb(frame, width, height));
  return as_grey(*rgb);
}

/// Of evenly taken pictures the one that the others lie over best.
Result<std::size_t> best_reference(std::span<const std::shared_ptr<const pipeline::Frame>> good, int width, int height,
                                   const std::function<Status(double)>& tell) {
  const std::size_t probes = std::min(kProbes, good.size()), trials = std::min(kReferenceTrials, good.size());
  Greys greys;
  for (std::size_t probe = 0; probe < probes; ++probe) {
    VERGE_TRY(auto grey, grey_at(*good[probe * good.size() / probes], width, height));
    greys.push_back(std::move(grey));
  }
  std::size_t best = 0;
  double best_correlation = -2;
  for (std::size_t trial = 0; trial < trials; ++trial) {
    const std::size_t asked = trial * probes / trials;
    std::vector<double> correlations;
    for (std::size_t probe = 0; probe < probes; ++probe) {
      if (probe != asked) correlations.push_back(align(greys[asked], greys[probe]).correlation);
    }
    const double correlation = median_number(std::move(correlations));
    if (correlation > best_correlation) {
      best_correlation = correlation;
      best = asked * good.size() / probes;
    }
    VERGE_CHECK(tell(0.3 * static_cast<double>(trial + 1) / static_cast<double>(trials)));
  }
  return best;
}

}  // namespace

bool PartReference::is_one_part() const {
  return static_cast<double>(fitting) >= kOnePartShare * static_cast<double>(alignments.size());
}

bool PartReference::is_moving() const { return explained >= kMovingExplained && moved >= kMovingLeast; }

Result<PartReference> find_part_reference(std::span<const std::shared_ptr<const pipeline::Frame>> good, int width,
                                          int height, const std::function<Status(double)>& tell) {
  VERGE_TRY(const std::size_t picture, best_reference(good, width, height, tell));
  VERGE_TRY(std::shared_ptr<const pipeline::Frame> frame, as_rgb(*good[picture], width, height));
  VERGE_TRY(const PartAligner sought, PartAligner::make(frame, kFitsMin));
  std::vector<Alignment> alignments;
  std::vector<double> explained, moved;
  double worst = 1;
  for (std::size_t at = 0; at < good.size(); ++at) {
    VERGE_TRY(const GreyPicture grey, grey_at(*good[at], width, height));
    alignments.push_back(align(sought.grey(), grey));
    const double reached = alignments.back().correlation;
    if (reached >= kFitsMin) worst = std::min(worst, reached);
    if (at != picture) {
      const double rest = 1 - unmoved_correlation(sought.grey(), grey);
      explained.push_back(rest > 1e-6 ? 1 - (1 - reached) / rest : 0);
      moved.push_back(moved_by(alignments.back(), sought.grey()));
    }
    VERGE_CHECK(tell(0.3 + 0.7 * static_cast<double>(at + 1) / static_cast<double>(good.size())));
  }
  const auto fitting = static_cast<std::size_t>(
      std::ranges::count_if(alignments, [](const Alignment& found) { return found.correlation >= kFitsMin; }));
  // Rounded, so that the model's card says the same number.
  const double found_min = std::round(std::max(kFoundLeast, kFitsShare * worst) * 1e4) / 1e4;
  VERGE_TRY(PartAligner aligner, PartAligner::make(std::move(frame), found_min));
  return PartReference{picture,
                       std::move(alignments),
                       fitting,
                       median_number(std::move(explained)),
                       median_number(std::move(moved)),
                       std::move(aligner)};
}

}  // namespace verge::vision
