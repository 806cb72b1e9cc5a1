// audio/features/log_mel.h -- sound as frames of logarithmic mel energies, as it streams in.
//
// A frame is `window` samples times a periodic Hann window; its power spectrum is gathered by triangles that are evenly
// spaced on the mel scale m = 2595 log10(1 + f / 700), each with a peak of 1, and the natural logarithm of the sum is
// taken. That is torchaudio.transforms.MelSpectrogram(n_fft = win_length = window, hop_length = hop, center = False,
// power = 2, mel_scale = "htk", norm = None) and librosa.feature.melspectrogram(htk = True, norm = None, center =
// False), then log(max(x, floor)).
//
// Several frames are transformed at once, one in each lane of a vector register, so a transform of any size needs no
// shuffling. Source: Stockham's self-sorting transform (Cochran et al. 1967), a real signal as half as many complex
// numbers (Press et al. 2007, section 12.3); mel scale: O'Shaughnessy 1987.
// Threads: one stream.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/kernel.h"
#include "base/result.h"

namespace verge::audio {

struct LogMelOptions {
  int rate_hz = 16'000;      ///< 1,000..192,000
  int window = 400;          ///< Samples of a frame, 16..8192: even, and half of it a product of 2, 3 and 5.
  int hop = 160;             ///< Samples from one frame to the next, 1..window.
  int mels = 80;             ///< Numbers per frame, 1..256.
  double low_hz = 0;         ///< Where the first triangle begins, 0..high_hz.
  double high_hz = 0;        ///< Where the last one ends, up to rate_hz / 2; 0: rate_hz / 2.
  float floor = 1e-10F;      ///< Smaller energies count as this, > 0.
  bool is_logarithm = true;  ///< False: the energies themselves, without a floor.
};

class LogMel {
 public:
  static constexpr std::size_t kLanes = 8;  ///< Frames that are transformed at once.

  /// Errors: invalid_argument naming the option and its range.
  static Result<LogMel> make(const LogMelOptions& options);

  /// Takes samples in pieces of any length and appends every frame that is complete to `frames`, [n, mels]. The first
  /// frame begins with the first sample. Equal samples give equal frames, however they are cut.
  void add(std::span<const float> samples, std::vector<float>& frames);
  /// Forgets what began.
  void reset() { waiting_.clear(); }

  const LogMelOptions& options() const { return options_; }
  std::size_t bins() const { return half_ + 1; }
  /// The triangle of mel band `mel` at each bin, [bins()].
  std::vector<float> triangle(std::size_t mel) const;

 private:
  struct Step {
    std::size_t radix, groups, stride;  ///< Transforms left in each: groups * radix; interleaved: stride.
    std::size_t twiddles;               ///< Where they begin, pairs of cosine and sine, [groups, radix - 1].
  };
  struct Band {
    std::size_t begin = 0, end = 0;  ///< Bins with a weight.
    std::size_t weights = 0;         ///< Where they begin.
  };
  explicit LogMel(const LogMelOptions& options);
  void plan_transform();
  void plan_triangles();
  template <class Lanes>
  void compute_lanes(const float* samples, std::size_t valid, float* frames);
  void compute_plain(const float* samples, std::size_t valid, float* frames);
  void compute_avx2(const float* samples, std::size_t valid, float* frames);
  void compute_avx512(const float* samples, std::size_t valid, float* frames);  ///< Also 8 lanes, but 32 registers.
  using Compute = void (LogMel::*)(const float*, std::size_t, float*);
  static Compute compute_at(KernelLevel level);

  LogMelOptions options_;
  std::size_t half_ = 1;
  Compute compute_ = nullptr;
  std::vector<Step> steps_;
  std::vector<float> window_;        ///< [window]
  std::vector<float> twiddles_;      ///< Of the steps.
  std::vector<float> turns_;         ///< Cosine and sine of pi k / half, [half / 2 + 1, 2].
  std::vector<Band> bands_;          ///< [mels]
  std::vector<float> band_weights_;  ///< Of all bands.
  std::vector<float> scratch_;       ///< Two buffers of complex numbers in lanes, then power, then output.
  std::vector<float> waiting_;       ///< Samples of frames that are not complete.
};

}  // namespace verge::audio
