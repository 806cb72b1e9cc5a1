#include "audio/recording/recording_source.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "audio/recording/recording.h"
#include "pipeline/restart.h"

namespace verge::audio {
namespace {

constexpr int kMicrophoneRateHz = 16'000;
constexpr std::size_t kBlockSamples = 512;
constexpr std::int64_t kBlockUs = 1'000'000LL * static_cast<std::int64_t>(kBlockSamples) / kMicrophoneRateHz;

float level_of(const std::vector<float>& samples) {
  double sum = 0;
  for (const float sample : samples) sum += static_cast<double>(sample) * sample;
  const double power = sum / static_cast<double>(std::max<std::size_t>(1, samples.size()));
  return power > 1e-12 ? static_cast<float>(10 * std::log10(power)) : -120.0F;
}

class RecordingSource final : public pipeline::Source {
 public:
  RecordingSource(RecordingOptions options, const pipeline::Context& context)
      : options_(std::move(options)), clock_(*context.clock), restart_(clock_) {
    restart_.offer(context);
  }

  Status open() override {
    sound_.clear();
    for (const auto& file : options_.files) {
      VERGE_TRY(auto recording, read_recording(file, kMicrophoneRateHz));
      sound_.insert(sound_.end(), recording.samples.begin(), recording.samples.end());
      sound_.resize(sound_.size() + static_cast<std::size_t>(options_.pause_s * kMicrophoneRateHz), 0.0F);
    }
    return Done{};
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    std::int64_t next_us = clock_.monotonic_us();
    std::size_t at = 0;
    while (!should_stop()) {
      if (at >= sound_.size()) {
        if (!options_.loop) return Done{};
        at = 0;
      }
      if (restart_.take()) at = 0;
      const std::int64_t captured_us = clock_.now_us();
      emit(packet_at(at, captured_us));
      at += kBlockSamples;
      next_us += kBlockUs;
      if (options_.is_paced) wait_until(next_us);
    }
    return Done{};
  }

  bool is_live() const override { return options_.is_paced; }

 private:
  pipeline::Packet packet_at(std::size_t at, std::int64_t captured_us) const {
    auto block = std::make_shared<pipeline::AudioBlock>();
    block->rate_hz = kMicrophoneRateHz;
    const auto end = std::min(at + kBlockSamples, sound_.size());
    block->samples.assign(sound_.begin() + static_cast<std::ptrdiff_t>(at),
                          sound_.begin() + static_cast<std::ptrdiff_t>(end));
    block->samples.resize(kBlockSamples, 0.0F);
    block->level_db = level_of(block->samples);
    pipeline::Packet packet;
    packet.captured_us = captured_us;
    packet.monotonic_us = clock_.monotonic_us();
    packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(block));
    return packet;
  }

  void wait_until(std::int64_t monotonic_us) const {
    const std::int64_t delay_us = monotonic_us - clock_.monotonic_us();
    if (delay_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
  }

  const RecordingOptions options_;
  const Clock& clock_;
  pipeline::Restart restart_;
  std::vector<float> sound_;
};

}  // namespace

Result<std::unique_ptr<pipeline::Source>> make_recording_source(RecordingOptions options,
                                                                const pipeline::Context& context) {
  if (options.files.empty())
    return Error{ErrorCode::invalid_argument, "the source \"recording\" needs files: a list of sound files"};
  if (options.pause_s < 0 || options.pause_s > 60)
    return Error{ErrorCode::invalid_argument, "recording: pause_s must be 0..60"};
  return std::unique_ptr<pipeline::Source>(new RecordingSource(std::move(options), context));
}

}  // namespace verge::audio
