// telemetry/machine_simulator.h -- a pump driven by a motor: eight sensors with physically sensible signals, and faults
// to order.
//
// Speed follows a set-point that changes every one to three minutes; flow, pressure and power follow the pump's
// affinity laws and a slowly moving valve; the bearing warms up with a time constant of two minutes; every sensor has
// noise of its own. Deterministic: equal options, faults and row counts give equal rows. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::telemetry {

enum class FaultKind : std::uint8_t {
  none,
  step,         ///< One sensor reads too high or too low from now on.
  drift,        ///< One sensor's reading runs away, at full size after 40 s.
  stuck,        ///< One sensor repeats its last reading.
  correlation,  ///< Each sensor stays in its usual range, but two no longer belong together (a leak, a slipping
                ///< coupling).
};
/// "step"; Errors of the reverse: invalid_argument listing the kinds.
std::string_view name_of(FaultKind kind);
Result<FaultKind> fault_kind_from(std::string_view name);

struct SimulatorOptions {
  std::uint64_t seed = 1;
  double rate_hz = 4;  ///< Rows per second, 0.1..100.
};

class MachineSimulator {
 public:
  static constexpr std::size_t kChannels = 8;

  explicit MachineSimulator(SimulatorOptions options);
  static const std::vector<std::string>& channel_names();

  /// The next row; time advances by 1 / rate_hz.
  std::array<float, kChannels> next();
  /// From the next row on. seed chooses sensor and direction; amplitude 1 is what a maintenance engineer would notice
  /// on a chart when told where to look (about 6 % of the reading), 0..10. FaultKind::none ends the fault. Returns the
  /// channel concerned ("" for none).
  std::string set_fault(FaultKind kind, std::uint64_t seed, double amplitude);
  double seconds() const { return seconds_; }

 private:
  using Row = std::array<double, kChannels>;
  void advance_machine(double step_s);
  Row true_values() const;
  void apply_fault(Row& row, const Row& noisy_before);
  double normal();

  const SimulatorOptions options_;
  std::mt19937_64 random_;
  double seconds_ = 0;
  double speed_target_ = 1450, speed_ = 1450, next_change_s_ = 60;
  double valve_ = 0.85, valve_target_ = 0.85;
  double bearing_c_ = 48, ambient_c_ = 22, load_kw_ = 5;

  FaultKind fault_ = FaultKind::none;
  std::size_t fault_channel_ = 0;
  double fault_sign_ = 1, fault_amplitude_ = 0, fault_begin_s_ = 0;
  Row last_row_{};
};

}  // namespace verge::telemetry
