#include "audio/simulated/microphone.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <numbers>

#include "audio/conditioning/biquad.h"
#include "audio/conditioning/fourier.h"
#include "training/validation.h"

namespace verge::audio::simulated {
namespace {

using Sound = std::vector<float>;
using training::SeededNumbers;

constexpr std::size_t kBlockSamples = 512;

float gaussian(SeededNumbers& numbers) {
  const double radius = std::sqrt(-2 * std::log(1 - numbers.part()));
  return static_cast<float>(radius * std::cos(2 * std::numbers::pi * numbers.part()));
}

double power_of(std::span<const float> samples) {
  double sum = 0;
  for (const float sample : samples) sum += static_cast<double>(sample) * sample;
  return sum / static_cast<double>(std::max<std::size_t>(1, samples.size()));
}

float peak_of(std::span<const float> samples) {
  float peak = 0;
  for (const float sample : samples) peak = std::max(peak, std::abs(sample));
  return peak;
}

Sound scaled(Sound sound, double factor) {
  for (float& sample : sound) sample = static_cast<float>(sample * factor);
  return sound;
}

/// As a converter gives it: 16 bit, cut at full scale.
Sound as_16_bit(Sound sound) {
  for (float& sample : sound) sample = std::round(std::clamp(sample, -1.0F, 1.0F) * 32'767) / 32'768;
  return sound;
}

Sound filtered(Sound sound, std::vector<Biquad> filters) {
  for (float& sample : sound)
    for (auto& filter : filters) sample = filter.next(sample);
  return sound;
}

/// A Butterworth filter is a chain of second-order ones with these qualities.
template <class Make>
std::vector<Biquad> butterworth(int order, double frequency_hz, Make make) {
  std::vector<Biquad> filters;
  for (int pair = 0; pair < order / 2; ++pair) {
    const double angle = std::numbers::pi * (2 * pair + 1) / (2 * order);
    filters.push_back(make(frequency_hz, 1 / (2 * std::cos(angle)), kRateHz));
  }
  return filters;
}

struct CurvePoint {
  double frequency_hz, gain_db;
};

/// A linear-phase filter that follows the curve, straight in decibels over the logarithm of the frequency.
Sound with_response(const Sound& sound, std::span<const CurvePoint> curve) {
  constexpr std::size_t kSize = 512;
  Fourier fourier(kSize);
  std::vector<std::complex<float>> spectrum(fourier.bins());
  for (std::size_t bin = 0; bin < spectrum.size(); ++bin) {
    const double frequency = std::max(1.0, static_cast<double>(bin) * kRateHz / kSize);
    auto above = std::ranges::find_if(curve, [&](const auto& point) { return point.frequency_hz > frequency; });
    double gain_db = curve.back().gain_db;
    if (above == curve.begin()) {
      gain_db = above->gain_db;
    } else if (above != curve.end()) {
      const auto& below = *(above - 1);
      const double part = std::log(frequency / below.frequency_hz) / std::log(above->frequency_hz / below.frequency_hz);
      gain_db = below.gain_db + part * (above->gain_db - below.gain_db);
    }
    // Alternating signs put the middle of the response at kSize / 2.
    spectrum[bin] = static_cast<float>(std::pow(10, gain_db / 20)) * (bin % 2 == 0 ? 1.0F : -1.0F);
  }
  Sound response(kSize);
  fourier.inverse(spectrum, response);
  const auto window = hann_window(kSize);
  for (std::size_t at = 0; at < kSize; ++at) response[at] *= window[at];
  return convolve(sound, response, kSize / 2);
}

Sound tilted(const Sound& sound, double db) {
  return with_response(sound, std::array{CurvePoint{100, -db / 2}, CurvePoint{6400, db / 2}});
}

Sound cut_at(Sound sound, float share_of_peak) {
  const float limit = share_of_peak * peak_of(sound);
  for (float& sample : sound) sample = std::clamp(sample, -limit, limit);
  return sound;
}

/// Noise that dies away by 60 dB in `seconds`, with as much energy as the direct sound.
Sound reverberant(const Sound& sound, double seconds, std::uint64_t seed) {
  SeededNumbers numbers(seed ^ 0x5eedULL);
  Sound response(static_cast<std::size_t>(1.25 * seconds * kRateHz));
  for (std::size_t at = kRateHz / 500; at < response.size(); ++at) {
    response[at] =
        gaussian(numbers) * static_cast<float>(std::exp(-6.908 * static_cast<double>(at) / (seconds * kRateHz)));
  }
  const double energy = power_of(response) * static_cast<double>(response.size());
  response = scaled(std::move(response), 1 / std::sqrt(energy));
  response[0] = 1;
  return convolve(sound, response);
}

struct Room {
  std::array<double, 3> size_m, source_m, microphone_m;
  double reflection;  ///< Of every wall, 0..1, amplitude.
  double seconds;     ///< Later echoes are left out.
};

/// Every wall mirrors the source; each mirror image adds an echo at its distance. The first is the direct sound.
Sound in_room(const Sound& sound, const Room& room) {
  constexpr double kMetresPerSecond = 343;
  Sound response(static_cast<std::size_t>(room.seconds * kRateHz), 0.0F);
  double direct_m = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) direct_m += std::pow(room.source_m[axis] - room.microphone_m[axis], 2);
  direct_m = std::sqrt(direct_m);

  std::array<int, 3> reach{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    reach[axis] = static_cast<int>(std::ceil(room.seconds * kMetresPerSecond / (2 * room.size_m[axis])));
  // Where the images lie along one axis, and how many walls each has met.
  const auto image = [&](std::size_t axis, int turn, int side) {
    const double at = (side == 0 ? room.source_m[axis] : -room.source_m[axis]) + 2 * turn * room.size_m[axis];
    return std::pair(at - room.microphone_m[axis], std::abs(turn - side) + std::abs(turn));
  };
  for (int x = -reach[0]; x <= reach[0]; ++x) {
    for (int y = -reach[1]; y <= reach[1]; ++y) {
      for (int z = -reach[2]; z <= reach[2]; ++z) {
        for (int sides = 0; sides < 8; ++sides) {
          const auto [dx, walls_x] = image(0, x, sides & 1);
          const auto [dy, walls_y] = image(1, y, (sides >> 1) & 1);
          const auto [dz, walls_z] = image(2, z, (sides >> 2) & 1);
          const double distance_m = std::sqrt(dx * dx + dy * dy + dz * dz);
          const auto at = static_cast<std::size_t>((distance_m - direct_m) / kMetresPerSecond * kRateHz + 0.5);
          if (at >= response.size()) continue;
          response[at] +=
              static_cast<float>(std::pow(room.reflection, walls_x + walls_y + walls_z) * direct_m / distance_m);
        }
      }
    }
  }
  // The images' sum has a slow part that no air carries.
  return convolve(sound, filtered(std::move(response), butterworth(2, 50, Biquad::high_pass)));
}

/// Reverberation time of 60 dB about 0.35 s and 0.9 s (Sabine).
constexpr Room kOffice{{4, 3, 2.5}, {1.2, 1.0, 1.2}, {2.6, 1.5, 1.0}, 0.83, 0.4};
constexpr Room kHall{{14, 9, 4}, {4, 3, 1.6}, {6.8, 4.1, 1.2}, 0.86, 0.8};

/// Of each block that is no digital silence, as lies between recordings.
std::vector<double> block_powers(std::span<const float> sound) {
  std::vector<double> powers;
  for (std::size_t at = 0; at + kBlockSamples <= sound.size(); at += kBlockSamples)
    powers.push_back(power_of(sound.subspan(at, kBlockSamples)));
  std::erase_if(powers, [](double power) { return power < 1e-10; });
  return powers;
}

double mean_db(std::span<const double> powers) {
  double sum = 0;
  for (const double power : powers) sum += power;
  return powers.empty() ? -120 : 10 * std::log10(std::max(1e-12, sum / static_cast<double>(powers.size())));
}

double mean_level_db(std::span<const float> sound) { return mean_db(block_powers(sound)); }

Sound with_hum(Sound sound, double db_below_speech) {
  constexpr std::array<std::pair<int, double>, 6> kHarmonics{
      {{1, 1.0}, {2, 0.7}, {3, 0.5}, {4, 0.25}, {5, 0.35}, {7, 0.2}}};
  constexpr double kMainsHz = 50.03;  // Never exactly the nominal frequency.
  double power = 0;
  for (const auto& [harmonic, amplitude] : kHarmonics) power += amplitude * amplitude / 2;
  const double level = std::pow(10, (mean_level_db(sound) - db_below_speech) / 20) / std::sqrt(power);
  for (std::size_t at = 0; at < sound.size(); ++at) {
    double hum = 0;
    for (const auto& [harmonic, amplitude] : kHarmonics) {
      const double turns = harmonic * kMainsHz * static_cast<double>(at) / kRateHz;
      hum += amplitude * std::sin(2 * std::numbers::pi * turns + harmonic);
    }
    sound[at] += static_cast<float>(level * hum);
  }
  return sound;
}

struct NamedMicrophone {
  std::string_view name;
  std::function<Sound(Sound, std::uint64_t seed)> hear;
};

const std::vector<NamedMicrophone>& microphones() {
  static const std::vector<NamedMicrophone> all = [] {
    const auto gain = [](double db) {
      return [db](Sound sound, std::uint64_t) { return as_16_bit(scaled(std::move(sound), std::pow(10, db / 20))); };
    };
    const auto curve = [](std::vector<CurvePoint> points) {
      return [points](const Sound& sound, std::uint64_t) { return with_response(sound, points); };
    };
    return std::vector<NamedMicrophone>{
        {"flat", [](Sound sound, std::uint64_t) { return sound; }},
        {"telephone",
         [](Sound sound, std::uint64_t) {
           return filtered(filtered(std::move(sound), butterworth(6, 300, Biquad::high_pass)),
                           butterworth(6, 3400, Biquad::low_pass));
         }},
        {"low_pass_2k",
         [](Sound sound, std::uint64_t) { return filtered(std::move(sound), butterworth(8, 2000, Biquad::low_pass)); }},
        {"tilt_up", [](const Sound& sound, std::uint64_t) { return tilted(sound, 12); }},
        {"tilt_down", [](const Sound& sound, std::uint64_t) { return tilted(sound, -12); }},
        {"clipped", [](Sound sound, std::uint64_t) { return cut_at(std::move(sound), 0.3F); }},
        {"reverberation", [](const Sound& sound, std::uint64_t seed) { return reverberant(sound, 0.2, seed); }},
        {"office", [](const Sound& sound, std::uint64_t) { return in_room(sound, kOffice); }},
        {"hall", [](const Sound& sound, std::uint64_t) { return in_room(sound, kHall); }},
        {"headset", curve({{80, -18}, {200, -4}, {500, 0}, {1500, 2}, {3000, 9}, {4500, 4}, {6500, -6}, {8000, -16}})},
        {"muffled", curve({{60, -6}, {150, 3}, {400, 0}, {900, -6}, {1800, -14}, {3500, -22}, {7000, -30}})},
        {"hum", [](Sound sound, std::uint64_t) { return as_16_bit(with_hum(std::move(sound), 10)); }},
        {"gain_-50", gain(-50)},
        {"gain_-40", gain(-40)},
        {"gain_-30", gain(-30)},
        {"gain_-20", gain(-20)},
        {"gain_-10", gain(-10)},
        {"gain_+10", gain(10)}};
  }();
  return all;
}

struct NamedNoise {
  std::string_view name;
  bool is_pink;
  double snr_db;
};
constexpr std::array kNoises{NamedNoise{"white_20", false, 20}, NamedNoise{"white_10", false, 10},
                             NamedNoise{"white_5", false, 5},   NamedNoise{"pink_20", true, 20},
                             NamedNoise{"pink_10", true, 10},   NamedNoise{"pink_5", true, 5}};

/// Power falls by 3 dB an octave above 20 Hz: white noise through P. Kellet's filter of first-order sections.
Sound pink(Sound white) {
  std::array<double, 6> state{};
  constexpr std::array kPoles{0.99886, 0.99332, 0.96900, 0.86650, 0.55000, -0.7616};
  constexpr std::array kGains{0.0555179, 0.0750759, 0.1538520, 0.3104856, 0.5329522, -0.0168980};
  double late = 0;
  for (float& sample : white) {
    double sum = late + 0.5362 * sample;
    late = 0.115926 * sample;
    for (std::size_t at = 0; at < state.size(); ++at) {
      state[at] = kPoles[at] * state[at] + kGains[at] * sample;
      sum += state[at];
    }
    sample = static_cast<float>(sum);
  }
  return white;
}

Sound noise_of(std::size_t count, bool is_pink, std::uint64_t seed) {
  SeededNumbers numbers(seed * 2 + (is_pink ? 1 : 0));
  Sound noise(count);
  for (float& sample : noise) sample = gaussian(numbers);
  if (is_pink) noise = pink(std::move(noise));
  const double size = std::sqrt(power_of(noise));
  return scaled(std::move(noise), 1 / size);
}

}  // namespace

std::vector<std::string> microphone_names() {
  std::vector<std::string> names;
  for (const auto& microphone : microphones()) names.emplace_back(microphone.name);
  return names;
}

std::vector<std::string> noise_names() {
  std::vector<std::string> names{"clean"};
  for (const auto& noise : kNoises) names.emplace_back(noise.name);
  return names;
}

double speech_level_db(std::span<const float> sound) {
  auto powers = block_powers(sound);
  std::ranges::sort(powers, std::greater<>());
  powers.resize((powers.size() + 1) / 2);
  return mean_db(powers);
}

Result<std::vector<float>> hear(std::span<const float> samples, std::string_view microphone, std::string_view noise,
                                std::uint64_t seed) {
  const auto found = std::ranges::find(microphones(), microphone, &NamedMicrophone::name);
  if (found == microphones().end()) {
    return Error{ErrorCode::not_found, fmt::format("simulate the microphone \"{}\": there is none of this name; use {}",
                                                   microphone, fmt::join(microphone_names(), ", "))};
  }
  const auto added = std::ranges::find(kNoises, noise, &NamedNoise::name);
  if (added == kNoises.end() && noise != "clean") {
    return Error{ErrorCode::not_found, fmt::format("simulate the noise \"{}\": there is none of this name; use {}",
                                                   noise, fmt::join(noise_names(), ", "))};
  }
  if (samples.size() < kRateHz / 10) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("simulate a microphone for {} samples: give 0.1 s or more", samples.size())};
  }
  Sound sound(samples.begin(), samples.end());
  if (added != kNoises.end()) {
    const auto extra = noise_of(sound.size(), added->is_pink, seed);
    const auto level = static_cast<float>(std::pow(10, (mean_level_db(sound) - added->snr_db) / 20));
    for (std::size_t at = 0; at < sound.size(); ++at) sound[at] += level * extra[at];
  }
  return found->hear(std::move(sound), seed);
}

}  // namespace verge::audio::simulated
