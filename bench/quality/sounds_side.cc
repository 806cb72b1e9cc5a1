// bench/quality/sounds_side.cc -- our side of the benchmarks of what `verge train audio` teaches.
//
//   verge-bench-sounds look --model DIR [--microphone NAME] FILE...   one JSON line per recording: mean values of its
//   looks verge-bench-sounds streams --model DIR [--seconds N]              microphones that one core scores, blocks of
//   20 ms verge-bench-sounds logmel [--seconds N]                           log-mel, times real time, one thread
#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>

#include "audio/features/log_mel.h"
#include "audio/recording/recording.h"
#include "audio/simulated/machines.h"
#include "audio/sound/sound_model.h"
#include "base/json.h"
#include "training/validation.h"
#if __has_include("audio/simulated/microphone.h")
#include "audio/simulated/microphone.h"
#define VERGE_HAS_MICROPHONES 1
#endif

namespace verge::bench {
namespace {

struct SoundsSettings {
  std::string model, microphone;
  std::vector<std::string> files;
  double seconds = 5;
};

double processor_s() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Result<std::vector<float>> heard_through(std::vector<float> samples, const std::string& microphone) {
  if (microphone.empty()) return samples;
#ifdef VERGE_HAS_MICROPHONES
  return audio::simulated::hear(samples, microphone, "clean", 1);
#else
  return Error{ErrorCode::unavailable, "this build has no simulated microphones"};
#endif
}

Status look(const SoundsSettings& settings) {
  VERGE_TRY(const auto model, audio::SoundModel::load(settings.model));
  for (const auto& file : settings.files) {
    VERGE_TRY(auto recording, audio::read_recording(file, audio::kLookRateHz));
    VERGE_TRY(const auto samples, heard_through(std::move(recording.samples), settings.microphone));
    audio::RowPool pool(model->pool());
    std::vector<float> row(audio::kLookNumbers), pooled, mean(model->is_classifier() ? model->labels().size() : 1);
    double count = 0;
    const auto hear = [&]() -> Status {
      VERGE_TRY(const auto values, model->run(pooled));
      for (std::size_t at = 0; at < values.size(); ++at) mean[at] += values[at];
      ++count;
      return Done{};
    };
    for (const auto& each : audio::looks_of(samples)) {
      if (!audio::describe_look(each.energies, {}, row)) continue;
      pooled = pool.add(row);
      if (model->is_classifier() || pool.is_full()) VERGE_CHECK(hear());
    }
    if (count == 0 && !pooled.empty()) VERGE_CHECK(hear());  // A recording shorter than the model's mean.
    for (float& value : mean) value /= static_cast<float>(std::max(1.0, count));
    std::cout << Json{{"file", file}, {"values", mean}, {"labels", model->labels()}}.dump() << "\n";
  }
  return Done{};
}

Status streams(const SoundsSettings& settings) {
  VERGE_TRY(const auto model, audio::SoundModel::load(settings.model));
  VERGE_TRY(const auto sound, audio::simulated::machine_sound("motor", 10, 1));
  constexpr std::size_t kMicrophones = 50, kBlock = 320;
  std::vector<audio::SoundJudge> judges(kMicrophones, audio::SoundJudge(model));
  double heard_s = 0;
  const double begin = processor_s();
  while (processor_s() - begin < settings.seconds) {
    for (std::size_t at = 0; at + kBlock <= sound.size(); at += kBlock)
      for (auto& judge : judges) VERGE_CHECK(judge.add(std::span(sound).subspan(at, kBlock)));
    heard_s += static_cast<double>(kMicrophones) * static_cast<double>(sound.size()) / audio::kLookRateHz;
  }
  std::cout << Json{{"microphones_per_core", heard_s / (processor_s() - begin)}}.dump() << "\n";
  return Done{};
}

Status logmel(const SoundsSettings& settings) {
  training::SeededNumbers numbers(1);
  std::vector<float> sound(11 * 16'000), frames;
  for (float& sample : sound) sample = static_cast<float>(numbers.part() - 0.5);
  VERGE_TRY(auto mel, audio::LogMel::make({}));
  double heard_s = 0;
  const double begin = processor_s();
  while (processor_s() - begin < settings.seconds) {
    frames.clear();
    mel.add(sound, frames);
    mel.reset();
    heard_s += 11;
  }
  std::cout << Json{{"times_real_time", heard_s / (processor_s() - begin)}}.dump() << "\n";
  return Done{};
}

}  // namespace
}  // namespace verge::bench

int main(int argc, char** argv) {
  using namespace verge;
  CLI::App app("Our side of the sound benchmarks");
  app.require_subcommand(1);
  bench::SoundsSettings settings;
  Status status = Done{};
  auto* look = app.add_subcommand("look", "Values of recordings");
  look->add_option("--model", settings.model)->required();
  look->add_option("--microphone", settings.microphone);
  look->add_option("files", settings.files)->required();
  look->callback([&] { status = bench::look(settings); });
  auto* streams = app.add_subcommand("streams", "Microphones per core");
  streams->add_option("--model", settings.model)->required();
  streams->add_option("--seconds", settings.seconds)->check(CLI::Range(0.1, 600.0));
  streams->callback([&] { status = bench::streams(settings); });
  auto* logmel = app.add_subcommand("logmel", "Log-mel, times real time");
  logmel->add_option("--seconds", settings.seconds)->check(CLI::Range(0.1, 600.0));
  logmel->callback([&] { status = bench::logmel(settings); });
  CLI11_PARSE(app, argc, argv);
  if (status) return 0;
  std::cerr << status.error().message << "\n";
  return 1;
}
