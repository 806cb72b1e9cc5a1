#include "telemetry/machine_source.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <vector>

#include "base/json.h"

namespace verge::telemetry {
namespace {

using ::testing::HasSubstr;

/// Wall clock and monotonic clock that a test moves; reading the monotonic one moves it on, so that paced sources end.
class SteppingClock final : public Clock {
 public:
  std::int64_t now_us() const override { return 1'700'000'000'000'000; }
  std::int64_t monotonic_us() const override { return at_us_ += step_us_; }
  void set_step_us(std::int64_t step_us) { step_us_ = step_us; }

 private:
  mutable std::int64_t at_us_ = 0;
  std::int64_t step_us_ = 0;
};

class MachineSourceTest : public testing::Test {
 protected:
  pipeline::Context context() {
    pipeline::Context context;
    context.clock = &clock_;
    context.add_method = [this](std::string name, pipeline::Method method) { methods_[name] = std::move(method); };
    return context;
  }
  std::unique_ptr<pipeline::Source> make(const MachineSourceOptions& options) {
    auto source = make_machine_source(options, context());
    EXPECT_TRUE(source) << source.error().message;
    return source ? *std::move(source) : nullptr;
  }
  /// Runs until the source ends or gave `count` rows.
  std::vector<pipeline::Packet> take(pipeline::Source& source, std::size_t count) {
    std::vector<pipeline::Packet> packets;
    const auto emit = [&](pipeline::Packet packet) { packets.push_back(std::move(packet)); };
    EXPECT_TRUE(source.run(emit, [&] { return packets.size() >= count; }));
    return packets;
  }
  pipeline::MethodReply call(const std::string& name, const char* parameters) {
    return methods_.at(name)(*parse_json(parameters));
  }

  SteppingClock clock_;
  std::map<std::string, pipeline::Method> methods_;
};

TEST_F(MachineSourceTest, EndsAfterItsMinutesAndStampsSimulatedTime) {
  const auto source = make({.simulator = {.seed = 2, .rate_hz = 4}, .is_paced = false, .minutes = 1});
  EXPECT_FALSE(source->is_live());
  const auto packets = take(*source, 100'000);
  ASSERT_EQ(packets.size(), 240U);
  MachineSimulator same({.seed = 2, .rate_hz = 4});
  for (std::size_t at = 0; at < packets.size(); ++at) {
    EXPECT_EQ(packets[at].captured_us, 1'700'000'000'000'000 + static_cast<std::int64_t>(at) * 250'000);
    const auto row = pipeline::payload_as<pipeline::SensorRow>(packets[at]);
    ASSERT_TRUE(row);
    EXPECT_EQ(*row->channels, MachineSimulator::channel_names());
    const auto values = same.next();
    EXPECT_EQ(row->values, std::vector<float>(values.begin(), values.end()));
    EXPECT_FALSE(row->score);
  }
}

TEST_F(MachineSourceTest, PacedItFollowsTheClockAndDoesNotRaceAfterAStall) {
  const auto source = make({.simulator = {.seed = 1, .rate_hz = 10}, .is_paced = true, .minutes = 0.5});
  EXPECT_TRUE(source->is_live());
  clock_.set_step_us(3'600'000'000);  // Every look at the clock finds an hour gone.
  const auto packets = take(*source, 100'000);
  // A second's worth a turn, until the half minute is over; racing, the first turn alone would give 36,000.
  EXPECT_GE(packets.size(), 300U);
  EXPECT_LE(packets.size(), 310U);
}

TEST_F(MachineSourceTest, FaultsComeByMethod) {
  const auto source = make({.simulator = {.seed = 1, .rate_hz = 4}, .is_paced = false, .minutes = 0});
  const auto reply = call("fault", R"({"kind": "step", "seed": 3, "amplitude": 2})");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.payload.at("kind"), "step");
  EXPECT_EQ(reply.payload.at("captured_us"), 1'700'000'000'000'000);
  EXPECT_FALSE(reply.payload.at("channel").get<std::string>().empty());
  MachineSimulator same({.seed = 1, .rate_hz = 4});
  EXPECT_EQ(same.set_fault(FaultKind::step, 3, 2), reply.payload.at("channel"));
  const auto packets = take(*source, 5);
  const auto values = same.next();
  EXPECT_EQ(pipeline::payload_as<pipeline::SensorRow>(packets[0])->values,
            std::vector<float>(values.begin(), values.end()));
  EXPECT_EQ(call("fault", "{}").payload.at("channel"), "") << "no kind ends the fault";
}

TEST_F(MachineSourceTest, PaceMakesSimulatedTimeRunAhead) {
  const auto source = make({.simulator = {.seed = 1, .rate_hz = 4}, .is_paced = true, .minutes = 0});
  clock_.set_step_us(250'000);
  EXPECT_EQ(call("pace", R"({"factor": 1000})").status, 200);
  const auto packets = take(*source, 900);
  ASSERT_GE(packets.size(), 900U);
  EXPECT_EQ(packets[899].captured_us - packets[0].captured_us, 899 * 250'000);
}

TEST_F(MachineSourceTest, RefusesNonsense) {
  const auto source = make({});
  const struct {
    const char *method, *parameters, *message;
  } calls[] = {
      {"fault", R"({"kind": "explosion"})", "there is no fault \"explosion\"; give none, step"},
      {"fault", R"({"kind": 5})", "kind"},
      {"fault", R"({"kind": "step", "seed": "x"})", "seed"},
      {"fault", R"({"kind": "step", "amplitude": 11})", "amplitude must be 0..10"},
      {"fault", R"({"kind": "step", "amplitude": -1})", "amplitude must be 0..10"},
      {"pace", R"({"factor": 0})", "factor must be 1..1000"},
      {"pace", R"({"factor": 1001})", "factor must be 1..1000"},
      {"pace", R"({"factor": "fast"})", "factor"},
  };
  for (const auto& c : calls) {
    SCOPED_TRACE(c.parameters);
    const auto reply = call(c.method, c.parameters);
    EXPECT_EQ(reply.status, 400);
    EXPECT_THAT(reply.payload.at("message").get<std::string>(), HasSubstr(c.message));
  }
  EXPECT_TRUE(call("fault", R"({"describe": true})").payload.contains("parameters"));
  EXPECT_TRUE(call("pace", R"({"describe": true})").payload.contains("parameters"));
}

TEST_F(MachineSourceTest, ItsOptionsHaveRanges) {
  const struct {
    MachineSourceOptions options;
    const char* message;
  } cases[] = {
      {{.simulator = {.rate_hz = 0}}, "rate_hz is 0; give 0.1..100"},
      {{.simulator = {.rate_hz = 101}}, "rate_hz is 101; give 0.1..100"},
      {{.simulator = {.rate_hz = std::nan("")}}, "rate_hz is nan"},
      {{.simulator = {}, .minutes = -1}, "minutes is -1; give 0"},
      {{.simulator = {}, .minutes = std::nan("")}, "minutes is nan"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.message);
    const auto source = make_machine_source(c.options, context());
    ASSERT_FALSE(source);
    EXPECT_EQ(source.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(source.error().message, HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace verge::telemetry
