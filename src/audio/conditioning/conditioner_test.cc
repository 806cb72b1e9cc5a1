#include "audio/conditioning/conditioner.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

#include "audio/conditioning/speech_for_tests.h"
#include "audio/simulated/microphone.h"

namespace verge::audio {
namespace {

std::vector<float> speech() { return speech_for_tests(3); }

std::vector<float> condition(Conditioner& conditioner, std::vector<float> samples, std::size_t block) {
  samples.resize(samples.size() / block * block);
  for (std::size_t at = 0; at < samples.size(); at += block) {
    const std::span part(samples.data() + at, block);
    conditioner.process(part, part);
  }
  return samples;
}

const ConditionerOptions kNothing{.removes_hum = false, .equalizer_db_max = 0, .sets_level = false, .level = {}};

TEST(Conditioner, WithoutWorkItOnlyDelays) {
  for (const std::size_t block : {512U, 256U, 160U, 441U, 4096U}) {
    Conditioner conditioner(kNothing, simulated::kRateHz, block);
    auto sound = speech();
    const auto heard = condition(conditioner, sound, block);
    auto high_pass = Biquad::high_pass(20, 0.7071, simulated::kRateHz);
    for (float& sample : sound) sample = high_pass.next(sample);
    const std::size_t late = conditioner.latency_samples();
    EXPECT_LE(late, 512U);
    double difference = 0, power = 0;
    for (std::size_t at = 40'000; at + late < heard.size(); ++at) {
      difference += std::pow(heard[at + late] - sound[at], 2);
      power += std::pow(sound[at], 2);
    }
    EXPECT_LT(difference, 1e-8 * power) << block;
  }
}

TEST(Conditioner, TakesAnOffsetOut) {
  Conditioner conditioner(kNothing, simulated::kRateHz, 512);
  const auto heard = condition(conditioner, std::vector<float>(32'000, 0.3F), 512);
  for (std::size_t at = 16'000; at < heard.size(); ++at) EXPECT_NEAR(heard[at], 0, 1e-3);
}

TEST(Conditioner, MeasuresBackgroundAndDistance) {
  const auto sound = speech();
  for (const auto& [noise, snr_db] : {std::pair{"white_20", 20.0}, {"white_10", 10.0}, {"pink_20", 20.0}}) {
    const auto noisy = *simulated::hear(sound, "flat", noise, 3);
    Conditioner conditioner({}, simulated::kRateHz, 512);
    condition(conditioner, noisy, 512);
    double noise_power = 0;
    for (std::size_t at = 0; at < sound.size(); ++at) noise_power += std::pow(noisy[at] - sound[at], 2);
    const double noise_db = 10 * std::log10(noise_power / static_cast<double>(sound.size()));
    const auto facts = conditioner.facts();
    // White noise has half of its power between 200 Hz and 4 kHz; pink noise a third, more of it lies below.
    const double in_range_db = std::string_view(noise).starts_with("white") ? -3.2 : -4.5;
    EXPECT_NEAR(facts.background_db, noise_db + in_range_db, 2) << noise;
    // Somebody who speaks is some 3 dB louder than the recording with its pauses.
    EXPECT_NEAR(facts.snr_db, snr_db - in_range_db + 3, 3) << noise;
  }
}

/// Loudness of the bands of what comes out, relative to their mean, over the last part.
Bands colour_of(std::span<const float> samples) {
  Fourier fourier(512);
  const BandMap map(simulated::kRateHz, 512);
  std::vector<float> power(fourier.bins(), 0.0F);
  std::vector<std::complex<float>> spectrum(fourier.bins());
  for (std::size_t at = 0; at + 512 <= samples.size(); at += 512) {
    fourier.forward(samples.subspan(at, 512), spectrum);
    for (std::size_t bin = 0; bin < power.size(); ++bin) power[bin] += std::norm(spectrum[bin]);
  }
  Bands colour = map.mean_of(power);
  float mean = 0;
  for (float& band : colour) mean += (band = decibels(band)) / kBandCount;
  for (float& band : colour) band -= mean;
  return colour;
}

float distance(const Bands& a, const Bands& b) {
  float most = 0;
  for (std::size_t band = 1; band + 1 < kBandCount; ++band) most = std::max(most, std::abs(a[band] - b[band]));
  return most;
}

TEST(Conditioner, GivesMicrophonesTheSameColour) {
  const auto sound = speech();
  const auto last = [](const std::vector<float>& samples) { return std::span(samples).last(9 * simulated::kRateHz); };
  const auto through = [&](std::string_view microphone) {
    Conditioner conditioner({}, simulated::kRateHz, 512);
    return condition(conditioner, *simulated::hear(sound, microphone, "clean", 1), 512);
  };
  const auto flat = through("flat"), up = through("tilt_up"), down = through("tilt_down");
  const auto before = distance(colour_of(last(*simulated::hear(sound, "tilt_up", "clean", 1))),
                               colour_of(last(*simulated::hear(sound, "tilt_down", "clean", 1))));
  const auto after = distance(colour_of(last(up)), colour_of(last(down)));
  EXPECT_GT(before, 9);
  EXPECT_LT(after, before / 2);
  EXPECT_LT(distance(colour_of(last(up)), colour_of(last(flat))), before / 2);
}

TEST(Conditioner, LeavesTheColourOfNoisySpeech) {
  Conditioner conditioner({}, simulated::kRateHz, 512);
  condition(conditioner, *simulated::hear(speech(), "tilt_up", "white_5", 1), 512);
  for (const float gain : conditioner.facts().equalizer_bands_db) EXPECT_NEAR(gain, 0, 1.5);
}

TEST(Conditioner, RaisesNoEmptyBand) {
  Conditioner conditioner({}, simulated::kRateHz, 512);
  condition(conditioner, *simulated::hear(speech(), "telephone", "clean", 1), 512);
  const auto& gains = conditioner.facts().equalizer_bands_db;
  EXPECT_LT(gains[0], 3) << "100 Hz";
  EXPECT_LT(gains[9], 3) << "6.3 kHz";
}

TEST(Conditioner, BeginsWithWhatItLearned) {
  const auto sound = *simulated::hear(speech(), "gain_-40", "clean", 1);
  Conditioner first({}, simulated::kRateHz, 512);
  condition(first, sound, 512);
  EXPECT_NEAR(first.learned().gain_db, 40, 8);
  Conditioner second({}, simulated::kRateHz, 512, first.learned());
  EXPECT_FLOAT_EQ(second.facts().gain_db, first.learned().gain_db);
  EXPECT_DOUBLE_EQ(second.facts().speech_s, first.facts().speech_s);
}

TEST(Conditioner, SuppressionMakesTheBackgroundQuieterByNoMoreThanAsked) {
  std::vector<float> noise(8 * simulated::kRateHz, 0.0F);
  noise[0] = 0.1F;
  noise = *simulated::hear(noise, "flat", "white_20", 1);
  const auto power_db = [](std::span<const float> samples) {
    double sum = 0;
    for (const float sample : samples) sum += static_cast<double>(sample) * sample;
    return 10 * std::log10(sum / static_cast<double>(samples.size()));
  };
  for (const float wanted : {6.0F, 12.0F}) {
    auto options = kNothing;
    options.suppression_db = wanted;
    Conditioner conditioner(options, simulated::kRateHz, 512);
    const auto heard = condition(conditioner, noise, 512);
    const double quieter = power_db(std::span(noise).last(32'000)) - power_db(std::span(heard).last(32'000));
    EXPECT_LE(quieter, wanted + 0.1);
    EXPECT_GE(quieter, 0.7 * wanted);
  }
}

TEST(Conditioner, SurvivesWhatNoMicrophoneShouldGive) {
  for (const float value : {0.0F, 1.0F, -1.0F, 1e-30F, 1000.0F}) {
    ConditionerOptions options;
    options.suppression_db = 6;
    Conditioner conditioner(options, simulated::kRateHz, 512);
    const auto heard = condition(conditioner, std::vector<float>(32'000, value), 512);
    for (const float sample : heard) ASSERT_TRUE(std::isfinite(sample)) << value;
  }
}

}  // namespace
}  // namespace verge::audio
