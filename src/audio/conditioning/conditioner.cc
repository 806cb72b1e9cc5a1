#include "audio/conditioning/conditioner.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/assert.h"

namespace verge::audio {
namespace {

constexpr double kFrameS = 0.032;
constexpr double kOffsetHz = 20;
constexpr float kSpeechStandsOut = 4;  ///< 6 dB above the background: somebody speaks, or something happens.
constexpr double kSpeechMemoryS = 5;   ///< Of such sound.
constexpr double kNoiseMemoryS = 2;
constexpr float kPowerMin = 1e-10F;  ///< Of a range of bins: below what 16 bit can carry.

/// A power of two near 32 ms: 256 at 8 kHz, 512 at 16 kHz, 1024 at 44.1 kHz, 2048 at 48 kHz and more.
std::size_t frame_for(int rate_hz) {
  const double wanted = rate_hz * kFrameS;
  const auto below = std::bit_floor(static_cast<std::size_t>(wanted));
  return wanted / static_cast<double>(below) > 1.4142 ? 2 * below : below;
}

float sum_of(std::span<const float> values) { return std::accumulate(values.begin(), values.end(), 0.0F); }

}  // namespace

Conditioner::Conditioner(ConditionerOptions options, int rate_hz, std::size_t block_samples,
                         const std::optional<LearnedMicrophone>& learned)
    : options_(options),
      rate_hz_(rate_hz),
      block_samples_(block_samples),
      fourier_(frame_for(rate_hz)),
      hop_samples_(fourier_.size() / 2),
      map_(rate_hz, fourier_.size()),
      offset_(Biquad::high_pass(kOffsetHz, 0.7071, rate_hz)),
      hum_(rate_hz),
      noise_(fourier_.bins()),
      equalizer_({.gain_db_max = options.equalizer_db_max}, map_.count(),
                 learned ? learned->spectrum : LearnedSpectrum{}),
      level_(options.level, static_cast<double>(block_samples) / rate_hz, learned ? learned->gain_db : 0),
      window_(hann_window(fourier_.size())),
      input_(fourier_.size(), 0.0F),
      frame_(fourier_.size()),
      overlap_(fourier_.size(), 0.0F),
      ready_(2 * fourier_.size() + 2 * block_samples, 0.0F),
      block_(block_samples),
      spectrum_(fourier_.bins()),
      power_(fourier_.bins()),
      gains_(fourier_.bins(), 1.0F),
      equalizer_gains_(fourier_.bins(), 1.0F),
      clean_before_(fourier_.bins(), 0.0F) {
  VERGE_ASSERT(rate_hz >= 8000 && rate_hz <= 96'000 && block_samples >= 32 && block_samples <= 8192);
  for (float& value : window_) value = std::sqrt(value);
  // Blocks that are not made of whole hops wait for the next one.
  ready_count_ = block_samples % hop_samples_ == 0 ? 0 : hop_samples_;
  latency_samples_ = fourier_.size() - hop_samples_ + ready_count_;
  const double bin_hz = static_cast<double>(rate_hz) / static_cast<double>(fourier_.size());
  range_from_ = static_cast<std::size_t>(std::ceil(200 / bin_hz));
  range_to_ = std::min(fourier_.bins(), static_cast<std::size_t>(4000 / bin_hz) + 1);
}

void Conditioner::process(std::span<const float> samples, std::span<float> conditioned) {
  VERGE_ASSERT(samples.size() == block_samples_ && conditioned.size() == block_samples_);
  for (std::size_t at = 0; at < samples.size(); ++at) block_[at] = offset_.next(samples[at]);
  if (options_.removes_hum) hum_.process(block_);

  for (std::size_t at = 0; at < block_.size();) {
    const std::size_t count = std::min(hop_samples_ - input_fresh_, block_.size() - at);
    const auto place = input_.end() - static_cast<std::ptrdiff_t>(hop_samples_ - input_fresh_);
    std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(at), count, place);
    at += count;
    input_fresh_ += count;
    if (input_fresh_ == hop_samples_) run_frame();
  }
  VERGE_ASSERT(ready_count_ >= block_samples_);
  for (float& sample : conditioned) {
    sample = ready_[ready_from_];
    ready_from_ = ready_from_ + 1 == ready_.size() ? 0 : ready_from_ + 1;
  }
  ready_count_ -= block_samples_;
  if (options_.sets_level) level_.apply(conditioned, conditioned);
}

/// Takes the frame in input_, gives a hop of finished samples to ready_, makes room for the next hop.
void Conditioner::run_frame() {
  for (std::size_t at = 0; at < frame_.size(); ++at) frame_[at] = input_[at] * window_[at];
  fourier_.forward(frame_, spectrum_);
  const float scale = 2.0F / static_cast<float>(fourier_.size() * fourier_.size() / 2);  // Bins add up to mean squares.
  for (std::size_t bin = 0; bin < power_.size(); ++bin) power_[bin] = std::norm(spectrum_[bin]) * scale;
  noise_.add(power_);
  follow_speech();
  choose_gains();
  for (std::size_t bin = 0; bin < spectrum_.size(); ++bin) spectrum_[bin] *= gains_[bin];
  fourier_.inverse(spectrum_, frame_);
  for (std::size_t at = 0; at < frame_.size(); ++at) overlap_[at] += frame_[at] * window_[at];

  for (std::size_t at = 0; at < hop_samples_; ++at)
    ready_[(ready_from_ + ready_count_ + at) % ready_.size()] = overlap_[at];
  ready_count_ += hop_samples_;
  const auto hop = static_cast<std::ptrdiff_t>(hop_samples_);
  std::fill(std::copy(overlap_.begin() + hop, overlap_.end(), overlap_.begin()), overlap_.end(), 0.0F);
  std::copy(input_.begin() + hop, input_.end(), input_.begin());
  input_fresh_ = 0;
}

/// Long-term power of speech and background, and the speech's colour.
void Conditioner::follow_speech() {
  const double hop_s = static_cast<double>(hop_samples_) / rate_hz_;
  const std::size_t count = range_to_ - range_from_;
  const float now = sum_of(std::span(power_).subspan(range_from_, count));
  const float noise = std::max(kPowerMin, sum_of(noise_.power().subspan(range_from_, count)));
  noise_power_ += (noise - noise_power_) * (noise_power_ == 0 ? 1.0F : static_cast<float>(hop_s / kNoiseMemoryS));
  if (now < kSpeechStandsOut * std::max(noise, kPowerMin)) return;
  speech_heard_s_ += hop_s;
  const auto share = static_cast<float>(hop_s / std::min(speech_heard_s_, kSpeechMemoryS));
  speech_power_ += (now - noise - speech_power_) * share;
  equalizer_.add_speech(map_.mean_of(power_), map_.mean_of(noise_.power()), hop_s);
}

void Conditioner::choose_gains() {
  equalizer_db_ = equalizer_.gains_db(map_.mean_of(noise_.power()), facts().snr_db);
  map_.spread(equalizer_db_, equalizer_gains_);
  for (float& gain : equalizer_gains_) gain = std::pow(10.0F, gain / 20);
  if (options_.suppression_db <= 0) {
    std::copy(equalizer_gains_.begin(), equalizer_gains_.end(), gains_.begin());
    return;
  }
  // Wiener's gain with the decision-directed estimate of Ephraim & Malah 1984, never below the stated suppression:
  // background that stays at a constant lower level costs fewer words than background that comes and goes.
  constexpr float kMemory = 0.96F;
  const float least = std::pow(10.0F, -options_.suppression_db / 20);
  const auto noise = noise_.power();
  for (std::size_t bin = 0; bin < gains_.size(); ++bin) {
    const float above = std::max(0.0F, power_[bin] / noise[bin] - 1);
    const float ratio = kMemory * clean_before_[bin] / noise[bin] + (1 - kMemory) * above;
    const float gain = std::max(least, ratio / (1 + ratio));
    clean_before_[bin] = gain * gain * power_[bin];
    gains_[bin] = gain * equalizer_gains_[bin];
  }
}

ConditionFacts Conditioner::facts() const {
  ConditionFacts facts;
  facts.background_db = decibels(noise_power_);
  if (speech_power_ > 0) facts.snr_db = decibels(speech_power_) - decibels(std::max(noise_power_, kPowerMin));
  facts.gain_db = level_.gain_db();
  facts.hum_hz = hum_.mains_hz();
  facts.hum_db = hum_.level_db();
  facts.speech_s = equalizer_.learned().speech_s;
  const auto bands = map_.mean_of(noise_.power());
  std::transform(bands.begin(), bands.end(), facts.background_bands_db.begin(), decibels);
  facts.equalizer_bands_db = equalizer_db_;
  return facts;
}

LearnedMicrophone Conditioner::learned() const { return {equalizer_.learned(), level_.gain_db()}; }

}  // namespace verge::audio
