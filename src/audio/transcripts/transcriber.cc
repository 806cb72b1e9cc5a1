#include "audio/transcripts/transcriber.h"

#include <algorithm>
#include <cmath>

#include "audio/recording/recording.h"
#include "audio/speech/voice_detector.h"
#include "audio/speech/voice_stage.h"
#include "audio/transcripts/flac.h"

namespace verge::audio {
namespace {

constexpr int kRateHz = 16'000;
constexpr double kSilenceBehind_s = 1;
constexpr std::size_t kTellEveryBlocks = 64;  ///< About two seconds of sound.

std::int64_t us_of_sample(std::size_t sample) { return static_cast<std::int64_t>(sample) * 1'000'000 / kRateHz; }

pipeline::Packet block_at(const std::vector<float>& samples, std::size_t at) {
  auto block = std::make_shared<pipeline::AudioBlock>();
  block->rate_hz = kRateHz;
  const auto begin = samples.begin() + static_cast<std::ptrdiff_t>(std::min(at, samples.size()));
  const auto count = std::min(VoiceDetector::kBlockSamples, static_cast<std::size_t>(samples.end() - begin));
  block->samples.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  block->samples.resize(VoiceDetector::kBlockSamples);
  pipeline::Packet packet;
  packet.captured_us = packet.monotonic_us = us_of_sample(at);
  packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(block));
  return packet;
}

/// What was recorded there, as it was.
std::span<const float> recorded(const std::vector<float>& samples, double begin_s, std::size_t count) {
  const auto begin = std::min(samples.size(), static_cast<std::size_t>(std::lround(begin_s * kRateHz)));
  return {samples.data() + begin, std::min(count, samples.size() - begin)};
}

}  // namespace

Transcriber::Transcriber(TranscriberOptions options) : options_(std::move(options)) {}
Transcriber::~Transcriber() = default;

Result<std::unique_ptr<Transcriber>> Transcriber::load(TranscriberOptions options) {
  auto made = std::unique_ptr<Transcriber>(new Transcriber(std::move(options)));
  VERGE_TRY(made->recognizer_, SpeechRecognizer::load(made->options_.recognizer, {}, made->options_.threads));
  return made;
}

Status Transcriber::transcribe(const std::filesystem::path& recording, const Hooks& hooks) {
  VERGE_TRY(const auto sound, read_recording(recording, kRateHz, options_.recording_s_max));
  const auto& samples = sound.samples;
  // A stage of its own each time: nothing of the recording before is heard in this one.
  pipeline::Context context;
  context.stream = recording.filename().string();
  VoiceBatches batches;
  VERGE_TRY(const auto voice,
            make_voice_stage({.model = options_.detector, .segments = {}, .level = {}}, context, batches));

  Status status = Done{};
  const auto take = [&](const pipeline::Packet& packet) -> Status {
    const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
    if (!block || !block->is_segment) return Done{};
    const double begin_s = std::max(0.0, static_cast<double>(packet.captured_us) / 1e6);
    if (hooks.is_known && hooks.is_known(begin_s)) return Done{};
    VERGE_TRY(auto transcript, recognizer_->recognize(block->samples));
    const auto original = recorded(samples, begin_s, block->samples.size());
    if (transcript.text.empty() || original.empty()) return Done{};
    Found found;
    found.clip.text = found.clip.heard = transcript.text;
    found.clip.confidence = std::clamp(transcript.confidence, 0.0, 1.0);
    found.clip.words = std::move(transcript.words);
    found.clip.model = recognizer_->model_digest();
    found.clip.source = context.stream;
    found.clip.begin_s = begin_s;
    found.clip.duration_s = static_cast<double>(original.size()) / kRateHz;
    VERGE_TRY(found.sound, to_flac(original, kRateHz));
    return hooks.keep(std::move(found));
  };
  const auto emit = [&](const pipeline::Packet& packet) {
    if (status) status = take(packet);
  };

  // Silence behind, as behind a recording that plays as a microphone: the last utterance gets its padding, too.
  const auto end = samples.size() + static_cast<std::size_t>(kSilenceBehind_s * kRateHz);
  const double all_s = static_cast<double>(samples.size()) / kRateHz;
  for (std::size_t at = 0; at < end; at += VoiceDetector::kBlockSamples) {
    VERGE_CHECK(voice->process(block_at(samples, at), emit));
    VERGE_CHECK(status);
    if (hooks.tell && at / VoiceDetector::kBlockSamples % kTellEveryBlocks == 0)
      hooks.tell(std::min(all_s, static_cast<double>(at) / kRateHz), all_s);
  }
  VERGE_CHECK(voice->close(emit));
  VERGE_CHECK(status);
  if (hooks.tell) hooks.tell(all_s, all_s);
  return Done{};
}

}  // namespace verge::audio
