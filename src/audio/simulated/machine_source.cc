#include "audio/simulated/machine_source.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <thread>

#include "audio/simulated/machines.h"

namespace verge::audio {
namespace {

constexpr int kHeardRateHz = 16'000;
constexpr std::size_t kHeardBlock = 512, kHeardMax = 100;
constexpr double kPieceSeconds = 10;  ///< Sounds are made in such pieces, so that an hour of one needs no memory.

struct PlayedSound {
  std::string name;
  double seconds = 0;
};

/// What the methods and the source's thread share.
class PlayList {
 public:
  void ask(PlayedSound sound) {
    const std::lock_guard lock(mutex_);
    asked_ = std::move(sound);
  }
  std::optional<PlayedSound> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, std::nullopt);
  }
  void heard(const std::string& name, std::int64_t captured_us) {
    const std::lock_guard lock(mutex_);
    heard_.push_back({{"sound", name}, {"captured_us", captured_us}});
    if (heard_.size() > kHeardMax) heard_.pop_front();
  }
  Json truth() const {
    const std::lock_guard lock(mutex_);
    return {{"heard", Json(std::vector<Json>(heard_.begin(), heard_.end()))}};
  }

 private:
  mutable std::mutex mutex_;
  std::optional<PlayedSound> asked_;
  std::deque<Json> heard_;
};

Status check_sound(const std::string& name) {
  VERGE_CHECK(simulated::machine_sound(name, 0.1, 1));
  return Done{};
}

class MachineSource final : public pipeline::Source {
 public:
  MachineSource(MachineSourceOptions options, const pipeline::Context& context)
      : options_(std::move(options)), clock_(*context.clock), list_(std::make_shared<PlayList>()) {
    if (!context.add_method) return;
    context.add_method("play", [list = list_](const Json& parameters) -> pipeline::MethodReply {
      const auto refuse = [](const std::string& why) { return pipeline::MethodReply{400, {{"error", why}}}; };
      const auto name = string_member(parameters, "sound");
      const auto seconds = number_member(parameters, "seconds", 10.0);
      if (!name) return refuse(name.error().message);
      if (const auto known = check_sound(*name); !known) return refuse(known.error().message);
      if (!seconds || !(*seconds >= 1 && *seconds <= 3600)) return refuse("seconds must be 1..3600");
      list->ask({*name, *seconds});
      return {200, {{"sound", *name}, {"seconds", *seconds}}};
    });
    context.add_method("truth", [list = list_](const Json&) -> pipeline::MethodReply { return {200, list->truth()}; });
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    next_us_ = clock_.monotonic_us();
    std::size_t at = 0;
    while (!should_stop() && (options_.is_paced || at < options_.sounds.size())) {
      PlayedSound sound{options_.sounds[at++ % options_.sounds.size()], options_.each_s};
      std::optional<PlayedSound> put_in = std::move(sound);
      while (put_in && !should_stop()) {
        VERGE_TRY(put_in, play(*put_in, emit, should_stop));
      }
    }
    return Done{};
  }

  bool is_live() const override { return options_.is_paced; }

 private:
  /// Returns what was asked for in between, or nothing at the end.
  Result<std::optional<PlayedSound>> play(const PlayedSound& sound, const pipeline::Emit& emit,
                                          const std::function<bool()>& should_stop) {
    list_->heard(sound.name, clock_.now_us());
    for (double left_s = sound.seconds; left_s >= 0.1; left_s -= kPieceSeconds) {
      VERGE_TRY(const auto samples, simulated::machine_sound(sound.name, std::min(left_s, kPieceSeconds),
                                                             options_.seed * 1'000'003 + piece_++));
      for (std::size_t at = 0; at + kHeardBlock <= samples.size() && !should_stop(); at += kHeardBlock) {
        if (auto asked = list_->take()) return asked;
        emit(packet_of(std::span(samples).subspan(at, kHeardBlock)));
        next_us_ += 1'000'000LL * static_cast<std::int64_t>(kHeardBlock) / kHeardRateHz;
        const std::int64_t delay_us = next_us_ - clock_.monotonic_us();
        if (options_.is_paced && delay_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
      }
    }
    return std::optional<PlayedSound>();
  }

  pipeline::Packet packet_of(std::span<const float> samples) const {
    auto block = std::make_shared<pipeline::AudioBlock>();
    block->rate_hz = kHeardRateHz;
    block->samples.assign(samples.begin(), samples.end());
    double power = 0;
    for (const float sample : samples)
      power += static_cast<double>(sample) * sample / static_cast<double>(samples.size());
    block->level_db = static_cast<float>(10 * std::log10(std::max(power, 1e-12)));
    pipeline::Packet packet;
    packet.captured_us = clock_.now_us();
    packet.monotonic_us = clock_.monotonic_us();
    packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(block));
    return packet;
  }

  const MachineSourceOptions options_;
  const Clock& clock_;
  const std::shared_ptr<PlayList> list_;
  std::int64_t next_us_ = 0;
  std::uint64_t piece_ = 0;
};

Result<std::unique_ptr<pipeline::Source>> make_simulated_sound(const Json& options, const pipeline::Context& context) {
  MachineSourceOptions machine;
  for (const auto& sound : options.value("sounds", Json::array())) {
    if (!sound.is_string())
      return Error{ErrorCode::invalid_argument, "simulated_sound: sounds must be a list of names"};
    machine.sounds.push_back(sound.get<std::string>());
  }
  VERGE_TRY(machine.each_s, number_member(options, "each_s", machine.each_s));
  VERGE_TRY(const double seed, number_member(options, "seed", 1.0));
  if (!(seed >= 0 && seed <= 1e9)) return Error{ErrorCode::invalid_argument, "simulated_sound: seed must be 0..1e9"};
  machine.seed = static_cast<std::uint64_t>(seed);
  VERGE_TRY(machine.is_paced, bool_member(options, "paced", machine.is_paced));
  return make_machine_source(std::move(machine), context);
}

}  // namespace

Result<std::unique_ptr<pipeline::Source>> make_machine_source(MachineSourceOptions options,
                                                              const pipeline::Context& context) {
  if (options.sounds.empty())
    return Error{ErrorCode::invalid_argument, "the source \"simulated_sound\" needs sounds: a list of names"};
  for (const auto& name : options.sounds) VERGE_CHECK(check_sound(name));
  if (!(options.each_s >= 1 && options.each_s <= 3600))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("simulated_sound: each_s is {:g}; give 1..3600", options.each_s)};
  return std::unique_ptr<pipeline::Source>(new MachineSource(std::move(options), context));
}

void add_simulated_stages(pipeline::Catalog& catalog) {
  catalog.add(pipeline::Kind<pipeline::Source>{
      .name = "simulated_sound",
      .where = "audio/simulated/machine_source.h",
      .summary = "Machines, alarms and a leak made by formula, for demonstrations without a microphone.",
      .options = {{"sounds", "list", "What is heard in turn: motor, motor_bearing, room, leak, smoke_alarm, …", nullptr,
                   true},
                  {"each_s", "number", "Length of each, seconds, 1..3600", 30.0, false},
                  {"seed", "integer", "Another seed, another copy of the same sounds, 0..1e9", 1, false},
                  {"paced", "flag", "At the sound's own pace; false: as fast as the pipeline takes it, once", true,
                   false}},
      .make = make_simulated_sound});
}

}  // namespace verge::audio
