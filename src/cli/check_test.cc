#include "cli/check.h"

#include <gmock/gmock.h>

#include "base/guarded.h"
#include "base/time.h"
#include "cli/fake_hub_for_tests.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;

/// A device whose film, recordings and machine last milliseconds.
class TinyDevice {
 public:
  Json alarms_after = {"step", "drift", "stuck"};  ///< Kinds that raise an alarm.
  bool is_deaf = false;                            ///< Audio's method fails.

  HttpResponse answer(const HttpRequest& request) {
    return state_.with(
        [&](State& state) { return request.method == "POST" ? call(state, request) : events(state, request); });
  }

 private:
  struct State {
    std::vector<Json> events;
    std::int64_t machine_ahead_us = 0;
  };

  static std::int64_t now_us() { return system_clock().now_us(); }

  static void add(State& state, const char* module, const char* type, std::int64_t captured_us, Json more) {
    more.update(
        {{"module", module}, {"type", type}, {"captured_us", captured_us}, {"received_us", captured_us + 7000}});
    state.events.push_back(std::move(more));
  }

  HttpResponse call(State& state, const HttpRequest& request) {
    const auto segments = request.segments();
    const auto& module = segments.at(3);
    const auto body = *parse_json(request.body);
    const auto parameters = body.at("payload");
    if (module == "vision") return begin_film(state);
    if (module == "audio") return is_deaf ? hub_error(404, "the module is not connected") : begin_recordings(state);
    // Simulated time jumps far ahead with every call, so that nothing has to be waited for.
    state.machine_ahead_us += 10'000'000'000;
    const auto at_us = now_us() + state.machine_ahead_us;
    if (body.at("methodName") == "fault") switch_fault(state, parameters.at("kind"), at_us);
    add(state, "telemetry", "anomaly.score", at_us + 9'000'000'000, Json::object());
    return reply(at_us);
  }

  void switch_fault(State& state, const Json& kind, std::int64_t at_us) const {
    if (std::find(alarms_after.begin(), alarms_after.end(), kind) == alarms_after.end()) return;
    add(state, "telemetry", "anomaly.alarm", at_us + 5'000'000, Json::object());
  }

  static HttpResponse begin_film(State& state) {
    const auto at_us = now_us();
    add(state, "vision", "zone.entered", at_us - 1, {{"rule", "plaza"}});
    for (int entry = 0; entry < 5; ++entry) add(state, "vision", "zone.entered", at_us + entry, {{"rule", "plaza"}});
    add(state, "vision", "line.crossed", at_us, {{"rule", "walkway"}, {"extension", {{"direction", "in"}}}});
    return reply(at_us);
  }

  static HttpResponse begin_recordings(State& state) {
    const auto at_us = now_us();
    // What was still to be played is not played any more.
    std::erase_if(state.events,
                  [&](const Json& event) { return event.at("module") == "audio" && event.at("captured_us") >= at_us; });
    add(state, "audio", "speech.final", at_us + 1000, {{"label", "Front left."}, {"duration_us", 5000}});
    add(state, "audio", "speech.final", at_us + 21'000, {{"label", "Rear right."}, {"duration_us", 5000}});
    return reply(at_us);
  }

  static HttpResponse reply(std::int64_t captured_us) {
    return json_response({{"status", 200}, {"payload", {{"captured_us", captured_us}}}});
  }

  /// Two events a page, newest first, as the hub gives them.
  static HttpResponse events(const State& state, const HttpRequest& request) {
    const auto& query = request.query;
    const auto number = [&](const char* name) { return std::stoll(query.find(name)->second); };
    Json found = Json::array();
    for (const auto& event : state.events) {
      const auto captured_us = event.at("captured_us").get<std::int64_t>();
      if (event.at("module") != query.find("module")->second || captured_us < number("from_us") ||
          captured_us > number("to_us"))
        continue;
      if (query.contains("type") && event.at("type") != query.find("type")->second) continue;
      found.push_back(event);
    }
    const auto from = query.contains("before") ? static_cast<std::size_t>(number("before")) : std::size_t{0};
    Json page = Json::array();
    for (std::size_t at = from; at < std::min(from + 2, found.size()); ++at) page.push_back(found[at]);
    Json answer{{"events", page}};
    if (from + 2 < found.size()) answer["next"] = std::to_string(from + 2);
    return json_response(answer);
  }

  Guarded<State> state_;
};

const Truth kTruth{{"plaza", "walkway", 5, 1, 0, 30, 1000},
                   {{{"a.wav", "front left", 0.01}, {"b.wav", "rear right", 0.01}}, 0.01},
                   {{{"step", 1, 1}, {"drift", 2, 1}, {"stuck", 3, 1}, {"correlation", 4, 1}}, 30, 30, 3}};

CheckOptions quick() {
  CheckOptions options;
  options.device = "edge";
  options.pace = 1000;
  options.real_time_s = 0.01;
  options.grace_s = 0.05;
  options.poll = std::chrono::milliseconds(5);
  return options;
}

CheckReport check(TinyDevice& device) {
  const FakeHub hub([&](const HttpRequest& request) { return device.answer(request); });
  return run_check(hub.client(), kTruth, quick(), [](const std::string&) {});
}

TEST(Check, IsMetByADeviceThatSeesHearsAndFeelsRight) {
  TinyDevice device;
  const auto report = check(device);
  EXPECT_TRUE(report.is_met()) << report.missing();
  EXPECT_EQ(report.findings.size(), 6U);
  ASSERT_EQ(report.latencies.size(), 3U);
  EXPECT_DOUBLE_EQ(report.latencies[0].p50_ms, 7);
  EXPECT_DOUBLE_EQ(report.latencies[1].p50_ms, 2);
  EXPECT_THAT(to_tables(report), HasSubstr("1 (1 in, 0 out)"));
  EXPECT_EQ(to_json(report).at("met"), true);
}

TEST(Check, NamesWhatIsMissing) {
  TinyDevice device;
  device.alarms_after = {"step", "none"};
  const auto report = check(device);
  EXPECT_FALSE(report.is_met());
  EXPECT_THAT(report.missing(), HasSubstr("faults raised within 30 s"));
  EXPECT_THAT(report.missing(), HasSubstr("correlation missed"));
}

TEST(Check, AModuleThatDoesNotAnswerLeavesTheOthersJudged) {
  TinyDevice device;
  device.is_deaf = true;
  const auto report = check(device);
  EXPECT_FALSE(report.is_met());
  EXPECT_THAT(report.missing(), HasSubstr("audio (not measured: call restart of module \"audio\""));
  EXPECT_THAT(report.missing(), HasSubstr("the module is not connected"));
  EXPECT_EQ(report.findings.size(), 5U);
}

TEST(Check, WithoutAHubNothingIsMet) {
  HubAddress address;
  {
    const FakeHub gone([](const HttpRequest&) { return hub_error(500, ""); });
    address = gone.client().address();
  }
  const auto report = run_check(HubClient(address), kTruth, quick(), [](const std::string&) {});
  EXPECT_FALSE(report.is_met());
  EXPECT_EQ(report.findings.size(), 3U);
}

}  // namespace
}  // namespace verge::cli
