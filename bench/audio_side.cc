// bench/audio_side.cc -- our side of the audio benchmarks: waits for a command, works, prints the seconds (wall and
// processor).
//
//   verge-bench-audio --work WORK --clips DIR --models DIR [--threads 1]
//
// WORK: vad, stt-tiny, stt-base. The clips are files of 32-bit floats at 16 kHz, taken in the order of their names and
// again from the first. Commands on the standard input, each with a number; one JSON line answers each:
//   vad N   N blocks of 512 samples of one stream through the voice detector
//   vad16 N  N blocks of 16 streams together, N/16 of each
//   stt N   N clips to text; the answer has the texts by clip
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include "audio/speech/speech_recognizer.h"
#include "audio/speech/voice_detector.h"
#include "base/disk.h"
#include "base/json.h"
#include "inference/session.h"

namespace verge::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using audio::SpeechRecognizer;
using audio::VoiceBatch;
using audio::VoiceDetector;

constexpr std::size_t kStreams = 16;

struct Settings {
  std::string work, clips, models;
  int threads = 1;
};

struct SoundClip {
  std::string name;
  std::vector<float> samples;
};

Result<std::vector<SoundClip>> read_clips(const std::filesystem::path& folder) {
  std::vector<SoundClip> clips;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".f32") continue;
    VERGE_TRY(const std::string bytes, read_file(entry.path()));
    std::vector<float> samples(bytes.size() / sizeof(float));
    std::memcpy(samples.data(), bytes.data(), samples.size() * sizeof(float));
    clips.push_back({entry.path().stem().string(), std::move(samples)});
  }
  if (clips.empty()) return Error{ErrorCode::not_found, fmt::format("there is no .f32 file in {}", folder.string())};
  std::ranges::sort(clips, {}, &SoundClip::name);
  return clips;
}

/// One kind of work: N times, and what it found as JSON members of the answer.
using Work = std::function<Result<Json>(const std::string& command, std::size_t count)>;

Result<Work> make_vad(const Settings& settings, const std::vector<SoundClip>& clips) {
  VERGE_TRY(std::shared_ptr<VoiceDetector> detector,
            VoiceDetector::load(settings.models + "/silero-vad/silero_vad.onnx"));
  auto sound = std::make_shared<std::vector<float>>();
  for (const auto& clip : clips) sound->insert(sound->end(), clip.samples.begin(), clip.samples.end());
  auto block = std::make_shared<std::size_t>(0);
  const std::size_t blocks = sound->size() / VoiceDetector::kBlockSamples;
  VERGE_TRY(const auto batch, VoiceBatch::load(settings.models + "/silero-vad/silero_vad.onnx"));
  auto voices = std::make_shared<std::vector<std::unique_ptr<VoiceBatch::Voice>>>();
  for (std::size_t i = 0; i < kStreams; ++i) voices->push_back(VoiceBatch::join(batch));
  return Work([detector, voices, sound, block, blocks](const std::string& command, std::size_t count) -> Result<Json> {
    std::size_t voiced = 0;
    if (command == "vad16") {
      for (std::size_t i = 0; i < count; ++i) {
        const std::span samples(sound->data() + *block * VoiceDetector::kBlockSamples, VoiceDetector::kBlockSamples);
        VERGE_TRY(const auto known, (*voices)[i % kStreams]->add(samples));
        for (const float probability : known) voiced += probability >= 0.5F ? 1 : 0;
        if ((i + 1) % kStreams == 0) *block = (*block + 1) % blocks;
      }
      return Json{{"found", voiced}};
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::span samples(sound->data() + *block * VoiceDetector::kBlockSamples, VoiceDetector::kBlockSamples);
      VERGE_TRY(const float probability, detector->probability(samples));
      voiced += probability >= 0.5F ? 1 : 0;
      *block = (*block + 1) % blocks;
    }
    return Json{{"found", voiced}};
  });
}

Result<Work> make_stt(const Settings& settings, const std::vector<SoundClip>& clips) {
  const std::string size = settings.work.substr(std::string_view("stt-").size());
  VERGE_TRY(std::shared_ptr<SpeechRecognizer> recognizer,
            SpeechRecognizer::load(settings.models + "/moonshine-" + size, {}, settings.threads));
  return Work([recognizer, clips](const std::string&, std::size_t count) -> Result<Json> {
    Json texts = Json::object();
    std::size_t words = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const SoundClip& clip = clips[i % clips.size()];
      VERGE_TRY(const auto transcript, recognizer->recognize(clip.samples));
      words += transcript.words.size();
      texts[clip.name] = transcript.text;
    }
    return Json{{"found", words}, {"texts", texts}};
  });
}

Result<Work> make_work(const Settings& settings, const std::vector<SoundClip>& clips) {
  if (settings.work == "vad") return make_vad(settings, clips);
  if (settings.work.starts_with("stt-")) return make_stt(settings, clips);
  return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" is no work; see the top of this file", settings.work)};
}

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Status serve(const Settings& settings) {
  VERGE_TRY(const auto clips, read_clips(settings.clips));
  VERGE_TRY(const Work work, make_work(settings, clips));
  VERGE_TRY(const std::string version, inference::onnx_runtime_version());
  std::cout << to_text(Json{{"ready", "onnxruntime " + version}}) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    std::size_t count = 0;
    words >> command >> count;
    const double processor_begun = processor_s();
    const auto begun = SteadyClock::now();
    VERGE_TRY(Json answer, work(command, count));
    answer["seconds"] = std::chrono::duration<double>(SteadyClock::now() - begun).count();
    answer["processor_s"] = processor_s() - processor_begun;
    std::cout << to_text(answer) << std::endl;
  }
  return Done{};
}

int main_of(int count, char** words) {
  Settings settings;
  CLI::App app{"Our side of the audio benchmarks.", "verge-bench-audio"};
  app.add_option("--work", settings.work, "vad, stt-tiny, stt-base")->required();
  app.add_option("--clips", settings.clips, "Folder of .f32 files")->required();
  app.add_option("--models", settings.models, "Folder of models/…")->required();
  app.add_option("--threads", settings.threads, "Of one run of a model")->check(CLI::Range(1, 64));
  CLI11_PARSE(app, count, words);
  const Status served = serve(settings);
  if (served) return 0;
  std::cerr << "verge-bench-audio: " << served.error().message << '\n';
  return exit_code_of(served.error().code);
}

}  // namespace
}  // namespace verge::bench

int main(int count, char** words) { return verge::bench::main_of(count, words); }
