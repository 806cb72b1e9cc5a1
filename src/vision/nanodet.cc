#include "vision/nanodet.h"

#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace verge::vision {
namespace {

int cells_across(int size, int stride) { return (size + stride - 1) / stride; }

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

std::optional<std::size_t> find_shape(const std::vector<inference::TensorInfo>& outputs,
                                      const inference::Shape& shape) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].type == inference::DataType::float32 && outputs[i].shape == shape) return i;
  }
  return std::nullopt;
}

struct Best {
  int label = 0;
  float score = -1;
};

Best best_of(const float* row, int labels, std::span<const int> wanted) {
  Best best;
  if (wanted.empty()) {
    for (int label = 0; label < labels; ++label) {
      if (row[label] > best.score) best = {label, row[label]};
    }
  }
  for (const int label : wanted) {
    if (row[label] > best.score) best = {label, row[label]};
  }
  return best;
}

}  // namespace

Result<std::vector<HeadPair>> find_heads(const std::vector<inference::TensorInfo>& outputs, const DetectorCard& card) {
  std::vector<HeadPair> heads;
  for (const int stride : card.strides) {
    const std::int64_t cells =
        std::int64_t{1} * cells_across(card.input.width, stride) * cells_across(card.input.height, stride);
    const inference::Shape score_shape{1, cells, static_cast<std::int64_t>(card.labels.size())};
    const inference::Shape box_shape{1, cells, 4 * card.bins};
    const auto scores = find_shape(outputs, score_shape);
    const auto boxes = find_shape(outputs, box_shape);
    if (!scores || !boxes) {
      std::string there;
      for (const auto& output : outputs) there += fmt::format(" {} {}", output.name, to_text(output.shape));
      return Error{ErrorCode::invalid_argument,
                   fmt::format("the card wants outputs {} and {} for stride {}, the model has:{}", to_text(score_shape),
                               to_text(box_shape), stride, there)};
    }
    heads.push_back({stride, *scores, *boxes});
  }
  return heads;
}

void decode_head(std::span<const float> scores, std::span<const float> boxes, int stride, const DetectorCard& card,
                 std::span<const int> wanted, float score_min, std::vector<Detection>& found) {
  const int labels = static_cast<int>(card.labels.size());
  const int across = cells_across(card.input.width, stride);
  const int down = cells_across(card.input.height, stride);
  VERGE_ASSERT(scores.size() == static_cast<std::size_t>(across) * static_cast<std::size_t>(down * labels));
  VERGE_ASSERT(boxes.size() == static_cast<std::size_t>(across) * static_cast<std::size_t>(down * 4 * card.bins));
  const auto pixels = static_cast<float>(stride);
  for (int cell = 0; cell < across * down; ++cell) {
    const Best best = best_of(scores.data() + static_cast<std::ptrdiff_t>(cell) * labels, labels, wanted);
    if (!(best.score >= score_min)) continue;
    const float* sides = boxes.data() + static_cast<std::ptrdiff_t>(cell) * 4 * card.bins;
    const auto distance = [&](int side) { return expectation(sides + side * card.bins, card.bins) * pixels; };
    const float x = (static_cast<float>(cell % across) + 0.5F) * pixels;
    const float y = (static_cast<float>(cell / across) + 0.5F) * pixels;
    found.push_back({{x - distance(0), y - distance(1), x + distance(2), y + distance(3)}, best.score, best.label});
  }
}

}  // namespace verge::vision
