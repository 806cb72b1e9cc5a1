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

TEST(Tensor, ReshapingKeepsWhatFitsAndTheMemory) {
  const std::vector<float> values{1, 2, 3, 4};
  Tensor tensor = Tensor::of<float>({2, 2}, values);
  const void* place = tensor.data();
  tensor.reshape({1, 3});
  EXPECT_EQ(tensor.shape(), (Shape{1, 3}));
  EXPECT_EQ(tensor.values<float>()[2], 3.0F);
  tensor.reshape({4, 4});
  EXPECT_EQ(tensor.values<float>()[1], 2.0F);
  EXPECT_EQ(tensor.data(), place) << "64 bytes held 16 numbers from the beginning";
}

TEST(TensorDeathTest, AWrongElementSizeStopsTheProgram) {
  Tensor tensor(DataType::uint8, {4});
  EXPECT_DEATH((void)tensor.values<float>(), "bytes_of");
}

}  // namespace
}  // namespace verge::inference
