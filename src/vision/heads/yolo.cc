// Sources: YOLOv5 (Ultralytics 2020) for rows [1, N, 5 + labels]: centre, size, objectness, scores; YOLOv8 (Ultralytics
// 2023) for columns [1, 4 + labels, N] without objectness; Ge et al. 2021 (YOLOX) for rows whose centre and size still
// belong to a cell: x = (column + dx) * stride, width = exp(w) * stride, strides one after the other.
#include <algorithm>
#include <array>

#include "base/kernel.h"
#include "vision/heads/families.h"

namespace verge::vision {
namespace {

/// Pixels of the input per unit of the model's boxes.
struct PixelUnit {
  float across = 1, down = 1;
};

Result<PixelUnit> read_unit(const HeadReader& reader) {
  VERGE_TRY(const std::size_t unit, reader.word("unit", {"pixels", "parts"}));
  if (unit == 0) return PixelUnit{};
  return PixelUnit{static_cast<float>(reader.width()), static_cast<float>(reader.height())};
}

Result<bool> read_sigmoid(const HeadReader& reader) {
  VERGE_TRY(const std::size_t activation, reader.word("activation", {"none", "sigmoid"}));
  return activation == 1;
}

struct YoloRow {
  float score = 0;
  int label = 0;
};

/// Score of a row [.., .., .., .., objectness, labels…]; below 0 when it cannot reach `wanted.score_min`.
YoloRow score_of(const float* row, int labels, bool is_sigmoid, const Wanted& wanted) {
  const float objectness = is_sigmoid ? sigmoid(row[4]) : row[4];
  // A label's score is at most 1.
  if (!(objectness >= wanted.score_min)) return {-1, 0};
  const BestLabel best = best_label(row + 5, 1, labels, wanted.labels);
  return {objectness * (is_sigmoid ? sigmoid(best.score) : best.score), best.label};
}

class YoloHead final : public BoxHead {
 public:
  YoloHead(HeadOutput rows, int labels, PixelUnit unit, bool is_sigmoid)
      : rows_(std::move(rows)), labels_(labels), unit_(unit), is_sigmoid_(is_sigmoid) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    VERGE_TRY(const auto numbers, numbers_of(outputs, rows_));
    const auto width = static_cast<std::size_t>(5 + labels_);
    for (std::size_t at = 0; at + width <= numbers.size(); at += width) {
      const float* row = numbers.data() + at;
      const auto [score, label] = score_of(row, labels_, is_sigmoid_, wanted);
      if (!(score >= wanted.score_min)) continue;
      found.push_back(
          {box_around(row[0] * unit_.across, row[1] * unit_.down, row[2] * unit_.across, row[3] * unit_.down),
           score,
           label,
           {}});
    }
    return Done{};
  }

 private:
  HeadOutput rows_;
  int labels_;
  PixelUnit unit_;
  bool is_sigmoid_;
};

/// A NaN is never larger.
VERGE_KERNEL void keep_larger(const float* __restrict numbers, std::span<float> best) {
  float* __restrict kept = best.data();
  const std::size_t count = best.size();
  for (std::size_t i = 0; i < count; ++i) kept[i] = numbers[i] > kept[i] ? numbers[i] : kept[i];
}

class YoloV8Head final : public BoxHead {
 public:
  YoloV8Head(HeadOutput columns, int labels, PixelUnit unit, bool is_sigmoid)
      : columns_(std::move(columns)), labels_(labels), unit_(unit), is_sigmoid_(is_sigmoid) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    VERGE_TRY(const auto numbers, numbers_of(outputs, columns_));
    const std::size_t count = numbers.size() / static_cast<std::size_t>(4 + labels_);
    const auto line = [&](std::size_t index) { return numbers.data() + index * count; };
    // Label by label, so that the numbers are read in the order in which they lie; in parts whose numbers of all labels
    // are still near when the labels of the few that are kept are looked for.
    std::array<float, kPart> best;
    for (std::size_t from = 0; from < count; from += kPart) {
      const auto part = std::span(best).first(std::min(kPart, count - from));
      std::ranges::fill(part, -std::numeric_limits<float>::infinity());
      const auto look = [&](int label) { keep_larger(line(first_score(label)) + from, part); };
      for (int label = 0; label < labels_ && wanted.labels.empty(); ++label) look(label);
      for (const int label : wanted.labels) look(label);
      for (std::size_t i = 0; i < part.size(); ++i) {
        const float score = is_sigmoid_ ? sigmoid(part[i]) : part[i];
        if (!(score >= wanted.score_min)) continue;
        const auto number = [&](std::size_t index) { return line(index)[from + i]; };
        const float* scores = line(first_score(0)) + from + i;
        found.push_back({box_around(number(0) * unit_.across, number(1) * unit_.down, number(2) * unit_.across,
                                    number(3) * unit_.down),
                         score,
                         best_label(scores, static_cast<std::ptrdiff_t>(count), labels_, wanted.labels).label,
                         {}});
      }
    }
    return Done{};
  }

 private:
  static constexpr std::size_t kPart = 1024;  ///< With 80 labels 320 KiB: a core's own cache.
  static std::size_t first_score(int label) { return 4 + static_cast<std::size_t>(label); }

  HeadOutput columns_;
  int labels_;
  PixelUnit unit_;
  bool is_sigmoid_;
};

class YoloxHead final : public BoxHead {
 public:
  struct Level {
    int stride = 8, across = 0, down = 0;
  };
  YoloxHead(HeadOutput rows, std::vector<Level> levels, int labels, bool is_sigmoid)
      : rows_(std::move(rows)), levels_(std::move(levels)), labels_(labels), is_sigmoid_(is_sigmoid) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    VERGE_TRY(const auto numbers, numbers_of(outputs, rows_));
    const float* row = numbers.data();
    for (const Level& level : levels_) {
      const auto stride = static_cast<float>(level.stride);
      for (int cell = 0; cell < level.across * level.down; ++cell, row += 5 + labels_) {
        const auto [score, label] = score_of(row, labels_, is_sigmoid_, wanted);
        if (!(score >= wanted.score_min)) continue;
        const float x = (static_cast<float>(cell % level.across) + row[0]) * stride;
        const float y = (static_cast<float>(cell / level.across) + row[1]) * stride;
        found.push_back({box_around(x, y, std::exp(row[2]) * stride, std::exp(row[3]) * stride), score, label, {}});
      }
    }
    return Done{};
  }

 private:
  HeadOutput rows_;
  std::vector<Level> levels_;
  int labels_;
  bool is_sigmoid_;
};

}  // namespace

Result<std::unique_ptr<BoxHead>> make_yolo_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({"unit", "activation"}));
  VERGE_TRY(const PixelUnit unit, read_unit(reader));
  VERGE_TRY(const bool is_sigmoid, read_sigmoid(reader));
  VERGE_TRY(HeadOutput rows, reader.output("rows", {1, -1, 5 + reader.labels()}));
  return std::unique_ptr<BoxHead>(std::make_unique<YoloHead>(std::move(rows), reader.labels(), unit, is_sigmoid));
}

Result<std::unique_ptr<BoxHead>> make_yolo_v8_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({"unit", "activation"}));
  VERGE_TRY(const PixelUnit unit, read_unit(reader));
  VERGE_TRY(const bool is_sigmoid, read_sigmoid(reader));
  VERGE_TRY(HeadOutput columns, reader.output("columns", {1, 4 + reader.labels(), -1}));
  return std::unique_ptr<BoxHead>(std::make_unique<YoloV8Head>(std::move(columns), reader.labels(), unit, is_sigmoid));
}

Result<std::unique_ptr<BoxHead>> make_yolox_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({"strides", "activation"}));
  VERGE_TRY(const std::vector<int> strides, reader.wholes("strides", {8, 16, 32}, 1, 1024, 8));
  VERGE_TRY(const bool is_sigmoid, read_sigmoid(reader));
  std::vector<YoloxHead::Level> levels;
  std::int64_t cells = 0;
  for (const int stride : strides) {
    levels.push_back({stride, cells_across(reader.width(), stride), cells_across(reader.height(), stride)});
    cells += std::int64_t{1} * levels.back().across * levels.back().down;
  }
  VERGE_TRY(HeadOutput rows, reader.output("rows", {1, cells, 5 + reader.labels()}));
  return std::unique_ptr<BoxHead>(
      std::make_unique<YoloxHead>(std::move(rows), std::move(levels), reader.labels(), is_sigmoid));
}

}  // namespace verge::vision
