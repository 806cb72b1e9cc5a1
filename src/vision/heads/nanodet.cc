// Source: NanoDet (RangiLyu 2020) with the distribution of Li et al. 2020 (Generalized Focal Loss): each side's
// distance is the expectation over `bins` logits, times the stride, from the cell's centre (i + 0.5) * stride.
// Per stride: scores [1, cells, labels], 0..1, and boxes [1, cells, 4 * bins]: left, top, right, bottom.
#include <algorithm>
#include <fmt/format.h>

#include "vision/heads/families.h"

namespace verge::vision {
namespace {

/// Expectation of 0..bins-1 under softmax(logits).
float expectation(const float* logits, int bins) {
  float most = logits[0];
  for (int i = 1; i < bins; ++i) most = std::max(most, logits[i]);
  float sum = 0;
  float weighted = 0;
  for (int i = 0; i < bins; ++i) {
    const float power = std::exp(logits[i] - most);
    sum += power;
    weighted += power * static_cast<float>(i);
  }
  return weighted / sum;
}

struct NanodetLevel {
  int stride = 8, across = 0, down = 0;
  HeadOutput scores, boxes;
};

class NanodetHead final : public BoxHead {
 public:
  NanodetHead(std::vector<NanodetLevel> levels, int bins, int labels)
      : levels_(std::move(levels)), bins_(bins), labels_(labels) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    for (const NanodetLevel& level : levels_) {
      VERGE_TRY(const auto scores, numbers_of(outputs, level.scores));
      VERGE_TRY(const auto boxes, numbers_of(outputs, level.boxes));
      decode_level(level, scores.data(), boxes.data(), wanted, found);
    }
    return Done{};
  }

 private:
  void decode_level(const NanodetLevel& level, const float* scores, const float* boxes, const Wanted& wanted,
                    std::vector<Detection>& found) const {
    const auto pixels = static_cast<float>(level.stride);
    for (int cell = 0; cell < level.across * level.down; ++cell) {
      const BestLabel best =
          best_label(scores + static_cast<std::ptrdiff_t>(cell) * labels_, 1, labels_, wanted.labels);
      if (!(best.score >= wanted.score_min)) continue;
      const float* sides = boxes + static_cast<std::ptrdiff_t>(cell) * 4 * bins_;
      const auto distance = [&](int side) { return expectation(sides + side * bins_, bins_) * pixels; };
      const float x = (static_cast<float>(cell % level.across) + 0.5F) * pixels;
      const float y = (static_cast<float>(cell / level.across) + 0.5F) * pixels;
      found.push_back(
          {{x - distance(0), y - distance(1), x + distance(2), y + distance(3)}, best.score, best.label, {}});
    }
  }

  std::vector<NanodetLevel> levels_;
  int bins_, labels_;
};

}  // namespace

Result<std::unique_ptr<BoxHead>> make_nanodet_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({"strides", "bins"}));
  VERGE_TRY(const int bins, reader.whole("bins", 11, 2, 64));
  VERGE_TRY(const std::vector<int> strides, reader.wholes("strides", {8, 16, 32}, 1, 1024, 8));
  std::vector<NanodetLevel> levels;
  for (const int stride : strides) {
    NanodetLevel level{stride, cells_across(reader.width(), stride), cells_across(reader.height(), stride), {}, {}};
    const std::int64_t cells = std::int64_t{1} * level.across * level.down;
    VERGE_TRY(level.scores, reader.output(fmt::format("scores_{}", stride), {1, cells, reader.labels()}));
    VERGE_TRY(level.boxes, reader.output(fmt::format("boxes_{}", stride), {1, cells, 4 * bins}));
    levels.push_back(std::move(level));
  }
  return std::unique_ptr<BoxHead>(std::make_unique<NanodetHead>(std::move(levels), bins, reader.labels()));
}

}  // namespace verge::vision
