// audio/features/log_mel_bench.cc -- log-mel energies of 11 s of sound, whole and in blocks of 20 ms.
#include <benchmark/benchmark.h>
#include <random>

#include "audio/features/log_mel.h"

namespace {

void add_sound(benchmark::State& state) {
  std::mt19937 draw(1);
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> samples(16'000 * 11), frames;
  for (float& sample : samples) sample = normal(draw);
  const auto piece = static_cast<std::size_t>(state.range(0) == 0 ? 16'000 * 11 : state.range(0));
  auto mel = verge::audio::LogMel::make({});
  for (auto _ : state) {
    frames.clear();
    for (std::size_t at = 0; at < samples.size(); at += piece)
      mel->add(std::span(samples).subspan(at, std::min(piece, samples.size() - at)), frames);
    mel->reset();
    benchmark::DoNotOptimize(frames.data());
  }
  state.counters["x_realtime"] = benchmark::Counter(11.0, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(add_sound)->Arg(0)->Arg(320);

}  // namespace

BENCHMARK_MAIN();
