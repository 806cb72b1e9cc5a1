// Source: FastestDet (dog-qiuqiu 2022): one grid [1, 5 + labels, height, width]; per cell objectness 0..1, centre
// within the cell (tanh), size as part of the input (sigmoid), labels 0..1; score = objectness^0.6 * label^0.4.
#include "vision/heads/families.h"

namespace verge::vision {
namespace {

class FastestdetHead final : public BoxHead {
 public:
  FastestdetHead(HeadOutput grid, const HeadReader& reader)
      : grid_(std::move(grid)), labels_(reader.labels()), width_(reader.width()), height_(reader.height()) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    VERGE_TRY(const auto numbers, numbers_of(outputs, grid_));
    const inference::Shape& shape = outputs[grid_.index].shape();
    const std::int64_t down = shape[2];
    const std::int64_t across = shape[3];
    const std::int64_t cells = down * across;
    for (std::int64_t cell = 0; cell < cells; ++cell) {
      const float* channel = numbers.data() + cell;
      const auto value = [&](std::int64_t index) { return channel[index * cells]; };
      const BestLabel best =
          best_label(channel + 5 * cells, static_cast<std::ptrdiff_t>(cells), labels_, wanted.labels);
      const float score = std::pow(value(0), 0.6F) * std::pow(best.score, 0.4F);
      if (!(score >= wanted.score_min)) continue;
      const float x = (static_cast<float>(cell % across) + std::tanh(value(1))) / static_cast<float>(across);
      const float y = (static_cast<float>(cell / across) + std::tanh(value(2))) / static_cast<float>(down);
      const auto wide = static_cast<float>(width_);
      const auto high = static_cast<float>(height_);
      found.push_back(
          {box_around(x * wide, y * high, sigmoid(value(3)) * wide, sigmoid(value(4)) * high), score, best.label, {}});
    }
    return Done{};
  }

 private:
  HeadOutput grid_;
  int labels_, width_, height_;
};

}  // namespace

Result<std::unique_ptr<BoxHead>> make_fastestdet_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({}));
  VERGE_TRY(HeadOutput grid, reader.output("grid", {1, 5 + reader.labels(), -1, -1}));
  return std::unique_ptr<BoxHead>(std::make_unique<FastestdetHead>(std::move(grid), reader));
}

}  // namespace verge::vision
