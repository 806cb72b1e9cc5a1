// Picture to boxes beside the bare run of the same session, on one thread.
//
//   VERGE_BENCH_MODEL=models/nanodet-coco vision_whole_bench
#include <benchmark/benchmark.h>
#include <cstdlib>

#include "vision/recognition/detect.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

std::unique_ptr<Detector> make_detector(benchmark::State& state) {
  const char* folder = std::getenv("VERGE_BENCH_MODEL");
  if (folder == nullptr) {
    state.SkipWithError("set VERGE_BENCH_MODEL to a detector's model folder");
    return nullptr;
  }
  auto model = models::open_model(folder);
  auto detector = model ? Detector::make(*std::move(model), {.score_min = {}, .overlap_max = {}, .labels = {"person"}})
                        : Result<std::unique_ptr<Detector>>(model.error());
  if (!detector) {
    state.SkipWithError(detector.error().message.c_str());
    return nullptr;
  }
  return std::move(*detector);
}

std::shared_ptr<pipeline::Frame> street(int width, int height) {
  return testing::make_frame(pipeline::PixelFormat::yuv420, width, height,
                             [](int p, int x, int y) { return p == 0 ? (x * 3 + y * 5) & 0xFF : 100 + (x + y) % 50; });
}

void bare_run(benchmark::State& state) {
  auto detector = make_detector(state);
  if (!detector) return;
  const inference::NamedTensor inputs[] = {{detector->session().inputs()[0].name, &detector->input()}};
  for (auto _ : state) benchmark::DoNotOptimize(detector->session().run(inputs));
}

void picture_to_boxes(benchmark::State& state) {
  auto detector = make_detector(state);
  if (!detector) return;
  const auto frame = street(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(detector->detect(*frame));
}

void letterbox_only(benchmark::State& state) {
  const auto frame = street(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  const LetterboxOptions options{416, 416, true, {103.53F, 116.28F, 123.675F}, {57.375F, 57.12F, 58.395F}, 0};
  Letterbox letterbox(options);
  inference::Tensor tensor(options.type, shape_of(options));
  for (auto _ : state) benchmark::DoNotOptimize(letterbox.fill(*frame, tensor));
}

BENCHMARK(bare_run)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(picture_to_boxes)->Args({768, 576})->Args({1920, 1080})->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(letterbox_only)->Args({768, 576})->Args({1920, 1080})->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace verge::vision

BENCHMARK_MAIN();
