// vision/heads/test_heads.h -- cards and answers of models that do not exist; tests only.
#pragma once

#include <functional>
#include <gtest/gtest.h>

#include "base/json.h"
#include "vision/heads/box_head.h"

namespace verge::vision::testing {

/// A card of a picture of width x height pixels and labels a, b, c …
inline models::ModelCard card_of(const Json& head, int width, int height, std::size_t labels) {
  models::ModelCard card;
  card.name = "door";
  card.picture = models::PictureInput{};
  card.picture->width = width;
  card.picture->height = height;
  for (std::size_t i = 0; i < labels; ++i) card.labels.emplace_back(1, static_cast<char>('a' + i));
  card.head = head;
  return card;
}

struct NamedNumbers {
  std::string name;
  inference::Shape shape;
  std::vector<float> numbers;
};

inline std::vector<inference::TensorInfo> infos_of(const std::vector<NamedNumbers>& outputs) {
  std::vector<inference::TensorInfo> infos;
  for (const auto& output : outputs) infos.push_back({output.name, inference::DataType::float32, output.shape});
  return infos;
}

inline std::vector<inference::Tensor> tensors_of(const std::vector<NamedNumbers>& outputs) {
  std::vector<inference::Tensor> tensors;
  for (const auto& output : outputs) {
    tensors.push_back(inference::Tensor::of<float>(output.shape, std::span<const float>(output.numbers)));
  }
  return tensors;
}

inline std::vector<Detection> decoded(const models::ModelCard& card, const std::vector<NamedNumbers>& outputs,
                                      float score_min, const std::vector<int>& wanted = {}) {
  const auto head = make_box_head(card, infos_of(outputs));
  EXPECT_TRUE(head) << (head ? "" : head.error().message);
  std::vector<Detection> found;
  if (!head) return found;
  const auto status = (*head)->decode(tensors_of(outputs), {wanted, score_min}, found);
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  return found;
}

/// What one detection must be.
struct Expected {
  Box box;
  float score = 0;
  int label = 0;
};

inline void expect_found(const std::vector<Detection>& found, const std::vector<Expected>& expected,
                         float tolerance = 1e-3F) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].box.left, expected[i].box.left, tolerance);
    EXPECT_NEAR(found[i].box.top, expected[i].box.top, tolerance);
    EXPECT_NEAR(found[i].box.right, expected[i].box.right, tolerance);
    EXPECT_NEAR(found[i].box.bottom, expected[i].box.bottom, tolerance);
    EXPECT_NEAR(found[i].score, expected[i].score, 1e-5F);
    EXPECT_EQ(found[i].label, expected[i].label);
  }
}

}  // namespace verge::vision::testing
