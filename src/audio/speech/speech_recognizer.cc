#include "audio/speech/speech_recognizer.h"

#include <fmt/format.h>

#include "audio/speech/recognition/encoder_decoder.h"

namespace verge::audio {
namespace {

constexpr double kSecondsMin = 0.1;
constexpr double kSecondsMax = 30;

}  // namespace

Status SpeechRecognizer::check_length(std::span<const float> samples) {
  const double seconds = static_cast<double>(samples.size()) / kRateHz;
  if (seconds >= kSecondsMin && seconds <= kSecondsMax) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("recognise {:.2f} s of sound: give {}..{} s", seconds, kSecondsMin, kSecondsMax)};
}

Result<std::unique_ptr<SpeechRecognizer>> SpeechRecognizer::load(const std::filesystem::path& folder,
                                                                 RecognizerOptions options, int threads) {
  if (options.beam < 1 || options.beam > kBeamMax) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("load the recogniser: beam is {}; give 1 to {}", options.beam, kBeamMax)};
  }
  return load_encoder_decoder(folder, {}, std::move(options), threads);
}

}  // namespace verge::audio
