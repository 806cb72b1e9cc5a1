#include "audio/speech/recognition/byte_table.h"

#include <gtest/gtest.h>
#include <random>

namespace verge::audio {
namespace {

/// width 37 is no multiple of any vector.
models::OnnxTensor some_bytes(models::ElementType type, std::size_t rows, std::size_t width) {
  models::OnnxTensor tensor;
  tensor.name = "table";
  tensor.type = type;
  tensor.shape = {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(width)};
  std::minstd_rand random(3);
  for (std::size_t i = 0; i < rows * width; ++i) tensor.bytes += static_cast<char>(random() % 256);
  return tensor;
}

TEST(ByteTable, MultipliesAsTheNumbersInFull) {
  for (const auto type : {models::ElementType::uint8, models::ElementType::int8}) {
    const int zero = type == models::ElementType::uint8 ? 131 : -5;
    const auto tensor = some_bytes(type, 5, 37);
    const auto table = ByteTable::make(tensor, 0.02F, zero);
    ASSERT_TRUE(table) << table.error().message;
    std::vector<float> vector(37), products(5);
    for (std::size_t i = 0; i < vector.size(); ++i) vector[i] = 0.1F * static_cast<float>(i) - 1.5F;
    table->multiply(vector, products);
    const auto numbers = tensor.as_doubles();
    for (std::size_t row = 0; row < 5; ++row) {
      double expected = 0;
      for (std::size_t i = 0; i < 37; ++i) expected += (numbers[row * 37 + i] - zero) * 0.02 * vector[i];
      EXPECT_NEAR(products[row], expected, 1e-3);
    }
    std::vector<std::uint8_t> bytes(37);
    table->read_row(3, bytes);
    EXPECT_EQ(std::string(bytes.begin(), bytes.end()), tensor.bytes.substr(std::size_t{3} * 37, 37));
  }
}

TEST(ByteTable, RefusesOtherNumbers) {
  auto tensor = some_bytes(models::ElementType::uint8, 4, 4);
  tensor.shape = {16};
  EXPECT_EQ(ByteTable::make(tensor, 1, 0).error().code, ErrorCode::invalid_argument);
  tensor.shape = {4, 4};
  tensor.type = models::ElementType::float32;
  EXPECT_EQ(ByteTable::make(tensor, 1, 0).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge::audio
