// audio/conditioning/biquad.h -- second-order filters, one sample after the other.
//
// Source: R. Bristow-Johnson, Audio EQ Cookbook. Threads: one stream.
#pragma once

namespace verge::audio {

class Biquad {
 public:
  /// frequency_hz: above 0, below rate_hz / 2. quality: 0.1..200; bandwidth = frequency / quality.
  static Biquad low_pass(double frequency_hz, double quality, double rate_hz);
  static Biquad high_pass(double frequency_hz, double quality, double rate_hz);
  static Biquad notch(double frequency_hz, double quality, double rate_hz);

  /// Takes another filter's frequency and quality, and keeps its own memory: no click.
  void retune(const Biquad& other);

  float next(float sample) {
    const double in = sample;
    const double out = b0_ * in + z1_;
    z1_ = b1_ * in - a1_ * out + z2_;
    z2_ = b2_ * in - a2_ * out;
    return static_cast<float>(out);
  }

 private:
  double b0_ = 1, b1_ = 0, b2_ = 0, a1_ = 0, a2_ = 0;
  double z1_ = 0, z2_ = 0;  ///< Double: a 50 Hz notch at 48 kHz has its poles next to the unit circle.
};

}  // namespace verge::audio
