#include "audio/conditioning/biquad.h"

#include <cmath>
#include <numbers>

#include "base/assert.h"

namespace verge::audio {
namespace {

struct Turn {
  double cosine, alpha;
};

Turn turn_of(double frequency_hz, double quality, double rate_hz) {
  VERGE_ASSERT(frequency_hz > 0 && frequency_hz < rate_hz / 2 && quality > 0);
  const double angle = 2 * std::numbers::pi * frequency_hz / rate_hz;
  return {std::cos(angle), std::sin(angle) / (2 * quality)};
}

}  // namespace

Biquad Biquad::low_pass(double frequency_hz, double quality, double rate_hz) {
  const auto [cosine, alpha] = turn_of(frequency_hz, quality, rate_hz);
  Biquad filter;
  filter.b1_ = (1 - cosine) / (1 + alpha);
  filter.b0_ = filter.b2_ = filter.b1_ / 2;
  filter.a1_ = -2 * cosine / (1 + alpha);
  filter.a2_ = (1 - alpha) / (1 + alpha);
  return filter;
}

Biquad Biquad::high_pass(double frequency_hz, double quality, double rate_hz) {
  const auto [cosine, alpha] = turn_of(frequency_hz, quality, rate_hz);
  Biquad filter;
  filter.b1_ = -(1 + cosine) / (1 + alpha);
  filter.b0_ = filter.b2_ = -filter.b1_ / 2;
  filter.a1_ = -2 * cosine / (1 + alpha);
  filter.a2_ = (1 - alpha) / (1 + alpha);
  return filter;
}

Biquad Biquad::notch(double frequency_hz, double quality, double rate_hz) {
  const auto [cosine, alpha] = turn_of(frequency_hz, quality, rate_hz);
  Biquad filter;
  filter.b0_ = filter.b2_ = 1 / (1 + alpha);
  filter.b1_ = filter.a1_ = -2 * cosine / (1 + alpha);
  filter.a2_ = (1 - alpha) / (1 + alpha);
  return filter;
}

void Biquad::retune(const Biquad& other) {
  const double z1 = z1_, z2 = z2_;
  *this = other;
  z1_ = z1;
  z2_ = z2;
}

}  // namespace verge::audio
