#include "audio/speech/voice_detector.h"

namespace verge::audio {

Result<std::unique_ptr<VoiceDetector>> VoiceDetector::load(const std::filesystem::path& model) {
  VERGE_TRY(auto batch, VoiceBatch::load(model));
  return std::unique_ptr<VoiceDetector>(new VoiceDetector(std::move(batch)));
}

VoiceDetector::VoiceDetector(std::shared_ptr<VoiceBatch> batch)
    : batch_(std::move(batch)), voice_(VoiceBatch::join(batch_)) {}

Result<float> VoiceDetector::probability(std::span<const float> samples) {
  VERGE_TRY(const auto known, voice_->add(samples));
  VERGE_ASSERT(known.size() == 1);  // Nobody else is waited for.
  return known.front();
}

}  // namespace verge::audio
