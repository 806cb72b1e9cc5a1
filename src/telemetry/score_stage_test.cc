#include "telemetry/score_stage.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "telemetry/machine_simulator.h"
#include "telemetry/teach/teach.h"
#include "telemetry/window_scorer.h"

namespace verge::telemetry {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kBeginUs = 1'700'000'000'000'000;

/// A model taught once for all tests of this file: 24 s windows at 4 Hz.
class ScoreStageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    MachineSimulator machine({.seed = 1, .rate_hz = 4});
    training::Table table;
    table.names = MachineSimulator::channel_names();
    table.columns.resize(table.names.size());
    for (int row = 0; row < 60 * 240; ++row) {
      table.times_us.push_back(kBeginUs + row * 250'000LL);
      const auto values = machine.next();
      for (std::size_t column = 0; column < values.size(); ++column) table.columns[column].push_back(values[column]);
    }
    const auto taught = teach(table, model());
    ASSERT_TRUE(taught) << taught.error().message;
    rows_ = static_cast<int>(taught->window_rows);
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::filesystem::path model() { return folder_->path() / "pump"; }

  std::unique_ptr<pipeline::Stage> make(ScoreStageOptions options) {
    if (options.model.empty()) options.model = "pump";
    pipeline::Context context;
    context.stream = "pump";
    context.folder = folder_->path();
    context.device = "dev";
    context.module = "telemetry";
    context.pipeline_hash = "sha256:p";
    auto stage = make_score_stage(std::move(options), context);
    EXPECT_TRUE(stage) << stage.error().message;
    return stage ? *std::move(stage) : nullptr;
  }

  static pipeline::Packet next_of(MachineSimulator& machine) {
    static const auto names = std::make_shared<const std::vector<std::string>>(MachineSimulator::channel_names());
    auto row = std::make_shared<pipeline::SensorRow>();
    row->channels = names;
    pipeline::Packet packet;
    packet.captured_us = kBeginUs + static_cast<std::int64_t>(machine.seconds() * 1e6);
    packet.monotonic_us = packet.captured_us - kBeginUs;
    const auto values = machine.next();
    row->values.assign(values.begin(), values.end());
    packet.payload = std::shared_ptr<const pipeline::SensorRow>(std::move(row));
    return packet;
  }

  void play(pipeline::Stage& stage, MachineSimulator& machine, double seconds) {
    for (int row = 0; row < static_cast<int>(seconds * 4); ++row) {
      const auto processed = stage.process(next_of(machine), [this](pipeline::Packet packet) {
        if (const auto event = pipeline::payload_as<contract::Event>(packet)) events_.push_back(event);
        if (const auto scored = pipeline::payload_as<pipeline::SensorRow>(packet)) scored_.push_back(scored);
      });
      ASSERT_TRUE(processed) << processed.error().message;
    }
  }
  std::vector<std::shared_ptr<const contract::Event>> of_type(std::string_view type) const {
    std::vector<std::shared_ptr<const contract::Event>> found;
    for (const auto& event : events_) {
      if (event->type == type) found.push_back(event);
    }
    return found;
  }

  static inline TemporaryFolder* folder_ = nullptr;
  static inline int rows_ = 0;
  std::vector<std::shared_ptr<const contract::Event>> events_;
  std::vector<std::shared_ptr<const pipeline::SensorRow>> scored_;
};

TEST_F(ScoreStageTest, PassesEveryRowOnAndScoresOnceTheWindowIsFull) {
  const auto stage = make({});
  MachineSimulator machine({.seed = 700});
  play(*stage, machine, 60);
  ASSERT_EQ(scored_.size(), 240U);
  for (std::size_t at = 0; at < scored_.size(); ++at)
    EXPECT_EQ(scored_[at]->score.has_value(), at + 1 >= static_cast<std::size_t>(rows_)) << at;
  EXPECT_GT(*scored_.back()->threshold, 0);
  EXPECT_FALSE(scored_.back()->is_alarm);
  // A score event a second from the 24th on.
  EXPECT_NEAR(static_cast<double>(of_type("anomaly.score").size()), 60 - 24, 2);
  EXPECT_TRUE(of_type("anomaly.alarm").empty());
}

TEST_F(ScoreStageTest, RaisesAndClearsWithAllThatAPersonNeeds) {
  const auto stage = make({});
  MachineSimulator machine({.seed = 701});
  play(*stage, machine, 60);
  const auto channel = machine.set_fault(FaultKind::step, 4, 3);
  play(*stage, machine, 30);
  machine.set_fault(FaultKind::none, 0, 0);
  play(*stage, machine, 120);
  const auto alarms = of_type("anomaly.alarm");
  const auto cleared = of_type("anomaly.cleared");
  ASSERT_EQ(alarms.size(), 1U);
  ASSERT_EQ(cleared.size(), 1U);
  const auto& alarm = *alarms.front();
  EXPECT_EQ(alarm.severity, "alarm");
  EXPECT_EQ(alarm.family, "telemetry");
  EXPECT_EQ(alarm.device, "dev");
  EXPECT_EQ(alarm.module, "telemetry");
  EXPECT_EQ(alarm.stream, "pump");
  EXPECT_THAT(alarm.channels, testing::Contains(channel));
  EXPECT_LE(alarm.channels.size(), 3U);
  EXPECT_THAT(alarm.explanation, HasSubstr(alarm.channels.front()));
  EXPECT_EQ(alarm.pipeline, "sha256:p");
  EXPECT_THAT(alarm.model, HasSubstr("sha256:"));
  ASSERT_TRUE(alarm.span);
  EXPECT_GE(alarm.span->from_us, kBeginUs + 60'000'000);
  EXPECT_LE(alarm.captured_us, kBeginUs + 90'000'000) << "within 30 s";
  EXPECT_GT(cleared.front()->captured_us, alarm.captured_us);
  EXPECT_EQ(cleared.front()->duration_us, cleared.front()->captured_us - alarm.span->from_us);
  std::set<std::string> ids;
  for (const auto& event : events_) ids.insert(event->id);
  EXPECT_EQ(ids.size(), events_.size()) << "every event has an id of its own";
}

TEST_F(ScoreStageTest, AHoleInTimeEmptiesTheWindow) {
  const auto stage = make({});
  MachineSimulator machine({.seed = 702});
  play(*stage, machine, 30);
  ASSERT_TRUE(scored_.back()->score);
  for (int row = 0; row < 40; ++row) machine.next();  // 10 s in which nothing arrives
  scored_.clear();
  play(*stage, machine, 30);
  for (int at = 0; at < rows_ - 1; ++at) EXPECT_FALSE(scored_[static_cast<std::size_t>(at)]->score) << at;
  EXPECT_TRUE(scored_[static_cast<std::size_t>(rows_) - 1]->score);
}

TEST_F(ScoreStageTest, AMissingReadingTakesTheLast) {
  auto scorer = WindowScorer::load(model());
  ASSERT_TRUE(scorer);
  auto twin = WindowScorer::load(model());
  MachineSimulator machine({.seed = 703});
  std::vector<float> last;
  for (int at = 0; at < rows_ + 20; ++at) {
    auto row = *pipeline::payload_as<pipeline::SensorRow>(next_of(machine));
    if (at == rows_ + 10) row.values[2] = last[2];
    auto with_hole = row;
    if (at == rows_ + 10) with_hole.values[2] = std::nanf("");
    last = row.values;
    const auto one = (*scorer)->add(with_hole);
    const auto two = (*twin)->add(row);
    ASSERT_TRUE(one && two);
    ASSERT_EQ(one->has_value(), two->has_value());
    if (*one) {
      EXPECT_EQ((*one)->score, (*two)->score) << at;
    }
  }
}

TEST_F(ScoreStageTest, RowsOfAnotherMachineAreRefusedByName) {
  const auto stage = make({});
  auto row = std::make_shared<pipeline::SensorRow>();
  row->channels = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"speed_rpm", "colour"});
  row->values = {1, 2};
  pipeline::Packet packet;
  packet.payload = std::shared_ptr<const pipeline::SensorRow>(std::move(row));
  const auto processed = stage->process(packet, [](pipeline::Packet) { FAIL() << "nothing comes out"; });
  ASSERT_FALSE(processed);
  EXPECT_EQ(processed.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(processed.error().message, HasSubstr("no channel \"flow_m3h\""));
  EXPECT_THAT(processed.error().message, HasSubstr("they have speed_rpm, colour"));
}

TEST_F(ScoreStageTest, OtherPayloadsPass) {
  const auto stage = make({});
  pipeline::Packet sound;
  sound.payload = std::make_shared<const pipeline::AudioBlock>();
  int emitted = 0;
  EXPECT_TRUE(stage->process(sound, [&](const pipeline::Packet& packet) {
    ++emitted;
    EXPECT_TRUE(pipeline::payload_as<pipeline::AudioBlock>(packet));
  }));
  EXPECT_EQ(emitted, 1);
}

TEST_F(ScoreStageTest, OptionsOutOfRangeAndModelsThatAreNoneAreRefused) {
  const struct {
    void (*change)(ScoreStageOptions&);
    const char* message;
  } ranges[] = {
      {[](ScoreStageOptions& options) { options.alarm.for_s = -1; }, "for_s is -1; give 0..3600"},
      {[](ScoreStageOptions& options) { options.alarm.clear_s = 1e9; }, "clear_s is 1e+09; give 0..3600"},
      {[](ScoreStageOptions& options) { options.alarm.clear_share = 0; }, "clear_share is 0; give 0.1..1"},
      {[](ScoreStageOptions& options) { options.alarm.cool_down_s = std::nan(""); }, "cool_down_s is nan"},
      {[](ScoreStageOptions& options) { options.score_every_s = 0; }, "score_every_s is 0; give 0.1..3600"},
      {[](ScoreStageOptions& options) { options.threshold_factor = 11; }, "threshold_factor is 11; give 0.1..10"},
  };
  for (const auto& c : ranges) {
    SCOPED_TRACE(c.message);
    ScoreStageOptions options;
    options.model = model();
    c.change(options);
    const auto stage = make_score_stage(options, {});
    ASSERT_FALSE(stage);
    EXPECT_EQ(stage.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(stage.error().message, HasSubstr(c.message));
  }

  const auto bytes = *read_file(model() / "model.onnx");
  const auto card = *parse_json(*read_file(model() / "card.json"));
  auto other_channels = card;
  other_channels["labels"].erase(0);
  auto no_threshold = card;
  no_threshold["thresholds"] = Json::object();
  auto unsigned_card = card;
  unsigned_card["digest"] = "";
  const struct {
    const char* name;
    std::string bytes;
    Json card;
    ErrorCode code;
    const char* message;
  } models[] = {
      {"cut in half", bytes.substr(0, bytes.size() / 2), card, ErrorCode::corrupt, "import the model again"},
      {"one byte changed", bytes + "x", card, ErrorCode::corrupt, "import the model again"},
      {"no model at all", "hello", unsigned_card, ErrorCode::corrupt, "this is no whole ONNX model"},
      {"empty", "", unsigned_card, ErrorCode::corrupt, "this is no whole ONNX model"},
      {"one channel fewer in the card", bytes, other_channels, ErrorCode::invalid_argument, "7"},
      {"no threshold", bytes, no_threshold, ErrorCode::invalid_argument, "thresholds.score"},
  };
  for (const auto& c : models) {
    SCOPED_TRACE(c.name);
    const auto folder = folder_->path() / "bad";
    ASSERT_TRUE(write_file(folder / "model.onnx", c.bytes));
    ASSERT_TRUE(write_file(folder / "card.json", to_text(c.card)));
    const auto scorer = WindowScorer::load(folder);
    ASSERT_FALSE(scorer);
    EXPECT_EQ(scorer.error().code, c.code) << scorer.error().message;
    EXPECT_THAT(scorer.error().message, HasSubstr(c.message));
    EXPECT_THAT(scorer.error().message, HasSubstr("bad"));
    EXPECT_EQ(scorer.error().message.find('\n'), std::string::npos);
  }
  const auto nowhere = WindowScorer::load(folder_->path() / "nowhere");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::telemetry
