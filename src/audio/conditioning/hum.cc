#include "audio/conditioning/hum.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace verge::audio {
namespace {

constexpr std::array kMainsHz{50.0, 60.0};
constexpr double kMainsTolerance = 0.006;  ///< As a part of the frequency.
constexpr float kOverNeighbours = 16;      ///< 12 dB: a tone, not a part of some noise.
constexpr std::uint32_t kLooks = 10;       ///< Half a second apart.
constexpr int kSeenToBegin = 7, kSeenToEnd = 2;
constexpr double kNotchHz = 4;  ///< Wide enough for the mains to wander between two looks.

std::size_t hum_frame_for(int rate_hz) {
  return std::min<std::size_t>(65'536, std::bit_ceil(static_cast<std::size_t>(rate_hz)));
}

int seen_in_looks(std::uint32_t seen) { return std::popcount(seen & ((1U << kLooks) - 1)); }

}  // namespace

HumFilter::HumFilter(int rate_hz)
    : rate_hz_(rate_hz),
      fourier_(hum_frame_for(rate_hz)),
      window_(hann_window(fourier_.size())),
      recent_(fourier_.size(), 0.0F),
      frame_(fourier_.size()),
      spectrum_(fourier_.bins()),
      power_(fourier_.bins()),
      until_look_(fourier_.size()) {}

void HumFilter::process(std::span<float> samples) {
  for (float& sample : samples) {
    recent_[at_] = sample;
    at_ = at_ + 1 == recent_.size() ? 0 : at_ + 1;
    if (--until_look_ == 0) {
      until_look_ = recent_.size() / 2;
      look();
    }
    if (!is_humming_) continue;
    for (auto& harmonic : harmonics_[base_])
      if (harmonic.is_filtered) sample = harmonic.notch.next(sample);
  }
}

void HumFilter::look() {
  for (std::size_t at = 0; at < frame_.size(); ++at) frame_[at] = recent_[(at_ + at) % recent_.size()] * window_[at];
  fourier_.forward(frame_, spectrum_);
  // A sine of amplitude a has a^2 / 2; its window spreads the square of half the window's sum.
  const float scale = 2.0F * 4 / static_cast<float>(fourier_.size() * fourier_.size());
  for (std::size_t bin = 0; bin < power_.size(); ++bin) power_[bin] = std::norm(spectrum_[bin]) * scale;

  for (std::size_t base = 0; base < kMainsHz.size(); ++base) {
    for (int number = 1; number <= kHarmonics; ++number) {
      auto& harmonic = harmonics_[base][static_cast<std::size_t>(number - 1)];
      const double expected_hz = kMainsHz[base] * number;
      if (expected_hz > 0.45 * rate_hz_) break;
      const auto tone = tone_near(expected_hz, expected_hz * kMainsTolerance);
      const bool is_there = tone.over_neighbours > kOverNeighbours && tone.power > 1e-10F;
      harmonic.seen = (harmonic.seen << 1U) | (is_there ? 1U : 0U);
      if (!is_there) continue;
      const bool is_known = harmonic.frequency_hz > 0;
      harmonic.frequency_hz += (tone.frequency_hz - harmonic.frequency_hz) * (is_known ? 0.3 : 1);
      harmonic.power += (tone.power - harmonic.power) * (is_known ? 0.3F : 1.0F);
    }
  }
  judge();
}

/// The strongest bin in reach, its place between the bins by a parabola, and how far it stands above what lies around.
HumFilter::Tone HumFilter::tone_near(double frequency_hz, double tolerance_hz) const {
  const double bin_hz = static_cast<double>(rate_hz_) / static_cast<double>(fourier_.size());
  const auto reach = static_cast<std::ptrdiff_t>(std::ceil(tolerance_hz / bin_hz)) + 1;
  const auto middle = static_cast<std::ptrdiff_t>(std::lround(frequency_hz / bin_hz));
  const auto from = power_.begin() + middle;
  const auto peak = std::max_element(from - reach, from + reach + 1);
  Tone tone;
  if (peak == from - reach || peak == from + reach) return tone;

  constexpr std::ptrdiff_t kOwn = 4, kAround = 12;  // A Hann window's main lobe is four bins wide.
  std::array<float, 2 * (kAround - kOwn)> around{};
  for (std::ptrdiff_t away = kOwn; away < kAround; ++away) {
    around[static_cast<std::size_t>(2 * (away - kOwn))] = *(peak - away);
    around[static_cast<std::size_t>(2 * (away - kOwn) + 1)] = *(peak + away);
  }
  std::nth_element(around.begin(), around.begin() + around.size() * 3 / 4, around.end());
  const float left = std::log(*(peak - 1) + 1e-20F), top = std::log(*peak + 1e-20F),
              right = std::log(*(peak + 1) + 1e-20F);
  const float bend = left - 2 * top + right;
  const double shift = bend < 0 ? 0.5 * (left - right) / bend : 0;
  tone.frequency_hz = (static_cast<double>(peak - power_.begin()) + shift) * bin_hz;
  tone.power = *peak;
  tone.over_neighbours = *peak / (around[around.size() * 3 / 4] + 1e-20F);
  return tone;
}

/// Hum is the mains' own frequency, or two of its multiples, seen in most looks.
void HumFilter::judge() {
  std::array<int, 2> lasting{};
  for (std::size_t base = 0; base < kMainsHz.size(); ++base) {
    for (const auto& harmonic : harmonics_[base])
      lasting[base] += static_cast<int>(seen_in_looks(harmonic.seen) >= kSeenToBegin);
  }
  const std::size_t stronger = lasting[1] > lasting[0] ? 1 : 0;
  const bool has_fundamental = seen_in_looks(harmonics_[stronger][0].seen) >= kSeenToBegin;
  if (!is_humming_ && (lasting[stronger] >= 2 || has_fundamental)) {
    is_humming_ = true;
    base_ = stronger;
  }
  if (is_humming_) tune();
}

void HumFilter::tune() {
  double sum = 0, weight = 0;
  float power = 0;
  bool is_any = false;
  for (int number = 1; number <= kHarmonics; ++number) {
    auto& harmonic = harmonics_[base_][static_cast<std::size_t>(number - 1)];
    const int seen = seen_in_looks(harmonic.seen);
    const bool was_filtered = harmonic.is_filtered;
    harmonic.is_filtered = seen >= (was_filtered ? kSeenToEnd : kSeenToBegin);
    if (!harmonic.is_filtered) continue;
    is_any = true;
    sum += harmonic.frequency_hz;  // A higher multiple tells the frequency so much more finely.
    weight += number;
    power += harmonic.power;
    const auto wanted = Biquad::notch(harmonic.frequency_hz, harmonic.frequency_hz / kNotchHz, rate_hz_);
    if (was_filtered) {
      harmonic.notch.retune(wanted);
    } else {
      harmonic.notch = wanted;
    }
  }
  is_humming_ = is_any;
  if (!is_any) return;
  mains_hz_ = sum / weight;
  level_db_ = 10 * std::log10(std::max(power, 1e-12F));
}

int HumFilter::harmonic_count() const {
  if (!is_humming_) return 0;
  return static_cast<int>(std::ranges::count_if(harmonics_[base_], &Harmonic::is_filtered));
}

}  // namespace verge::audio
