#include "audio/speech/recognition/sound_features.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "base/kernel.h"

namespace verge::audio {
namespace {

constexpr int kFeatureRateHz = 16'000;
constexpr std::size_t kHop = 160, kWindow = 400, kBands = 80;

/// Fourier transform of one window length as two matrices, so that no length is special; power of each bin.
class PowerSpectrum {
 public:
  explicit PowerSpectrum(std::size_t points)
      : points_(points), bins_(points / 2 + 1), cos_(bins_ * points), sin_(bins_ * points) {
    for (std::size_t bin = 0; bin < bins_; ++bin) {
      for (std::size_t at = 0; at < points; ++at) {
        const double angle =
            2 * std::numbers::pi * static_cast<double>(bin * at % points) / static_cast<double>(points);
        cos_[at * bins_ + bin] = static_cast<float>(std::cos(angle));
        sin_[at * bins_ + bin] = static_cast<float>(std::sin(angle));
      }
    }
  }
  std::size_t bins() const { return bins_; }
  /// windowed: up to `points` numbers, the rest counts as 0. power: bins numbers.
  void compute(std::span<const float> windowed, std::span<float> power) const {
    std::vector<float> real(bins_), imaginary(bins_);
    accumulate(windowed, real.data(), imaginary.data());
    for (std::size_t bin = 0; bin < bins_; ++bin) power[bin] = real[bin] * real[bin] + imaginary[bin] * imaginary[bin];
  }

 private:
  void accumulate(std::span<const float> windowed, float* real, float* imaginary) const {
    for (std::size_t at = 0; at < windowed.size(); ++at)
      add_row(windowed[at], cos_.data() + at * bins_, sin_.data() + at * bins_, bins_, real, imaginary);
  }
  VERGE_KERNEL static void add_row(float value, const float* cosine, const float* sine, std::size_t count, float* real,
                                   float* imaginary) {
    for (std::size_t i = 0; i < count; ++i) {
      real[i] += value * cosine[i];
      imaginary[i] += value * sine[i];
    }
  }
  std::size_t points_, bins_;
  std::vector<float> cos_, sin_;  ///< [points, bins]
};

/// Slaney's scale: linear to 1 kHz, logarithmic above (Auditory Toolbox 1998).
double slaney_mel(double hz) {
  constexpr double kBreakHz = 1000, kStep = 200.0 / 3;
  return hz < kBreakHz ? hz / kStep : kBreakHz / kStep + std::log(hz / kBreakHz) / (std::log(6.4) / 27);
}

/// O'Shaughnessy's formula, as Kaldi and HTK have it.
double kaldi_scale(double hz) { return 1127 * std::log(1 + hz / 700); }

struct Bands {
  std::vector<float> weights;  ///< [kBands, bins]
  std::size_t bins = 0;

  float apply(std::size_t band, std::span<const float> power) const {
    float sum = 0;
    for (std::size_t bin = 0; bin < bins; ++bin) sum += weights[band * bins + bin] * power[bin];
    return sum;
  }
};

/// Triangles with corners at equal distances on `scale`. In Kaldi the sides are straight on the scale itself, in
/// Slaney's filters on the frequency, and each has area 1 there.
Bands make_bands(const std::function<double(double)>& scale, double low_hz, double high_hz, std::size_t points,
                 bool is_straight_in_hz) {
  Bands bands;
  bands.bins = points / 2 + 1;
  bands.weights.assign(kBands * bands.bins, 0);
  const double low = scale(low_hz), step = (scale(high_hz) - low) / (kBands + 1);
  const auto hz_at = [&](double place) {  // The inverse of a growing function.
    double from = 0, to = kFeatureRateHz;
    for (int i = 0; i < 60; ++i) (scale((from + to) / 2) < place ? from : to) = (from + to) / 2;
    return (from + to) / 2;
  };
  for (std::size_t band = 0; band < kBands; ++band) {
    double corners[3];
    for (int i = 0; i < 3; ++i) {
      const double place = low + step * (static_cast<double>(band) + i);
      corners[i] = is_straight_in_hz ? hz_at(place) : place;
    }
    for (std::size_t bin = 0; bin < bands.bins; ++bin) {
      const double hz = static_cast<double>(bin) * kFeatureRateHz / static_cast<double>(points);
      const double at = is_straight_in_hz ? hz : scale(hz);
      const double weight =
          std::min((at - corners[0]) / (corners[1] - corners[0]), (corners[2] - at) / (corners[2] - corners[1]));
      const double area = is_straight_in_hz ? 2 / (corners[2] - corners[0]) : 1;
      bands.weights[band * bands.bins + bin] = static_cast<float>(std::max(0.0, weight) * area);
    }
  }
  return bands;
}

inference::Tensor normalized(std::span<const float> samples) {
  double sum = 0, squares = 0;
  for (const float sample : samples) sum += sample, squares += static_cast<double>(sample) * sample;
  const double mean = sum / static_cast<double>(samples.size());
  const double deviation = std::sqrt(squares / static_cast<double>(samples.size()) - mean * mean + 1e-7);
  auto tensor = inference::Tensor::of<float>({1, static_cast<std::int64_t>(samples.size())}, samples);
  for (float& value : tensor.values<float>()) value = static_cast<float>((value - mean) / deviation);
  return tensor;
}

inference::Tensor whisper_mel(std::span<const float> samples) {
  constexpr std::size_t kFrames = 3000, kAll = kFrames * kHop, kEdge = kWindow / 2;
  static const PowerSpectrum spectrum(kWindow);
  static const Bands bands = make_bands(slaney_mel, 0, 8000, kWindow, true);
  std::vector<float> sound(kAll + kWindow, 0.0F);
  std::ranges::copy(samples.first(std::min(samples.size(), kAll)), sound.begin() + kEdge);
  for (std::size_t i = 1; i <= kEdge; ++i) sound[kEdge - i] = sound[kEdge + i];  // Mirrored at the beginning.
  for (std::size_t i = 0; i < kEdge; ++i) sound[kEdge + kAll + i] = sound[kEdge + kAll - 2 - i];
  inference::Tensor mel(inference::DataType::float32, {1, static_cast<std::int64_t>(kBands), kFrames});
  const auto values = mel.values<float>();
  std::vector<float> windowed(kWindow), power(spectrum.bins());
  const std::size_t heard = std::min(kFrames, (samples.size() + kWindow) / kHop + 1);
  float largest = -10;
  for (std::size_t frame = 0; frame < kFrames; ++frame) {
    if (frame < heard) {
      for (std::size_t i = 0; i < kWindow; ++i) {
        const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / kWindow);
        windowed[i] = sound[frame * kHop + i] * static_cast<float>(hann);
      }
      spectrum.compute(windowed, power);
    }
    for (std::size_t band = 0; band < kBands; ++band) {
      const float value = frame < heard ? std::log10(std::max(1e-10F, bands.apply(band, power))) : -10.0F;
      values[band * kFrames + frame] = value;
      largest = std::max(largest, value);
    }
  }
  for (float& value : values) value = (std::max(value, largest - 8) + 4) / 4;
  return mel;
}

inference::Tensor kaldi_mel(std::span<const float> samples) {
  constexpr std::size_t kPoints = 512;
  constexpr float kEmphasis = 0.97F;
  static const PowerSpectrum spectrum(kPoints);
  static const Bands bands = make_bands(kaldi_scale, 20, 7600, kPoints, false);
  const std::size_t frames = samples.size() < kWindow ? 0 : 1 + (samples.size() - kWindow) / kHop;
  inference::Tensor mel(inference::DataType::float32,
                        {1, static_cast<std::int64_t>(frames), static_cast<std::int64_t>(kBands)});
  const auto values = mel.values<float>();
  std::vector<float> windowed(kWindow), power(spectrum.bins());
  for (std::size_t frame = 0; frame < frames; ++frame) {
    const auto sound = samples.subspan(frame * kHop, kWindow);
    float mean = 0;
    for (const float sample : sound) mean += sample / static_cast<float>(kWindow);
    for (std::size_t i = 0; i < kWindow; ++i) {
      const float before = (i == 0 ? sound[0] : sound[i - 1]) - mean;
      const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / (kWindow - 1));
      windowed[i] = (sound[i] - mean - kEmphasis * before) * static_cast<float>(std::pow(hann, 0.85));
    }
    spectrum.compute(windowed, power);
    for (std::size_t band = 0; band < kBands; ++band)
      values[frame * kBands + band] = std::log(std::max(1.1920929e-7F, bands.apply(band, power)));
  }
  return mel;
}

}  // namespace

std::optional<FeatureKind> feature_kind_from(std::string_view name) {
  if (name == "samples") return FeatureKind::samples;
  if (name == "normalized_samples") return FeatureKind::normalized_samples;
  if (name == "whisper_mel") return FeatureKind::whisper_mel;
  if (name == "kaldi_mel") return FeatureKind::kaldi_mel;
  return std::nullopt;
}

inference::Tensor features_of(FeatureKind kind, std::span<const float> samples) {
  switch (kind) {
    case FeatureKind::samples:
      return inference::Tensor::of<float>({1, static_cast<std::int64_t>(samples.size())}, samples);
    case FeatureKind::normalized_samples:
      return normalized(samples);
    case FeatureKind::whisper_mel:
      return whisper_mel(samples);
    case FeatureKind::kaldi_mel:
      return kaldi_mel(samples);
  }
  return {};
}

}  // namespace verge::audio
