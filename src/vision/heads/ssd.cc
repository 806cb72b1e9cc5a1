// Source: Liu et al. 2016 (SSD): boxes [1, N, 4] and scores [1, N, labels], one more with a background. Where the model
// leaves the boxes as offsets from priors: x = prior x + dx * v0 * prior width, width = prior width * exp(dw * v1).
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "vision/heads/families.h"

namespace verge::vision {
namespace {

constexpr std::size_t kPriorsMax = 200'000;

enum class BoxOrder : std::uint8_t { corners, corners_yx, centre };  // As the words in make_ssd_head.
enum class Background : std::uint8_t { none, first, last };
enum class Activation : std::uint8_t { none, sigmoid, softmax };

/// Centre and size in pixels of the input.
struct Prior {
  float x = 0, y = 0, width = 0, height = 0;
};

/// Priors written out: [[x, y, width, height], …] in parts of the input.
Result<std::vector<Prior>> listed_priors(const HeadReader& reader, const Json& list) {
  std::vector<Prior> priors;
  if (list.empty() || list.size() > kPriorsMax) {
    return reader.mistake("priors", fmt::format("1 to {} boxes", kPriorsMax));
  }
  for (const Json& entry : list) {
    if (!entry.is_array() || entry.size() != 4 ||
        !std::ranges::all_of(entry, [](const Json& n) { return n.is_number(); }))
      return reader.mistake("priors", "boxes of four numbers: x, y of the centre, width, height in parts of the input");
    const auto at = [&](std::size_t i, int size) { return entry[i].get<float>() * static_cast<float>(size); };
    priors.push_back({at(0, reader.width()), at(1, reader.height()), at(2, reader.width()), at(3, reader.height())});
  }
  return priors;
}

/// Priors by rule: {"strides": [8, 16], "sizes": [[10, 16], [32]]}, squares in pixels around each cell's centre.
Result<std::vector<Prior>> ruled_priors(const HeadReader& reader, const Json& rule) {
  const Json* strides = find_member(rule, {"strides"});
  const Json* sizes = find_member(rule, {"sizes"});
  const auto is_side = [](const Json& n) { return n.is_number() && n.get<double>() > 0 && n.get<double>() <= 8192; };
  const auto are_sides = [&](const Json& row) {
    return row.is_array() && !row.empty() && row.size() <= 16 && std::ranges::all_of(row, is_side);
  };
  const bool is_sound =
      rule.size() == 2 && strides != nullptr && sizes != nullptr && strides->is_array() && sizes->is_array() &&
      strides->size() == sizes->size() && !strides->empty() && strides->size() <= 8 &&
      std::ranges::all_of(*sizes, are_sides) &&
      std::ranges::all_of(*strides, [&](const Json& n) { return n.is_number_integer() && is_side(n); });
  if (!is_sound) {
    return reader.mistake("priors",
                          R"(like {"strides": [8, 16], "sizes": [[10, 16], [32]]}: a list of sizes per stride)");
  }
  std::vector<Prior> priors;
  for (std::size_t level = 0; level < strides->size(); ++level) {
    const int stride = (*strides)[level].get<int>();
    const auto sides = (*sizes)[level].get<std::vector<float>>();
    const int across = cells_across(reader.width(), stride);
    const int cells = across * cells_across(reader.height(), stride);
    if (priors.size() + static_cast<std::size_t>(cells) * sides.size() > kPriorsMax) {
      return reader.mistake("priors", fmt::format("at most {} boxes", kPriorsMax));
    }
    for (int cell = 0; cell < cells; ++cell) {
      const float x = (static_cast<float>(cell % across) + 0.5F) * static_cast<float>(stride);
      const float y = (static_cast<float>(cell / across) + 0.5F) * static_cast<float>(stride);
      for (const float side : sides) priors.push_back({x, y, side, side});
    }
  }
  return priors;
}

struct SsdLayout {
  BoxOrder order = BoxOrder::corners;
  float across = 1, down = 1;  ///< Pixels of the input per unit of the boxes.
  Background background = Background::none;
  Activation activation = Activation::none;
  std::vector<Prior> priors;
  std::vector<float> variances{0.1F, 0.2F};  ///< Of centre and size.
};

class SsdHead final : public BoxHead {
 public:
  SsdHead(HeadOutput boxes, HeadOutput scores, SsdLayout layout, int labels)
      : boxes_(std::move(boxes)), scores_(std::move(scores)), layout_(std::move(layout)), labels_(labels) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    VERGE_TRY(const auto boxes, numbers_of(outputs, boxes_));
    VERGE_TRY(const auto scores, numbers_of(outputs, scores_));
    const auto classes = static_cast<std::size_t>(labels_ + (layout_.background == Background::none ? 0 : 1));
    const std::size_t count = boxes.size() / 4;
    if (scores.size() != count * classes || (!layout_.priors.empty() && layout_.priors.size() != count)) {
      return Error{ErrorCode::invalid_argument, fmt::format("read the model's answer: {} boxes, but {} rows of scores",
                                                            count, scores.size() / classes)};
    }
    for (std::size_t i = 0; i < count; ++i) {
      const BestLabel best = best_of_row({scores.data() + i * classes, classes}, wanted);
      if (!(best.score >= wanted.score_min)) continue;
      found.push_back({box_of(boxes.data() + 4 * i, i), best.score, best.label});
    }
    return Done{};
  }

 private:
  BestLabel best_of_row(std::span<const float> row, const Wanted& wanted) const {
    const float* first = row.data() + (layout_.background == Background::first ? 1 : 0);
    BestLabel best = best_label(first, 1, labels_, wanted.labels);
    if (layout_.activation == Activation::sigmoid) best.score = sigmoid(best.score);
    if (layout_.activation == Activation::softmax) {
      const float most = *std::ranges::max_element(row);
      float sum = 0;
      for (const float logit : row) sum += std::exp(logit - most);
      best.score = std::exp(best.score - most) / sum;
    }
    return best;
  }

  Box box_of(const float* b, std::size_t index) const {
    if (!layout_.priors.empty()) {
      const Prior& prior = layout_.priors[index];
      const float centre = layout_.variances[0];
      const float size = layout_.variances[1];
      return box_around(prior.x + b[0] * centre * prior.width, prior.y + b[1] * centre * prior.height,
                        prior.width * std::exp(b[2] * size), prior.height * std::exp(b[3] * size));
    }
    const float x = layout_.across;
    const float y = layout_.down;
    if (layout_.order == BoxOrder::centre) return box_around(b[0] * x, b[1] * y, b[2] * x, b[3] * y);
    if (layout_.order == BoxOrder::corners_yx) return {b[1] * x, b[0] * y, b[3] * x, b[2] * y};
    return {b[0] * x, b[1] * y, b[2] * x, b[3] * y};
  }

  HeadOutput boxes_, scores_;
  SsdLayout layout_;
  int labels_;
};

Status read_boxes(const HeadReader& reader, SsdLayout& layout) {
  VERGE_TRY(const std::size_t order, reader.word("order", {"corners", "corners_yx", "centre"}));
  VERGE_TRY(const std::size_t unit, reader.word("unit", {"parts", "pixels"}));
  layout.order = static_cast<BoxOrder>(order);
  if (unit == 0) {
    layout.across = static_cast<float>(reader.width());
    layout.down = static_cast<float>(reader.height());
  }
  const Json* priors = reader.find("priors");
  VERGE_TRY(layout.variances, reader.positive("variances", layout.variances));
  if (priors == nullptr) {
    if (reader.find("variances") != nullptr) return reader.mistake("variances", "left out where there are no priors");
    return Done{};
  }
  for (const char* member : {"order", "unit"}) {
    if (reader.find(member) != nullptr) return reader.mistake(member, "left out where there are priors");
  }
  if (!priors->is_array() && !priors->is_object())
    return reader.mistake("priors", "a list of boxes, or a rule for them");
  VERGE_TRY(layout.priors, priors->is_array() ? listed_priors(reader, *priors) : ruled_priors(reader, *priors));
  return Done{};
}

}  // namespace

Result<std::unique_ptr<BoxHead>> make_ssd_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({"order", "unit", "background", "activation", "priors", "variances"}));
  SsdLayout layout;
  VERGE_CHECK(read_boxes(reader, layout));
  VERGE_TRY(const std::size_t background, reader.word("background", {"none", "first", "last"}));
  VERGE_TRY(const std::size_t activation, reader.word("activation", {"none", "sigmoid", "softmax"}));
  layout.background = static_cast<Background>(background);
  layout.activation = static_cast<Activation>(activation);
  const std::int64_t count = layout.priors.empty() ? -1 : static_cast<std::int64_t>(layout.priors.size());
  VERGE_TRY(HeadOutput boxes, reader.output("boxes", {1, count, 4}));
  VERGE_TRY(HeadOutput scores, reader.output("scores", {1, count, reader.labels() + (background == 0 ? 0 : 1)}));
  return std::unique_ptr<BoxHead>(
      std::make_unique<SsdHead>(std::move(boxes), std::move(scores), std::move(layout), reader.labels()));
}

}  // namespace verge::vision
