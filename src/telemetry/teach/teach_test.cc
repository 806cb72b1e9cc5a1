#include "telemetry/teach/teach.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/disk.h"
#include "telemetry/alarm_logic.h"
#include "telemetry/machine_simulator.h"
#include "telemetry/window_scorer.h"

namespace verge::telemetry {
namespace {

training::Table record(std::uint64_t seed, double minutes) {
  MachineSimulator machine({.seed = seed, .rate_hz = 4});
  training::Table table;
  table.names = MachineSimulator::channel_names();
  table.columns.resize(table.names.size());
  for (int row = 0; row < static_cast<int>(minutes * 60 * 4); ++row) {
    table.times_us.push_back(1'700'000'000'000'000 + row * 250'000LL);
    const auto values = machine.next();
    for (std::size_t column = 0; column < values.size(); ++column) table.columns[column].push_back(values[column]);
  }
  return table;
}

class Taught : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("verge_teach_{}", getpid());
    auto taught = teach(record(1, 120), folder_);
    ASSERT_TRUE(taught) << taught.error().message;
    result_ = *taught;
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  struct Watch {
    int alarms = 0;
    double first_s = -1;
  };
  /// Plays a machine through the taught model: a fault after 60 s, watched for `minutes`.
  static Watch watch(std::uint64_t seed, double minutes, FaultKind kind, double amplitude) {
    MachineSimulator machine({.seed = seed, .rate_hz = 4});
    auto scorer = WindowScorer::load(folder_);
    EXPECT_TRUE(scorer) << scorer.error().message;
    AlarmLogic logic({});
    const auto channels = std::make_shared<const std::vector<std::string>>(MachineSimulator::channel_names());
    Watch seen;
    for (int row = 0; row < static_cast<int>(minutes * 240); ++row) {
      if (row == 240) machine.set_fault(kind, seed, amplitude);
      pipeline::SensorRow reading;
      reading.channels = channels;
      const auto values = machine.next();
      reading.values.assign(values.begin(), values.end());
      auto outcome = (*scorer)->add(reading);
      EXPECT_TRUE(outcome);
      if (!*outcome) continue;
      if (logic.add(row * 250'000LL, (**outcome).score, (*scorer)->threshold()) == AlarmLogic::Change::raised) {
        if (seen.alarms++ == 0) seen.first_s = row / 4.0 - 60;
      }
    }
    return seen;
  }

  static inline std::filesystem::path folder_;
  static inline TeachResult result_;
};

TEST_F(Taught, StaysQuietOnCleanMachines) {
  int alarms = 0;
  for (std::uint64_t seed = 500; seed < 510; ++seed) alarms += watch(seed, 30, FaultKind::none, 0).alarms;
  EXPECT_LE(alarms, 1) << "in five simulated hours of machines that training never saw";
}

TEST_F(Taught, RaisesFaultsWithinThirtySeconds) {
  for (const auto kind : {FaultKind::step, FaultKind::drift, FaultKind::stuck, FaultKind::correlation}) {
    int raised = 0;
    constexpr int kSeeds = 24;
    std::string missed;
    for (std::uint64_t seed = 900; seed < 900 + kSeeds; ++seed) {
      const auto seen = watch(seed, 1.6, kind, 0.8 + 0.03 * static_cast<double>(seed - 900));
      const bool in_time = seen.alarms > 0 && seen.first_s >= 0 && seen.first_s <= 30;
      raised += in_time ? 1 : 0;
      if (!in_time) {
        MachineSimulator machine({.seed = seed, .rate_hz = 4});
        missed += fmt::format(" {}@{:.2f}:{:.1f}s", machine.set_fault(kind, seed, 1),
                              0.8 + 0.03 * static_cast<double>(seed - 900), seen.first_s);
      }
    }
    RecordProperty(std::string(name_of(kind)), raised);
    EXPECT_GE(raised, kSeeds * 3 / 4) << name_of(kind) << " missed:" << missed;
    fmt::print("{}: {} of {}; missed{}\n", name_of(kind), raised, kSeeds, missed);
  }
}

TEST_F(Taught, WritesModelCardAndReport) {
  EXPECT_EQ(result_.channels, MachineSimulator::channel_names());
  EXPECT_DOUBLE_EQ(result_.period_s, 0.25);
  ASSERT_EQ(result_.trials.size(), 4U);
  const auto report = read_file(folder_ / "report.html");
  ASSERT_TRUE(report);
  EXPECT_NE(report->find("What it cannot see"), std::string::npos);
  EXPECT_EQ(report->find("http"), std::string::npos) << "nothing from a network";
}

TEST_F(Taught, IsTheSameForTheSameData) {
  const auto again = folder_ / "again";
  ASSERT_TRUE(teach(record(1, 120), again));
  EXPECT_EQ(*read_file(folder_ / "model.onnx"), *read_file(again / "model.onnx"));
  EXPECT_EQ(*read_file(folder_ / "card.json"), *read_file(again / "card.json"));
}

TEST(Teach, SaysWhyItCannotLearn) {
  struct Row {
    const char* name;
    training::Table table;
    const char* because;
  };
  auto constant = record(1, 10);
  for (auto& column : constant.columns) std::fill(column.begin(), column.end(), 3.0F);
  auto missing = record(1, 10);
  for (auto& column : missing.columns) std::fill(column.begin(), column.begin() + 1200, std::nanf(""));
  auto bare = record(1, 10);
  bare.names.clear();
  bare.columns.clear();
  auto holes = record(1, 10);
  for (std::size_t row = 0; row < holes.row_count(); ++row)
    holes.times_us[row] += static_cast<std::int64_t>(row / 100) * 3'600'000'000;
  const Row rows[] = {{"too short", record(1, 2), "too short"},
                      {"constant", constant, "no sensor changes"},
                      {"missing", missing, "no sensor changes"},
                      {"no numbers", bare, "no column with numbers"},
                      {"one row", record(1, 0.005), "there is only one row."},
                      {"no rows", record(1, 0), "there are no rows."},
                      {"one long hole after another", holes, "data without a hole are too short"}};
  for (const auto& row : rows) {
    const auto taught = teach(row.table, std::filesystem::temp_directory_path() / "verge_teach_refused");
    ASSERT_FALSE(taught) << row.name;
    EXPECT_EQ(taught.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(taught.error().message.rfind("I cannot learn this, because ", 0), 0U) << taught.error().message;
    EXPECT_NE(taught.error().message.find(row.because), std::string::npos) << taught.error().message;
  }
}

TEST(Teach, SaysWhichOptionIsWrong) {
  const struct {
    TeachOptions options;
    const char* message;
  } cases[] = {
      {{.false_alarms_per_week = 0}, "0 false alarms a week; give 0.01..1000"},
      {{.false_alarms_per_week = std::nan("")}, "nan false alarms a week"},
      {{.window_s = 1}, "a window of 1 s; give 2..86400"},
      {{.fit_share = 1}, "a fit share of 1; give 0.3..0.9"},
      {{.window_s = 3}, "holds only 3 rows; give a longer one (--window at least 16)"},
  };
  auto slow = record(1, 60);
  for (std::size_t row = 0; row < slow.row_count(); ++row)
    slow.times_us[row] = static_cast<std::int64_t>(row) * 1'000'000;
  for (const auto& c : cases) {
    const auto taught = teach(slow, std::filesystem::temp_directory_path() / "verge_teach_refused", c.options);
    ASSERT_FALSE(taught) << c.message;
    EXPECT_EQ(taught.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(taught.error().message.find(c.message), std::string::npos) << taught.error().message;
  }
}

TEST(Teach, TheFewestRowsThatItAcceptsAreEnough) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("verge_teach_few_{}", getpid());
  for (const double window_s : {3.0, 4.0, 24.0}) {
    for (const double fit_share : {0.3, 0.6, 0.9}) {
      // The first length that is accepted must go through; one that a later step cannot bear would end the program.
      bool is_accepted = false;
      for (double minutes = 0.5; !is_accepted && minutes < 60; minutes *= 1.1) {
        const auto taught = teach(record(1, minutes), folder, {.window_s = window_s, .fit_share = fit_share});
        is_accepted = static_cast<bool>(taught);
        if (!taught) {
          EXPECT_NE(taught.error().message.find("too short"), std::string::npos) << taught.error().message;
        }
      }
      EXPECT_TRUE(is_accepted) << window_s << " s, " << fit_share;
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(Teach, ASingleSensorIsJudgedByItsOwnPast) {
  auto table = record(1, 60);
  table.names.resize(1);
  table.columns.resize(1);
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("verge_teach_single_{}", getpid());
  const auto taught = teach(table, folder);
  ASSERT_TRUE(taught) << taught.error().message;
  EXPECT_EQ(taught->channels.size(), 1U);
  EXPECT_TRUE(std::any_of(taught->decisions.begin(), taught->decisions.end(),
                          [](const auto& text) { return text.find("its own past alone") != std::string::npos; }));
  auto scorer = WindowScorer::load(folder);
  ASSERT_TRUE(scorer) << scorer.error().message;
  const auto names = std::make_shared<const std::vector<std::string>>(table.names);
  for (std::size_t row = 0; row < 200; ++row) {
    pipeline::SensorRow reading;
    reading.channels = names;
    reading.values = {table.columns[0][row]};
    const auto outcome = (*scorer)->add(reading);
    ASSERT_TRUE(outcome);
    if (*outcome) {
      EXPECT_TRUE(std::isfinite((**outcome).score));
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace verge::telemetry
