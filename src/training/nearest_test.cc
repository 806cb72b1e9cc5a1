#include "training/nearest.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace verge::training {
namespace {

/// Vectors of two strong directions, noise and an offset.
std::vector<float> cloud(std::size_t count, std::size_t dimensions, float noise, float offset, unsigned seed) {
  std::mt19937 draw(seed);
  std::normal_distribution<float> normal;
  std::vector<float> result(count * dimensions);
  for (std::size_t row = 0; row < count; ++row) {
    const float along = 3 * normal(draw), across = normal(draw);
    for (std::size_t i = 0; i < dimensions; ++i) {
      const auto place = static_cast<float>(i);
      result[row * dimensions + i] =
          offset + along * std::sin(place) + across * std::cos(2 * place) + noise * normal(draw);
    }
  }
  return result;
}

std::vector<Neighbour> measure_all(const std::vector<float>& queries, const std::vector<float>& rows,
                                   std::size_t dimensions, std::size_t wanted) {
  std::vector<Neighbour> result;
  for (std::size_t query = 0; query < queries.size() / dimensions; ++query) {
    std::vector<Neighbour> all;
    for (std::size_t row = 0; row < rows.size() / dimensions; ++row) {
      all.push_back({static_cast<std::uint32_t>(row),
                     squared_distance(&queries[query * dimensions], &rows[row * dimensions], dimensions)});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Neighbour& a, const Neighbour& b) { return a.squared < b.squared; });
    all.resize(wanted, all.back());
    result.insert(result.end(), all.begin(), all.end());
  }
  return result;
}

struct NearestCase {
  const char* name;
  std::size_t rows, dimensions, queries;
  float noise, offset;
  int neighbours;
};

class EveryWay : public testing::TestWithParam<NearestCase> {};

TEST_P(EveryWay, GivesWhatMeasuringAllWouldToTheBit) {
  const NearestCase& data = GetParam();
  const auto rows = cloud(data.rows, data.dimensions, data.noise, data.offset, 1);
  const auto queries = cloud(data.queries, data.dimensions, data.noise, data.offset, 2);
  const auto wanted = measure_all(queries, rows, data.dimensions, static_cast<std::size_t>(data.neighbours));
  std::vector<Neighbour> found(wanted.size());
  for (const FirstPass pass : {FirstPass::chosen, FirstPass::int16, FirstPass::int8, FirstPass::float32}) {
    for (const bool uses_axes : {true, false}) {
      for (const KernelLevel level : {KernelLevel::plain, KernelLevel::avx2, KernelLevel::avx512}) {
        if (level > kernel_level()) continue;
        auto bank = NearestBank::make(rows, data.dimensions, {pass, uses_axes, level});
        ASSERT_TRUE(bank) << bank.error().message;
        for (const int threads : {1, 3}) {
          ASSERT_TRUE(bank->find(queries, data.neighbours, threads, found));
          EXPECT_EQ(found, wanted) << "pass " << static_cast<int>(pass) << ", axes " << uses_axes << ", level "
                                   << static_cast<int>(level);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Nearest, EveryWay,
                         testing::Values(NearestCase{"two directions", 300, 96, 25, 0.1F, 0, 1},
                                         NearestCase{"noise alone", 200, 40, 13, 1.0F, 0, 3},
                                         NearestCase{"far from zero", 300, 64, 20, 0.01F, 3000.0F, 1},
                                         NearestCase{"no noise: many nearly equal", 120, 48, 11, 0, 1, 16},
                                         NearestCase{"fewer rows than asked for", 5, 7, 4, 1, 0, 9},
                                         NearestCase{"one number each", 33, 1, 8, 1, 0, 2},
                                         NearestCase{"one row", 1, 17, 7, 1, 0, 1},
                                         NearestCase{"tiny numbers", 100, 33, 9, 1e-12F, 0, 2}),
                         [](const auto& row) { return "Case" + std::to_string(row.index); });

TEST(NearestBank, LooksAtPrincipalAxesOnlyWhereTheyTellEnough) {
  const auto structured = NearestBank::make(cloud(500, 128, 0.02F, 0, 1), 128);
  ASSERT_TRUE(structured);
  EXPECT_EQ(structured->compared(), 17U);
  const auto noise = NearestBank::make(cloud(500, 128, 50, 0, 1), 128);
  ASSERT_TRUE(noise);
  EXPECT_EQ(noise->compared(), 128U);
}

TEST(NearestBank, TakesBytesOnlyWhereTheyTellEnough) {
  const auto noise = NearestBank::make(cloud(500, 128, 50, 0, 1), 128);
  ASSERT_TRUE(noise);
  EXPECT_EQ(noise->first_pass(), kernel_level() == KernelLevel::avx512 ? FirstPass::int8 : FirstPass::int16);
  // A strong direction makes steps of 8 bits longer than what tells neighbours apart.
  const auto structured = NearestBank::make(cloud(500, 128, 0.02F, 0, 1), 128);
  ASSERT_TRUE(structured);
  EXPECT_EQ(structured->first_pass(), FirstPass::int16);
}

TEST(NearestBank, EqualRowsAreFoundInTheirOrder) {
  const std::vector<float> rows{1, 1, 0, 0, 1, 1, 0, 0};
  const auto bank = NearestBank::make(rows, 2);
  ASSERT_TRUE(bank);
  std::vector<Neighbour> found(3);
  ASSERT_TRUE(bank->find(std::vector<float>{1, 1}, 3, 1, found));
  EXPECT_EQ(found, (std::vector<Neighbour>{{0, 0}, {2, 0}, {1, 2}}));
}

TEST(NearestBank, RefusesWhatItCannotAnswer) {
  EXPECT_FALSE(NearestBank::make({}, 3));
  EXPECT_FALSE(NearestBank::make({1, 2, 3, 4}, 3));
  EXPECT_FALSE(NearestBank::make({1, std::numeric_limits<float>::quiet_NaN()}, 2));
  const auto bank = NearestBank::make({1, 2, 3, 4}, 2);
  ASSERT_TRUE(bank);
  std::vector<Neighbour> found(17);
  EXPECT_FALSE(bank->find(std::vector<float>{1, 2}, 17, 1, found));
  EXPECT_FALSE(bank->find(std::vector<float>{1, 2}, 0, 1, {}));
  EXPECT_FALSE(bank->find(std::vector<float>{1, 2, 3}, 1, 1, std::span(found).first(1)));
  EXPECT_FALSE(
      bank->find(std::vector<float>{1, std::numeric_limits<float>::infinity()}, 1, 1, std::span(found).first(1)));
  EXPECT_TRUE(bank->find({}, 1, 1, {}));
}

}  // namespace
}  // namespace verge::training
