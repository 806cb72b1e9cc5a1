// Source: Bazarevsky et al. 2019 (BlazeFace), without its blending of overlapping boxes. Per stride a number of anchors
// in every cell, all at the cell's centre and without a size of their own: scores [1, cells * anchors, 1] as logits and
// boxes [1, cells * anchors, 4 + 2 * points]: centre, size and points in pixels of the input, from the cell's centre.
#include <fmt/format.h>

#include "vision/heads/families.h"

namespace verge::vision {
namespace {

struct BlazefaceLevel {
  int stride = 16, anchors = 2, across = 0, down = 0;
  HeadOutput scores, boxes;
};

class BlazefaceHead final : public BoxHead {
 public:
  BlazefaceHead(std::vector<BlazefaceLevel> levels, int points) : levels_(std::move(levels)), points_(points) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    for (const BlazefaceLevel& level : levels_) {
      VERGE_TRY(const auto scores, numbers_of(outputs, level.scores));
      VERGE_TRY(const auto boxes, numbers_of(outputs, level.boxes));
      const float* row = boxes.data();
      for (int anchor = 0; anchor < static_cast<int>(scores.size()); ++anchor, row += 4 + 2 * points_) {
        const float score = sigmoid(scores[static_cast<std::size_t>(anchor)]);
        if (!(score >= wanted.score_min)) continue;
        found.push_back(face_of(level, anchor / level.anchors, row, score));
      }
    }
    return Done{};
  }

 private:
  Detection face_of(const BlazefaceLevel& level, int cell, const float* row, float score) const {
    const auto stride = static_cast<float>(level.stride);
    const float x = (static_cast<float>(cell % level.across) + 0.5F) * stride;
    const float y = (static_cast<float>(cell / level.across) + 0.5F) * stride;
    Detection face{box_around(x + row[0], y + row[1], row[2], row[3]), score, 0, {}};
    for (int point = 0; point < points_; ++point) {
      face.points.push_back({x + row[4 + 2 * point], y + row[5 + 2 * point], score});
    }
    return face;
  }

  std::vector<BlazefaceLevel> levels_;
  int points_;
};

}  // namespace

Result<std::unique_ptr<BoxHead>> make_blazeface_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({"strides", "anchors", "points"}));
  if (reader.labels() != 1)
    return card_mistake(reader.card(), "/labels", "one word: this head knows one kind of thing");
  VERGE_TRY(const std::vector<int> strides, reader.wholes("strides", {16, 32}, 1, 1024, 8));
  VERGE_TRY(const std::vector<int> anchors, reader.wholes("anchors", {2, 6}, 1, 64, 8));
  VERGE_TRY(const std::vector<std::string> points,
            reader.names("points", {"right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"}));
  if (anchors.size() != strides.size()) return reader.mistake("anchors", "as many numbers as there are strides");
  const auto point_count = static_cast<int>(points.size());
  std::vector<BlazefaceLevel> levels;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    BlazefaceLevel level{
        strides[i], anchors[i], cells_across(reader.width(), strides[i]), cells_across(reader.height(), strides[i]),
        {},         {}};
    const std::int64_t count = std::int64_t{1} * level.across * level.down * level.anchors;
    VERGE_TRY(level.scores, reader.output(fmt::format("scores_{}", level.stride), {1, count, 1}));
    VERGE_TRY(level.boxes, reader.output(fmt::format("boxes_{}", level.stride), {1, count, 4 + 2 * point_count}));
    levels.push_back(std::move(level));
  }
  return std::unique_ptr<BoxHead>(std::make_unique<BlazefaceHead>(std::move(levels), point_count));
}

}  // namespace verge::vision
