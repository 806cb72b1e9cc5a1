#include "telemetry/machine_source.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <mutex>
#include <thread>

#include "base/guarded.h"
#include "base/json.h"

namespace verge::telemetry {
namespace {

constexpr double kPaceMax = 1000;
constexpr std::int64_t kNapUs = 20'000;  // Many rows a nap when time runs fast.

Json fault_description() {
  return {{"title", "Fault"},
          {"parameters",
           {{{"name", "kind"},
             {"type", "choice"},
             {"choices", {"none", "step", "drift", "stuck", "correlation"}},
             {"default", "none"}},
            {{"name", "seed"}, {"type", "integer"}, {"default", 1}, {"min", 0}, {"max", 1'000'000}},
            {{"name", "amplitude"}, {"type", "number"}, {"default", 1}, {"min", 0}, {"max", 10}}}}};
}

Json pace_description() {
  return {{"title", "Pace of simulated time"},
          {"parameters", {{{"name", "factor"}, {"type", "number"}, {"default", 1}, {"min", 1}, {"max", kPaceMax}}}}};
}

pipeline::MethodReply refuse(const Error& error) {
  return {http_status_of(error.code), Json{{"message", error.message}}};
}

class MachineSource final : public pipeline::Source {
 public:
  MachineSource(const MachineSourceOptions& options, const pipeline::Context& context)
      : options_(options),
        clock_(*context.clock),
        channels_(std::make_shared<const std::vector<std::string>>(MachineSimulator::channel_names())),
        state_(State{MachineSimulator(options.simulator), 1.0, context.clock->now_us()}) {
    if (!context.add_method) return;
    context.add_method("fault", [this](const Json& parameters) { return set_fault(parameters); });
    context.add_method("pace", [this](const Json& parameters) { return set_pace(parameters); });
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    std::int64_t real_us = clock_.monotonic_us();
    double owed_s = 0;
    while (!should_stop()) {
      if (options_.minutes > 0 &&
          state_.with([](const State& state) { return state.simulator.seconds(); }) >= options_.minutes * 60)
        return Done{};
      if (options_.is_paced) {
        std::this_thread::sleep_for(std::chrono::microseconds(kNapUs));
        const std::int64_t now_us = clock_.monotonic_us();
        // After a stall (a stopped process, a slow machine) time goes on from now instead of racing after it.
        owed_s += std::min(1.0, static_cast<double>(now_us - real_us) / 1e6) *
                  state_.with([](const State& state) { return state.pace; });
        real_us = now_us;
      } else {
        owed_s += 1;
      }
      for (const double period_s = 1 / options_.simulator.rate_hz; owed_s >= period_s && !should_stop();
           owed_s -= period_s)
        emit(next_row());
    }
    return Done{};
  }

  bool is_live() const override { return options_.is_paced; }

 private:
  struct State {
    MachineSimulator simulator{SimulatorOptions{}};
    double pace = 1;
    std::int64_t begin_us = 0;
    std::int64_t captured_us() const { return begin_us + static_cast<std::int64_t>(simulator.seconds() * 1e6); }
  };

  pipeline::Packet next_row() {
    auto row = std::make_shared<pipeline::SensorRow>();
    row->channels = channels_;
    pipeline::Packet packet;
    state_.with([&](State& state) {
      packet.captured_us = state.captured_us();
      const auto values = state.simulator.next();
      row->values.assign(values.begin(), values.end());
    });
    packet.monotonic_us = clock_.monotonic_us();
    packet.payload = std::shared_ptr<const pipeline::SensorRow>(std::move(row));
    return packet;
  }

  pipeline::MethodReply set_fault(const Json& parameters) {
    if (parameters.value("describe", false)) return {200, fault_description()};
    auto kind_name = string_member(parameters, "kind", "none");
    auto seed = integer_member(parameters, "seed", 1);
    auto amplitude = number_member(parameters, "amplitude", 1);
    if (!kind_name) return refuse(kind_name.error());
    if (!seed) return refuse(seed.error());
    if (!amplitude) return refuse(amplitude.error());
    auto kind = fault_kind_from(*kind_name);
    if (!kind) return refuse(kind.error());
    if (*amplitude < 0 || *amplitude > 10 || !std::isfinite(*amplitude)) {
      return refuse({ErrorCode::invalid_argument, "amplitude must be 0..10"});
    }
    return state_.with([&](State& state) {
      const auto channel = state.simulator.set_fault(*kind, static_cast<std::uint64_t>(*seed), *amplitude);
      return pipeline::MethodReply{
          200, Json{{"captured_us", state.captured_us()}, {"kind", *kind_name}, {"channel", channel}}};
    });
  }

  pipeline::MethodReply set_pace(const Json& parameters) {
    if (parameters.value("describe", false)) return {200, pace_description()};
    auto factor = number_member(parameters, "factor", 1);
    if (!factor) return refuse(factor.error());
    if (!(*factor >= 1 && *factor <= kPaceMax)) return refuse({ErrorCode::invalid_argument, "factor must be 1..1000"});
    return state_.with([&](State& state) {
      state.pace = *factor;
      return pipeline::MethodReply{200, Json{{"captured_us", state.captured_us()}, {"factor", *factor}}};
    });
  }

  const MachineSourceOptions options_;
  const Clock& clock_;
  const std::shared_ptr<const std::vector<std::string>> channels_;
  Guarded<State> state_;
};

}  // namespace

Result<std::unique_ptr<pipeline::Source>> make_machine_source(const MachineSourceOptions& options,
                                                              const pipeline::Context& context) {
  if (!(options.simulator.rate_hz >= 0.1 && options.simulator.rate_hz <= 100)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("machine: rate_hz is {:g}; give 0.1..100", options.simulator.rate_hz)};
  }
  if (!(options.minutes >= 0)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("machine: minutes is {:g}; give 0 for no end, or more", options.minutes)};
  }
  return std::unique_ptr<pipeline::Source>(new MachineSource(options, context));
}

}  // namespace verge::telemetry
