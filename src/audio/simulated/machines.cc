#include "audio/simulated/machines.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <numbers>

#include "training/validation.h"

namespace verge::audio::simulated {
namespace {

constexpr double kMachineRate = 16'000, kFullTurn = 2 * std::numbers::pi;
constexpr double kTurnsPerSecond = 1480.0 / 60;

/// What a sound is made from.
struct Sounding {
  std::vector<float> samples;
  training::SeededNumbers numbers;

  double normal() {  // Irwin and Hall.
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += numbers.part();
    return sum;
  }
  /// Noise through one pole, its share of the old value 0..1; negative shares make it bright.
  void hiss(double level, double pole) {
    double value = 0;
    const double scale = level * std::sqrt(1 - pole * pole);
    for (float& sample : samples) {
      value = pole * value + scale * normal();
      sample += static_cast<float>(value);
    }
  }
  /// A ringing that dies away.
  void ring(double at_s, double hz, double level, double decay_s) {
    const auto begin = static_cast<std::size_t>(std::max(0.0, at_s * kMachineRate));
    const auto length = static_cast<std::size_t>(6 * decay_s * kMachineRate);
    for (std::size_t i = 0; i < length && begin + i < samples.size(); ++i) {
      const double t = static_cast<double>(i) / kMachineRate;
      samples[begin + i] += static_cast<float>(level * std::exp(-t / decay_s) * std::sin(kFullTurn * hz * t));
    }
  }
  double seconds() const { return static_cast<double>(samples.size()) / kMachineRate; }
};

/// turn_level: how strong the sound at the rotation itself is.
void run_motor(Sounding& sounding, double turn_level) {
  // The load wanders a little, and with it the speed; a fan with seven blades and the poles' hum at 100 Hz.
  const double start = sounding.numbers.part() * kFullTurn, wander = sounding.numbers.part() * kFullTurn;
  double phase = start;
  for (std::size_t i = 0; i < sounding.samples.size(); ++i) {
    const double t = static_cast<double>(i) / kMachineRate;
    const double speed = kTurnsPerSecond * (1 + 0.004 * std::sin(kFullTurn * 0.07 * t + wander));
    phase += kFullTurn * speed / kMachineRate;
    double value = 0.03 * std::sin(kFullTurn * 100 * t) + 0.012 * std::sin(kFullTurn * 200 * t);
    for (int harmonic = 1; harmonic <= 4; ++harmonic)
      value += turn_level * 0.02 / harmonic * std::sin(harmonic * phase);
    for (int harmonic = 1; harmonic <= 3; ++harmonic) value += 0.02 / harmonic * std::sin(7 * harmonic * phase);
    sounding.samples[i] += static_cast<float>(value * (1 + 0.15 * (turn_level - 1) * std::sin(phase)));
  }
  sounding.hiss(0.02, 0.9);
  sounding.hiss(0.004, 0.0);
}

void strike_bearing(Sounding& sounding) {
  constexpr double kOuterRace = 3.58;  // Impacts per turn of a 6205 bearing.
  for (double t = 0; t < sounding.seconds(); t += (1 + 0.01 * sounding.normal()) / (kOuterRace * kTurnsPerSecond))
    sounding.ring(t, 3400, 0.05 * (1 + 0.3 * sounding.normal()), 0.0015);
}

void beep(Sounding& sounding, double from_s, double length_s, double hz, double level) {
  const auto begin = static_cast<std::size_t>(from_s * kMachineRate),
             length = static_cast<std::size_t>(length_s * kMachineRate);
  for (std::size_t i = 0; i < length && begin + i < sounding.samples.size(); ++i) {
    const double t = static_cast<double>(i) / kMachineRate;
    const double edge = std::min({1.0, t / 0.005, (length_s - t) / 0.005});
    sounding.samples[begin + i] += static_cast<float>(
        level * edge * (std::sin(kFullTurn * hz * t) + 0.3 * std::sin(3 * kFullTurn * hz * t)) / 1.3);
  }
}

void quiet_room(Sounding& sounding) {
  sounding.hiss(0.004, 0.97);
  sounding.hiss(0.001, 0.0);
}

using Maker = std::function<void(Sounding&)>;
const std::array<std::pair<std::string_view, Maker>, 8>& makers() {
  static const std::array<std::pair<std::string_view, Maker>, 8> all{{
      {"motor", [](Sounding& s) { run_motor(s, 1); }},
      {"motor_bearing",
       [](Sounding& s) {
         run_motor(s, 1);
         strike_bearing(s);
       }},
      {"motor_unbalanced", [](Sounding& s) { run_motor(s, 6); }},
      {"room", quiet_room},
      {"leak",
       [](Sounding& s) {
         quiet_room(s);
         s.hiss(0.012, -0.7);
       }},
      {"smoke_alarm",
       [](Sounding& s) {
         quiet_room(s);
         const double start = s.numbers.part(), hz = 3000 + 200 * s.numbers.part(),
                      level = 0.05 + 0.2 * s.numbers.part();
         for (double t = start - 1; t < s.seconds(); t += 4)
           for (int i = 0; i < 3; ++i)
             if (t + i >= 0) beep(s, t + i, 0.5, hz, level);
       }},
      {"siren",
       [](Sounding& s) {
         quiet_room(s);
         const double level = 0.05 + 0.2 * s.numbers.part(), low = 700 + 60 * s.numbers.part();
         bool is_high = s.numbers.part() < 0.5;
         for (double t = 0; t < s.seconds(); t += 0.5, is_high = !is_high)
           beep(s, t, 0.5, is_high ? low * 1.33 : low, level);
       }},
      {"glass",
       [](Sounding& s) {
         quiet_room(s);
         for (double t = 0.3 + 0.4 * s.numbers.part(); t < s.seconds(); t += 2.5 + s.numbers.part()) {
           const double level = 0.08 + 0.2 * s.numbers.part();
           s.ring(t, 250 + 100 * s.numbers.part(), level, 0.02);
           for (int shard = 0; shard < 60; ++shard) {
             const double later = 0.6 * s.numbers.part() * s.numbers.part();
             s.ring(t + later, 2500 + 5000 * s.numbers.part(), level * (1 - later) * (0.2 + 0.3 * s.numbers.part()),
                    0.01 + 0.04 * s.numbers.part());
           }
         }
       }},
  }};
  return all;
}

}  // namespace

std::vector<std::string> machine_names() {
  std::vector<std::string> names;
  for (const auto& [name, maker] : makers()) names.emplace_back(name);
  return names;
}

Result<std::vector<float>> machine_sound(std::string_view name, double seconds, std::uint64_t seed) {
  const auto* const found = std::ranges::find(makers(), name, [](const auto& maker) { return maker.first; });
  if (found == makers().end()) {
    return Error{ErrorCode::not_found, fmt::format("there is no simulated sound \"{}\"; there are {}", name,
                                                   fmt::join(machine_names(), ", "))};
  }
  if (!(seconds >= 0.1 && seconds <= 3600))
    return Error{ErrorCode::invalid_argument, fmt::format("simulated sound of {:g} s; give 0.1..3600", seconds)};
  Sounding sounding{std::vector<float>(static_cast<std::size_t>(seconds * kMachineRate), 0.0F),
                    training::SeededNumbers(seed)};
  found->second(sounding);
  for (float& sample : sounding.samples) sample = std::clamp(sample, -1.0F, 1.0F);
  return std::move(sounding.samples);
}

}  // namespace verge::audio::simulated
