#include "telemetry/machine_simulator.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace verge::telemetry {
namespace {

using SimulatedRow = std::array<float, MachineSimulator::kChannels>;

std::vector<SimulatedRow> rows_of(MachineSimulator& machine, int count) {
  std::vector<SimulatedRow> rows;
  for (int row = 0; row < count; ++row) rows.push_back(machine.next());
  return rows;
}

std::size_t place_of(const std::string& channel) {
  const auto& names = MachineSimulator::channel_names();
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), channel) - names.begin());
}

TEST(MachineSimulator, EqualSeedsGiveEqualRows) {
  MachineSimulator one({.seed = 3}), same({.seed = 3}), other({.seed = 4});
  const auto rows = rows_of(one, 2000);
  EXPECT_EQ(rows, rows_of(same, 2000));
  EXPECT_NE(rows, rows_of(other, 2000));
}

TEST(MachineSimulator, TimeAdvancesByThePeriod) {
  for (const double rate_hz : {0.1, 4.0, 100.0}) {
    MachineSimulator machine({.seed = 1, .rate_hz = rate_hz});
    rows_of(machine, 50);
    EXPECT_NEAR(machine.seconds(), 50 / rate_hz, 1e-6);
  }
}

TEST(MachineSimulator, ReadingsArePhysicallySensible) {
  struct Range {
    const char* channel;
    float low, high;
  };
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    MachineSimulator machine({.seed = seed});
    const auto rows = rows_of(machine, 4 * 3600 * 2);  // two hours
    for (const Range& range :
         {Range{"speed_rpm", 1000, 1800}, Range{"flow_m3h", 15, 80}, Range{"pressure_bar", 1.5F, 9},
          Range{"power_kw", 2, 30}, Range{"current_a", 5, 45}, Range{"bearing_c", 30, 110},
          Range{"vibration_mm_s", 0.8F, 3}, Range{"ambient_c", 17, 27}}) {
      const std::size_t at = place_of(range.channel);
      ASSERT_LT(at, MachineSimulator::kChannels) << range.channel;
      const auto [low, high] =
          std::minmax_element(rows.begin(), rows.end(), [at](const auto& a, const auto& b) { return a[at] < b[at]; });
      EXPECT_GE((*low)[at], range.low) << range.channel << " seed " << seed;
      EXPECT_LE((*high)[at], range.high) << range.channel << " seed " << seed;
      EXPECT_GT((*high)[at], (*low)[at]) << range.channel;
    }
  }
}

TEST(MachineSimulator, CurrentFollowsPower) {
  MachineSimulator machine({.seed = 9});
  const std::size_t power = place_of("power_kw");
  const std::size_t current = place_of("current_a");
  for (const auto& row : rows_of(machine, 4000)) EXPECT_NEAR(row[current], 3.1 + 1.42 * row[power], 1.2);
}

/// The fault's effect: a machine with it minus the same machine without.
std::vector<float> effect_of(FaultKind kind, std::uint64_t seed, double amplitude, std::string& channel,
                             int rows = 400) {
  MachineSimulator clean({.seed = 5}), faulty({.seed = 5});
  rows_of(clean, 100);
  rows_of(faulty, 100);
  channel = faulty.set_fault(kind, seed, amplitude);
  std::vector<float> effect;
  for (int row = 0; row < rows; ++row) {
    const auto a = clean.next();
    const auto b = faulty.next();
    const std::size_t at = channel.empty() ? 0 : place_of(channel);
    for (std::size_t other = 0; other < a.size(); ++other) {
      if (other != at || channel.empty()) {
        EXPECT_EQ(a[other], b[other]) << "only one sensor is touched";
      }
    }
    effect.push_back(b[at] - a[at]);
  }
  return effect;
}

TEST(MachineSimulator, FaultsDoWhatTheirNamesSay) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    std::string channel;
    const auto step = effect_of(FaultKind::step, seed, 1, channel);
    EXPECT_FALSE(channel.empty());
    EXPECT_NE(step.front(), 0);
    EXPECT_NEAR(step.back(), step.front(), std::abs(step.front()) * 0.01F) << "constant";

    const auto drift = effect_of(FaultKind::drift, seed, 1, channel);
    EXPECT_NEAR(drift.front(), 0, std::abs(drift.back()) * 0.01F) << "begins at nothing";
    EXPECT_GT(std::abs(drift[160]), std::abs(drift[80]));
    EXPECT_NEAR(drift.back(), drift[200], std::abs(drift.back()) * 0.01F) << "full after 40 s";

    const auto stronger = effect_of(FaultKind::step, seed, 2, channel);
    EXPECT_NEAR(stronger.front(), 2 * step.front(), std::abs(step.front()) * 0.01F);
    const auto none = effect_of(FaultKind::step, seed, 0, channel);
    EXPECT_EQ(*std::max_element(none.begin(), none.end()), 0);

    (void)effect_of(FaultKind::correlation, seed, 1, channel);
    EXPECT_TRUE((std::set<std::string>{"flow_m3h", "pressure_bar", "power_kw", "current_a"}.contains(channel)))
        << channel;
  }
}

TEST(MachineSimulator, AStuckSensorRepeatsItself) {
  MachineSimulator machine({.seed = 2});
  rows_of(machine, 50);
  const auto before = machine.next();
  const std::size_t at = place_of(machine.set_fault(FaultKind::stuck, 7, 1));
  for (const auto& row : rows_of(machine, 200)) EXPECT_EQ(row[at], before[at]);
  EXPECT_EQ(machine.set_fault(FaultKind::none, 7, 1), "");
  const auto after = rows_of(machine, 2);
  EXPECT_NE(after[0][at], after[1][at]);
}

TEST(MachineSimulator, EndedFaultsLeaveNothingBehind) {
  MachineSimulator clean({.seed = 5}), healed({.seed = 5});
  for (const auto kind : {FaultKind::step, FaultKind::drift, FaultKind::stuck, FaultKind::correlation}) {
    healed.set_fault(kind, 3, 5);
    rows_of(clean, 100);
    rows_of(healed, 100);
    healed.set_fault(FaultKind::none, 0, 0);
    EXPECT_EQ(rows_of(clean, 100), rows_of(healed, 100)) << name_of(kind);
  }
}

TEST(MachineSimulator, AmplitudesBeyondTheBoundAreCut) {
  std::string channel;
  const auto ten = effect_of(FaultKind::step, 1, 10, channel, 5);
  EXPECT_EQ(ten, effect_of(FaultKind::step, 1, 1e9, channel, 5));
  const auto zero = effect_of(FaultKind::step, 1, -3, channel, 5);
  EXPECT_EQ(*std::max_element(zero.begin(), zero.end()), 0);
}

TEST(FaultKinds, HaveNamesBothWays) {
  for (const auto kind :
       {FaultKind::none, FaultKind::step, FaultKind::drift, FaultKind::stuck, FaultKind::correlation}) {
    const auto back = fault_kind_from(name_of(kind));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, kind);
  }
  for (const char* name : {"", "Step", "stepp", "broken"}) {
    const auto kind = fault_kind_from(name);
    ASSERT_FALSE(kind) << name;
    EXPECT_EQ(kind.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(kind.error().message.find("give none, step, drift, stuck or correlation"), std::string::npos);
  }
}

}  // namespace
}  // namespace verge::telemetry
