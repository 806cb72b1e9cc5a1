#include "audio/speech/voice_batch.h"

#include <algorithm>

#include "audio/speech/voice_network.h"
#include "base/crypto.h"
#include "base/disk.h"

namespace verge::audio {
namespace {

constexpr std::size_t kDetectorBytesMax = 256U << 20U;

bool has_all(const inference::Session& session, std::initializer_list<std::string_view> names) {
  return std::ranges::all_of(names, [&](std::string_view name) {
    return std::ranges::any_of(session.inputs(), [&](const auto& input) { return input.name == name; });
  });
}

}  // namespace

Result<std::shared_ptr<VoiceBatch>> VoiceBatch::load(const std::filesystem::path& model) {
  VERGE_TRY(std::string bytes, read_file(model, kDetectorBytesMax));
  std::string digest = sha256_digest(bytes);
  VERGE_TRY(auto published, inference::load_onnx_bytes(bytes));
  if (!has_all(*published, {"input", "state", "sr"})) {
    return Error{ErrorCode::invalid_argument, "load the voice detector \"" + model.string() +
                                                  "\": it has not the inputs \"input\", \"state\" and \"sr\"; give a "
                                                  "Silero VAD model (5 or later)"};
  }
  // Another release may have another network; it runs as it was published.
  if (const auto parsed = models::parse_model(bytes); parsed) {
    if (const auto plain = plain_voice_network(*parsed); plain) {
      VERGE_TRY(published, inference::load_onnx_bytes(models::to_bytes(*plain)));
    }
  }
  return std::shared_ptr<VoiceBatch>(new VoiceBatch(std::move(published), std::move(digest)));
}

VoiceBatch::VoiceBatch(std::unique_ptr<inference::Session> session, std::string digest)
    : session_(std::move(session)),
      digest_(std::move(digest)),
      wants_rate_(has_all(*session_, {"sr"})),
      rate_(inference::DataType::int64, {}) {
  rate_.values<std::int64_t>()[0] = 16'000;
}

std::unique_ptr<VoiceBatch::Voice> VoiceBatch::join(const std::shared_ptr<VoiceBatch>& batch) {
  const std::lock_guard lock(batch->mutex_);
  ++batch->voice_count_;
  return std::unique_ptr<Voice>(new Voice(batch));
}

VoiceBatch::Voice::Voice(std::shared_ptr<VoiceBatch> batch)
    : batch_(std::move(batch)), window_(kContextSamples + kBlockSamples), state_(2 * kStateSize) {}

VoiceBatch::Voice::~Voice() {
  const std::lock_guard lock(batch_->mutex_);
  std::erase(batch_->waiting_, this);
  --batch_->voice_count_;
}

Result<std::vector<float>> VoiceBatch::Voice::add(std::span<const float> samples) {
  VERGE_ASSERT(samples.size() == kBlockSamples);
  const std::lock_guard lock(batch_->mutex_);
  if (is_waiting_) batch_->run_waiting();
  std::copy(window_.end() - kContextSamples, window_.end(), window_.begin());
  std::ranges::copy(samples, window_.begin() + kContextSamples);
  is_waiting_ = true;
  batch_->waiting_.push_back(this);
  if (batch_->waiting_.size() >= std::min(batch_->voice_count_, kStreamsMax)) batch_->run_waiting();
  return take();
}

Result<std::vector<float>> VoiceBatch::Voice::finish() {
  const std::lock_guard lock(batch_->mutex_);
  if (is_waiting_) batch_->run_waiting();
  return take();
}

Result<std::vector<float>> VoiceBatch::Voice::take() {
  if (!errors_.empty()) {
    Error error = std::move(errors_.back());
    errors_.clear();
    return error;
  }
  return std::exchange(known_, {});
}

void VoiceBatch::Voice::reset() {
  const std::lock_guard lock(batch_->mutex_);
  if (is_waiting_) std::erase(batch_->waiting_, this);
  is_waiting_ = false;
  known_.clear();
  std::ranges::fill(window_, 0.0F);
  std::ranges::fill(state_, 0.0F);
}

void VoiceBatch::run_waiting() {
  const auto voices = std::exchange(waiting_, {});
  const Status done = run(voices);
  for (Voice* voice : voices) {
    voice->is_waiting_ = false;
    if (!done) voice->errors_ = {done.error()};
  }
}

Status VoiceBatch::run(std::span<Voice* const> voices) {
  const auto count = static_cast<std::int64_t>(voices.size());
  constexpr auto kWindow = static_cast<std::int64_t>(kContextSamples + kBlockSamples);
  input_.reshape({count, kWindow});
  state_.reshape({2, count, static_cast<std::int64_t>(kStateSize)});
  next_state_.reshape(state_.shape());
  output_.reshape({count, 1});
  const auto halves = state_.values<float>();
  for (std::size_t at = 0; at < voices.size(); ++at) {
    const Voice& voice = *voices[at];
    std::ranges::copy(voice.window_, input_.values<float>().begin() + static_cast<std::ptrdiff_t>(at) * kWindow);
    for (std::size_t half = 0; half < 2; ++half) {
      std::copy_n(voice.state_.begin() + static_cast<std::ptrdiff_t>(half * kStateSize), kStateSize,
                  halves.begin() + static_cast<std::ptrdiff_t>((half * voices.size() + at) * kStateSize));
    }
  }
  const inference::NamedTensor inputs[] = {{"input", &input_}, {"state", &state_}, {"sr", &rate_}};
  const inference::NamedTarget outputs[] = {{"output", &output_}, {"stateN", &next_state_}};
  VERGE_CHECK(session_->run_into(std::span(inputs).first(wants_rate_ ? 3 : 2), outputs));
  const auto next = next_state_.values<float>();
  for (std::size_t at = 0; at < voices.size(); ++at) {
    voices[at]->known_.push_back(output_.values<float>()[at]);
    for (std::size_t half = 0; half < 2; ++half) {
      std::copy_n(next.begin() + static_cast<std::ptrdiff_t>((half * voices.size() + at) * kStateSize), kStateSize,
                  voices[at]->state_.begin() + static_cast<std::ptrdiff_t>(half * kStateSize));
    }
  }
  return Done{};
}

Result<std::shared_ptr<VoiceBatch>> VoiceBatches::open(const std::filesystem::path& model) {
  const std::lock_guard lock(mutex_);
  auto& place = opened_[model.lexically_normal()];
  if (auto there = place.lock()) return there;
  VERGE_TRY(auto made, VoiceBatch::load(model));
  place = made;
  return made;
}

}  // namespace verge::audio
