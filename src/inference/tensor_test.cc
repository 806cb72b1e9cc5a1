#include "inference/tensor.h"

#include <gtest/gtest.h>

namespace verge::inference {
namespace {

TEST(Tensor, IsZeroedAlignedAndShaped) {
  Tensor tensor(DataType::float32, {2, 3});
  EXPECT_EQ(tensor.count(), 6U);
  EXPECT_EQ(tensor.byte_count(), 24U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0U);
  for (const float value : tensor.values<float>()) EXPECT_EQ(value, 0.0F);
}

TEST(Tensor, OfTakesTheValuesInOrder) {
  const std::vector<std::int64_t> values{1, 2, 3};
  const Tensor tensor = Tensor::of<std::int64_t>({3}, values);
  EXPECT_EQ(tensor.type(), DataType::int64);
  EXPECT_EQ(tensor.values<std::int64_t>()[2], 3);
}

TEST(Tensor, ShapesReadAsText) {
  EXPECT_EQ(to_text(Shape{1, -1, 416}), "[1,?,416]");
  EXPECT_EQ(to_text(Shape{}), "[]");
  EXPECT_EQ(element_count({}), 1U);
  EXPECT_EQ(element_count({4, 0}), 0U);
}

TEST(TensorDeathTest, AWrongElementSizeStopsTheProgram) {
  Tensor tensor(DataType::uint8, {4});
  EXPECT_DEATH((void)tensor.values<float>(), "bytes_of");
}

}  // namespace
}  // namespace verge::inference
