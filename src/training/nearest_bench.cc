// training/nearest_bench.cc -- nearest neighbours as visual anomaly detection asks for them: 784 patches, 16,000 kept.
#include <benchmark/benchmark.h>
#include <cmath>
#include <random>

#include "training/nearest.h"

namespace {

using verge::training::FirstPass;
using verge::training::NearestBank;
using verge::training::Neighbour;

/// rank 0: independent numbers; else mixtures of so many directions whose strength falls, and a little noise.
std::vector<float> vectors_of(std::size_t count, std::size_t dimensions, std::size_t rank, unsigned seed) {
  std::mt19937 draw(seed), directions_draw(1);
  std::normal_distribution<float> normal;
  std::vector<float> directions(rank * dimensions), result(count * dimensions);
  for (float& value : directions) value = normal(directions_draw);
  for (std::size_t row = 0; row < count; ++row) {
    float* target = &result[row * dimensions];
    for (std::size_t i = 0; i < dimensions; ++i) target[i] = rank == 0 ? normal(draw) : 0.05F * normal(draw);
    for (std::size_t k = 0; k < rank; ++k) {
      const float strength = normal(draw) / static_cast<float>(k + 1);
      for (std::size_t i = 0; i < dimensions; ++i) target[i] += strength * directions[k * dimensions + i];
    }
  }
  return result;
}

void find_nearest(benchmark::State& state) {
  constexpr std::size_t kDimensions = 384;
  const auto rank = static_cast<std::size_t>(state.range(0));
  const auto queries = vectors_of(784, kDimensions, rank, 3);
  auto bank =
      NearestBank::make(vectors_of(16'000, kDimensions, rank, 2), kDimensions,
                        {.first_pass = static_cast<FirstPass>(state.range(1)), .uses_axes = state.range(2) != 0});
  std::vector<Neighbour> found(784);
  for (auto _ : state) {
    if (!bank || !bank->find(queries, 1, 1, found)) state.SkipWithError("does not work");
  }
  if (bank) state.counters["compared"] = static_cast<double>(bank->compared());
}
BENCHMARK(find_nearest)
    ->ArgNames({"rank", "pass", "axes"})
    ->ArgsProduct({{0, 64}, {1, 2, 3}, {0}})  // int16, int8, float32
    ->Args({0, 0, 1})
    ->Args({64, 0, 1})
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
