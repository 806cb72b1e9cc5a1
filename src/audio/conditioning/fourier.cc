#include "audio/conditioning/fourier.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <kissfft/kissfft.hh>
#include <numbers>

#include "base/assert.h"

namespace verge::audio {

struct Fourier::Plans {
  kissfft<float> real, backward;
};

Fourier::Fourier(std::size_t size)
    : size_(size),
      plans_(new Plans{kissfft<float>(size / 2, false), kissfft<float>(size, true)}),
      scratch_(size),
      wave_(size) {
  VERGE_ASSERT(size >= 2 && size <= 65'536 && size % 2 == 0);
}

Fourier::~Fourier() = default;

void Fourier::forward(std::span<const float> signal, std::span<std::complex<float>> spectrum) {
  VERGE_ASSERT(signal.size() == size_ && spectrum.size() == bins());
  plans_->real.transform_real(signal.data(), scratch_.data());
  std::copy_n(scratch_.begin(), size_ / 2, spectrum.begin());
  spectrum[0] = scratch_[0].real();
  spectrum[size_ / 2] = scratch_[0].imag();
}

void Fourier::inverse(std::span<const std::complex<float>> spectrum, std::span<float> signal) {
  VERGE_ASSERT(signal.size() == size_ && spectrum.size() == bins());
  std::copy(spectrum.begin(), spectrum.end(), scratch_.begin());
  for (std::size_t bin = size_ / 2 + 1; bin < size_; ++bin) scratch_[bin] = std::conj(spectrum[size_ - bin]);
  scratch_[0] = spectrum[0].real();
  scratch_[size_ / 2] = spectrum[size_ / 2].real();
  plans_->backward.transform(scratch_.data(), wave_.data());
  const float scale = 1.0F / static_cast<float>(size_);
  for (std::size_t at = 0; at < size_; ++at) signal[at] = wave_[at].real() * scale;
}

std::vector<float> hann_window(std::size_t size) {
  std::vector<float> window(size);
  for (std::size_t at = 0; at < size; ++at) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(at) / static_cast<double>(size);
    window[at] = static_cast<float>(0.5 - 0.5 * std::cos(turn));
  }
  return window;
}

std::vector<float> convolve(std::span<const float> signal, std::span<const float> response, std::size_t delay) {
  VERGE_ASSERT(!response.empty() && response.size() <= 32'768);
  Fourier fourier(std::max<std::size_t>(1024, 2 * std::bit_ceil(response.size())));
  std::vector<float> piece(fourier.size(), 0.0F);
  std::vector<std::complex<float>> filter(fourier.bins()), spectrum(fourier.bins());
  std::copy(response.begin(), response.end(), piece.begin());
  fourier.forward(piece, filter);

  std::vector<float> whole(signal.size() + fourier.size(), 0.0F);
  const std::size_t step = fourier.size() - response.size() + 1;
  for (std::size_t from = 0; from < signal.size(); from += step) {
    const auto part = signal.subspan(from, std::min(step, signal.size() - from));
    std::fill(std::copy(part.begin(), part.end(), piece.begin()), piece.end(), 0.0F);
    fourier.forward(piece, spectrum);
    for (std::size_t bin = 0; bin < spectrum.size(); ++bin) spectrum[bin] *= filter[bin];
    fourier.inverse(spectrum, piece);
    const std::size_t kept = std::min(piece.size(), whole.size() - from);
    for (std::size_t at = 0; at < kept; ++at) whole[from + at] += piece[at];
  }
  const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(std::min(delay, fourier.size()));
  return {begin, begin + static_cast<std::ptrdiff_t>(signal.size())};
}

}  // namespace verge::audio
