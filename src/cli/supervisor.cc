#include "cli/supervisor.h"

#include <algorithm>
#include <csignal>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"

namespace verge::cli {
namespace {

constexpr std::chrono::milliseconds kCheckPeriod{200};
constexpr std::int64_t kSettledUs = 60'000'000;

Json to_json(const ProcessMark& mark) { return {{"pid", mark.pid}, {"start_ticks", mark.start_ticks}}; }

ProcessMark mark_from_json(const Json& json) {
  return {static_cast<pid_t>(json.value("pid", 0)), json.value("start_ticks", std::uint64_t{0})};
}

Status store_state(const Home& home, const SupervisorState& state) {
  Json children = Json::object();
  for (const auto& [name, mark] : state.children) children[name] = to_json(mark);
  return write_file(
      home.supervisor_file(),
      to_pretty_text({{"supervisor", to_json(state.supervisor)}, {"children", children}, {"restarts", state.restarts}}),
      0600);
}

/// The children's life under one supervisor; everything on the loop.
class Supervisor {
 public:
  Supervisor(const Home& home, const std::vector<ChildSpec>& specs, SupervisorState state)
      : home_(home), state_(std::move(state)) {
    for (const auto& spec : specs) lives_.push_back({spec});
  }

  Status run() {
    state_.supervisor = {getpid(), process_start_ticks(getpid())};
    VERGE_CHECK(store_state(home_, state_));
    loop_.on_signal([this](int) { loop_.stop(); });
    loop_.every(kCheckPeriod, [this] { check_all(); });
    loop_.post([this] { check_all(); });
    loop_.run();
    return Done{};
  }

 private:
  struct Life {
    ChildSpec spec;
    std::uint64_t restarts_in_a_row = 0;
    std::int64_t started_us = 0;
    std::int64_t next_start_us = 0;
  };

  void check_all() {
    // Ended children are zombies until somebody waits for them; adopted ones are not ours to wait for.
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    for (auto& life : lives_) check(life);
  }

  void check(Life& life) {
    const std::int64_t now_us = system_clock().monotonic_us();
    auto& mark = state_.children[life.spec.name];
    if (mark.is_alive()) {
      if (life.started_us != 0 && now_us - life.started_us > kSettledUs) life.restarts_in_a_row = 0;
      return;
    }
    if (!life.spec.waits_for.empty() && !std::filesystem::exists(life.spec.waits_for)) return;
    if (mark.pid != 0 && life.next_start_us == 0) {
      log_warning("supervisor", "a program ended", {{"program", life.spec.name}, {"pid", mark.pid}});
      ++state_.restarts[life.spec.name];
      life.next_start_us = now_us + restart_delay(life.restarts_in_a_row++).count() * 1000;
    }
    if (now_us >= life.next_start_us) start(life, mark, now_us);
  }

  void start(Life& life, ProcessMark& mark, std::int64_t now_us) {
    life.next_start_us = 0;
    life.started_us = now_us;
    auto pid = start_process(life.spec.process);
    if (!pid) {
      log_error("supervisor", std::move(pid).error().within("start " + life.spec.name));
      life.next_start_us = now_us + restart_delay(life.restarts_in_a_row++).count() * 1000;
      return;
    }
    mark = {*pid, process_start_ticks(*pid)};
    log_info("supervisor", "started a program", {{"program", life.spec.name}, {"pid", mark.pid}});
    if (const auto stored = store_state(home_, state_); !stored) log_error("supervisor", stored.error());
  }

  const Home home_;
  SupervisorState state_;
  std::vector<Life> lives_;
  Loop loop_;
};

}  // namespace

bool SupervisorState::is_anything_alive() const {
  return supervisor.is_alive() ||
         std::any_of(children.begin(), children.end(), [](const auto& child) { return child.second.is_alive(); });
}

Result<SupervisorState> load_supervisor_state(const Home& home) {
  auto text = read_file(home.supervisor_file(), 1U << 20U);
  if (!text && text.error().code == ErrorCode::not_found) return SupervisorState{};
  if (!text) return std::move(text).error();
  auto json = parse_json(*text);
  if (!json || !json->is_object()) {
    return Error{ErrorCode::corrupt, "read " + home.supervisor_file().string() +
                                         ": not the state of a supervisor; remove the file after "
                                         "ending verge-hub and verge-agent by hand"};
  }
  SupervisorState state;
  state.supervisor = mark_from_json(json->value("supervisor", Json::object()));
  const Json children = json->value("children", Json::object());
  for (const auto& [name, mark] : children.items()) {
    state.children[name] = mark_from_json(mark);
  }
  const Json restarts = json->value("restarts", Json::object());
  for (const auto& [name, count] : restarts.items()) {
    state.restarts[name] = count.is_number_unsigned() ? count.get<std::uint64_t>() : 0;
  }
  return state;
}

std::chrono::milliseconds restart_delay(std::uint64_t restarts_in_a_row) {
  constexpr std::chrono::milliseconds kFirst{200};
  constexpr std::chrono::milliseconds kLongest{10'000};
  const auto doublings = std::min<std::uint64_t>(restarts_in_a_row, 6);
  return std::min<std::chrono::milliseconds>(kFirst * (1LL << doublings), kLongest);
}

Status run_supervisor(const Home& home, const std::vector<ChildSpec>& children) {
  VERGE_TRY(auto state, load_supervisor_state(home));
  if (state.supervisor.is_alive()) {
    return Error{ErrorCode::conflict,
                 "process " + std::to_string(state.supervisor.pid) + " already supervises " + home.root.string()};
  }
  return Supervisor(home, children, std::move(state)).run();
}

bool end_process(const ProcessMark& mark, std::chrono::milliseconds grace) {
  if (!mark.is_alive()) return false;
  kill(mark.pid, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + grace;
  while (mark.is_alive() && std::chrono::steady_clock::now() < end) {
    waitpid(mark.pid, nullptr, WNOHANG);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (mark.is_alive()) {
    kill(mark.pid, SIGKILL);
    while (mark.is_alive()) {
      waitpid(mark.pid, nullptr, WNOHANG);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  return true;
}

}  // namespace verge::cli
