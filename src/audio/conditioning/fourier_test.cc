#include "audio/conditioning/fourier.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

namespace verge::audio {
namespace {

std::vector<float> ragged(std::size_t count) {
  std::vector<float> samples(count);
  for (std::size_t at = 0; at < count; ++at)
    samples[at] = std::sin(static_cast<float>(at * at % 977)) + 0.3F * static_cast<float>(at % 5);
  return samples;
}

TEST(Fourier, AgreesWithTheSumThatDefinesIt) {
  for (const std::size_t size : {8U, 12U, 512U, 480U}) {
    Fourier fourier(size);
    const auto signal = ragged(size);
    std::vector<std::complex<float>> spectrum(fourier.bins());
    fourier.forward(signal, spectrum);
    for (std::size_t bin = 0; bin < spectrum.size(); ++bin) {
      std::complex<double> sum;
      for (std::size_t at = 0; at < size; ++at)
        sum += static_cast<double>(signal[at]) *
               std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(bin * at) / static_cast<double>(size));
      EXPECT_NEAR(std::abs(std::complex<double>(spectrum[bin]) - sum), 0, 1e-3) << size << " " << bin;
    }
    std::vector<float> again(size);
    fourier.inverse(spectrum, again);
    for (std::size_t at = 0; at < size; ++at) EXPECT_NEAR(again[at], signal[at], 1e-5);
  }
}

TEST(Convolve, AgreesWithTheSumThatDefinesIt) {
  const auto signal = ragged(5000), response = ragged(700);
  const auto heard = convolve(signal, response, 100);
  ASSERT_EQ(heard.size(), signal.size());
  for (const std::size_t at : {0U, 1U, 599U, 600U, 2500U, 4899U, 4999U}) {
    double sum = 0;
    for (std::size_t tap = 0; tap < response.size(); ++tap) {
      if (at + 100 >= tap && at + 100 - tap < signal.size())
        sum += static_cast<double>(signal[at + 100 - tap]) * response[tap];
    }
    EXPECT_NEAR(heard[at], sum, 2e-3 * (1 + std::abs(sum))) << at;
  }
}

}  // namespace
}  // namespace verge::audio
