#include "audio/speech/voice_detector.h"

#include <algorithm>
#include <array>

namespace verge::audio {
namespace {

constexpr std::size_t kContextSamples = 64;

}  // namespace

Result<std::unique_ptr<VoiceDetector>> VoiceDetector::load(const std::filesystem::path& model) {
  VERGE_TRY(auto session, inference::load_onnx(model));
  for (const char* name : {"input", "state", "sr"}) {
    const auto& inputs = session->inputs();
    if (std::none_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.name == name; })) {
      return Error{ErrorCode::invalid_argument, "load the voice detector \"" + model.string() +
                                                    "\": it has no input \"" + name +
                                                    "\"; give a Silero VAD model (5 or later)"};
    }
  }
  return std::unique_ptr<VoiceDetector>(new VoiceDetector(std::move(session)));
}

VoiceDetector::VoiceDetector(std::unique_ptr<inference::Session> session)
    : session_(std::move(session)),
      input_(inference::DataType::float32, {1, static_cast<std::int64_t>(kContextSamples + kBlockSamples)}),
      state_(inference::DataType::float32, {2, 1, 128}),
      rate_(inference::DataType::int64, {}) {
  rate_.values<std::int64_t>()[0] = 16'000;
}

Result<float> VoiceDetector::probability(std::span<const float> samples) {
  VERGE_ASSERT(samples.size() == kBlockSamples);
  const auto window = input_.values<float>();
  std::copy(window.end() - static_cast<std::ptrdiff_t>(kContextSamples), window.end(), window.begin());
  std::copy(samples.begin(), samples.end(), window.begin() + static_cast<std::ptrdiff_t>(kContextSamples));

  const std::array<inference::NamedTensor, 3> inputs{{{"input", &input_}, {"state", &state_}, {"sr", &rate_}}};
  static constexpr std::array<std::string_view, 2> kWanted{"output", "stateN"};
  VERGE_TRY(auto outputs, session_->run(inputs, kWanted));
  state_ = std::move(outputs[1]);
  return outputs[0].values<float>()[0];
}

void VoiceDetector::reset() {
  std::ranges::fill(input_.values<float>(), 0.0F);
  std::ranges::fill(state_.values<float>(), 0.0F);
}

}  // namespace verge::audio
