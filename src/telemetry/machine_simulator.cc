#include "telemetry/machine_simulator.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace verge::telemetry {
namespace {

enum Channel : std::size_t { kSpeed, kFlow, kPressure, kPower, kCurrent, kBearing, kVibration, kAmbient };

constexpr double kNominalSpeed = 1450;  // revolutions per minute
constexpr double kNominalFlow = 60;     // cubic metres per hour
constexpr double kNominalPressure = 5;  // bar
constexpr double kBearingTimeS = 120;
constexpr double kDayS = 86'400;

/// Noise of each sensor (standard deviation) and the size of a visible fault, in the sensor's unit.
struct Sensor {
  const char* name;
  double noise;
  double fault;
};
constexpr std::array<Sensor, MachineSimulator::kChannels> kSensors{{
    {"speed_rpm", 3.0, 90},
    {"flow_m3h", 0.35, 3.6},
    {"pressure_bar", 0.03, 0.3},
    {"power_kw", 0.08, 0.7},
    {"current_a", 0.12, 1.0},
    {"bearing_c", 0.12, 3.0},
    {"vibration_mm_s", 0.05, 0.35},
    {"ambient_c", 0.06, 1.2},
}};

constexpr std::array<std::pair<std::string_view, FaultKind>, 5> kFaults{{{"none", FaultKind::none},
                                                                         {"step", FaultKind::step},
                                                                         {"drift", FaultKind::drift},
                                                                         {"stuck", FaultKind::stuck},
                                                                         {"correlation", FaultKind::correlation}}};

double approach(double value, double target, double step_s, double time_constant_s) {
  return target + (value - target) * std::exp(-step_s / time_constant_s);
}

}  // namespace

std::string_view name_of(FaultKind kind) { return kFaults.at(static_cast<std::size_t>(kind)).first; }

Result<FaultKind> fault_kind_from(std::string_view name) {
  for (const auto& [text, kind] : kFaults) {
    if (text == name) return kind;
  }
  return Error{ErrorCode::invalid_argument,
               "there is no fault \"" + std::string(name) + "\"; give none, step, drift, stuck or correlation"};
}

MachineSimulator::MachineSimulator(SimulatorOptions options)
    : options_(options), random_(options.seed * 0x9E3779B97F4A7C15ULL + 1) {}

const std::vector<std::string>& MachineSimulator::channel_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const auto& sensor : kSensors) result.emplace_back(sensor.name);
    return result;
  }();
  return names;
}

double MachineSimulator::normal() {
  // Box and Muller by hand: the standard's normal_distribution differs between libraries, and rows must not.
  const auto uniform = [this] { return (static_cast<double>(random_() >> 11U) + 0.5) / 9007199254740992.0; };
  const double radius = std::sqrt(-2 * std::log(uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

std::array<float, MachineSimulator::kChannels> MachineSimulator::next() {
  const double step_s = 1 / options_.rate_hz;
  advance_machine(step_s);
  Row row = true_values();
  for (std::size_t channel = 0; channel < kChannels; ++channel) row[channel] += kSensors[channel].noise * normal();
  apply_fault(row, last_row_);
  last_row_ = row;
  seconds_ += step_s;
  std::array<float, kChannels> readings{};
  for (std::size_t channel = 0; channel < kChannels; ++channel) readings[channel] = static_cast<float>(row[channel]);
  return readings;
}

void MachineSimulator::advance_machine(double step_s) {
  if (seconds_ >= next_change_s_) {
    speed_target_ = std::clamp(kNominalSpeed + 160 * normal(), 1050.0, 1750.0);
    valve_target_ = std::clamp(0.82 + 0.1 * normal(), 0.55, 1.0);
    next_change_s_ = seconds_ + 60 + 120 * std::abs(std::sin(static_cast<double>(random_() % 1000)));
  }
  speed_ = approach(speed_, speed_target_, step_s, 6);
  valve_ = approach(valve_, valve_target_, step_s, 20) + 0.002 * std::sqrt(step_s) * normal();
  ambient_c_ = 22 + 4 * std::sin(2 * std::numbers::pi * seconds_ / kDayS);
  const Row row = true_values();
  load_kw_ = row[kPower];
  bearing_c_ = approach(bearing_c_, ambient_c_ + 12 + 2.6 * load_kw_, step_s, kBearingTimeS);
}

MachineSimulator::Row MachineSimulator::true_values() const {
  const double ratio = speed_ / kNominalSpeed;
  Row row{};
  row[kSpeed] = speed_;
  row[kFlow] = kNominalFlow * ratio * valve_;
  row[kPressure] = kNominalPressure * ratio * ratio * (1.25 - 0.3 * valve_ * valve_);
  const double hydraulic_kw = row[kFlow] / 3600 * row[kPressure] * 100;
  row[kPower] = 1.2 + hydraulic_kw / 0.72 * (0.97 + 0.03 * ratio);
  row[kCurrent] = 3.1 + row[kPower] * 1.42;
  row[kBearing] = bearing_c_;
  row[kVibration] = 0.6 + 1.1 * ratio * ratio + 0.35 * (1 - valve_);
  row[kAmbient] = ambient_c_;
  return row;
}

std::string MachineSimulator::set_fault(FaultKind kind, std::uint64_t seed, double amplitude) {
  std::mt19937_64 choice(seed * 0xD1342543DE82EF95ULL + 7);
  fault_ = kind;
  fault_amplitude_ = std::clamp(amplitude, 0.0, 10.0);
  fault_begin_s_ = seconds_;
  fault_sign_ = choice() % 2 == 0 ? 1 : -1;
  // Broken relations happen in what the pump moves and draws; the other faults in any sensor.
  constexpr std::array<std::size_t, 4> kRelated{kFlow, kPressure, kPower, kCurrent};
  fault_channel_ = kind == FaultKind::correlation ? kRelated[choice() % kRelated.size()] : choice() % kChannels;
  return kind == FaultKind::none ? std::string() : std::string(kSensors[fault_channel_].name);
}

void MachineSimulator::apply_fault(Row& row, const Row& noisy_before) {
  const double size = fault_sign_ * fault_amplitude_ * kSensors[fault_channel_].fault;
  const double age_s = seconds_ - fault_begin_s_;
  double& reading = row[fault_channel_];
  switch (fault_) {
    case FaultKind::none:
      break;
    case FaultKind::step:
      reading += size;
      break;
    case FaultKind::drift:
      reading += 2 * size * std::min(1.0, age_s / 40);
      break;
    case FaultKind::stuck:
      reading = noisy_before[fault_channel_];
      break;
    case FaultKind::correlation: {
      // The reading stays within its usual range but follows the others only in part, and lags behind.
      const double swing = std::sin(2 * std::numbers::pi * age_s / 45 + fault_sign_);
      reading += size * (0.7 + 0.6 * swing);
      break;
    }
  }
}

}  // namespace verge::telemetry
