// audio/conditioning/fourier.h -- the Fourier transform of real signals, and what is built on it: long convolution.
//
// Source: kissfft (header only). Threads: one call at a time; nothing is allocated after construction.
#pragma once

#include <complex>
#include <memory>
#include <span>
#include <vector>

namespace verge::audio {

class Fourier {
 public:
  /// size: even, 2..65536, products of 2, 3 and 5 are fast.
  explicit Fourier(std::size_t size);
  ~Fourier();
  std::size_t size() const { return size_; }
  std::size_t bins() const { return size_ / 2 + 1; }

  /// signal  [size]; spectrum  [bins], not scaled: a unit impulse at 0 gives ones.
  void forward(std::span<const float> signal, std::span<std::complex<float>> spectrum);
  /// The reverse of forward, scaled by 1 / size; the imaginary parts of the first and last bin do not count.
  void inverse(std::span<const std::complex<float>> spectrum, std::span<float> signal);

 private:
  struct Plans;
  const std::size_t size_;
  const std::unique_ptr<Plans> plans_;
  std::vector<std::complex<float>> scratch_, wave_;
};

/// Periodic Hann window, [size].
std::vector<float> hann_window(std::size_t size);

/// `signal` through the filter `response`, cut to the signal's length; the first `delay` samples are left out, so that
/// a filter that is symmetric around `delay` moves nothing. Cost: O(n log n).
std::vector<float> convolve(std::span<const float> signal, std::span<const float> response, std::size_t delay = 0);

}  // namespace verge::audio
