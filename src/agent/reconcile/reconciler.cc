#include "agent/reconcile/reconciler.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <fmt/format.h>
#include <fstream>

#include "agent/reconcile/process_watch.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::agent {
namespace {

constexpr std::uint64_t kThoroughEvery = 60;  // Rounds: five minutes.

/// What a round's job found.
struct Look {
  std::uint64_t revision = 0;  ///< Of the desired modules it looked for.
  Result<std::vector<Container>> containers = std::vector<Container>{};
  std::optional<EngineInfo> engine;
  std::map<std::string, bool> has_image;
  std::map<std::string, std::string> digests;
};

/// What a command's job did.
struct Outcome {
  Status status = Done{};
  std::vector<std::string> left_out;
};

std::int64_t boot_us_of(const Clock& clock) { return clock.now_us() - clock.monotonic_us(); }

std::uint32_t number_from(const Labels& labels, const std::string& name) {
  const auto found = labels.find(name);
  std::uint32_t number = 4294967295U;
  if (found != labels.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), number);
  return number;
}

std::string text_from(const Labels& labels, const std::string& name) {
  const auto found = labels.find(name);
  return found == labels.end() ? "" : found->second;
}

Json to_json(const std::map<std::string, ModuleHistory>& histories) {
  Json json = Json::object();
  for (const auto& [name, history] : histories) {
    json[name] = {{"restart_count", history.restart_count},
                  {"last_exit_us", history.last_exit_us},
                  {"last_restart_us", history.last_restart_us},
                  {"last_exit_code", history.last_exit_code},
                  {"was_stopped_by_us", history.was_stopped_by_us}};
  }
  return json;
}

/// A damaged file costs the counters, nothing else.
std::map<std::string, ModuleHistory> histories_from(const Json& json) {
  std::map<std::string, ModuleHistory> histories;
  if (!json.is_object()) return histories;
  for (const auto& [name, item] : json.items()) {
    const auto number = [&item = item](const char* key) {
      const auto value = integer_member(item, key);
      return value ? *value : 0;
    };
    if (!item.is_object()) continue;
    ModuleHistory history;
    history.restart_count = static_cast<std::uint32_t>(std::clamp<std::int64_t>(number("restart_count"), 0, 1'000'000));
    history.last_exit_us = number("last_exit_us");
    history.last_restart_us = number("last_restart_us");
    history.last_exit_code = static_cast<int>(number("last_exit_code"));
    const auto stopped = bool_member(item, "was_stopped_by_us");
    history.was_stopped_by_us = stopped && *stopped;
    histories[name] = history;
  }
  return histories;
}

}  // namespace

struct Reconciler::Impl : std::enable_shared_from_this<Reconciler::Impl> {
  Impl(Surroundings s, ReconcileOptions o, std::function<void()> c)
      : surroundings(std::move(s)), options(o), changed(std::move(c)) {}

  const Surroundings surroundings;
  const ReconcileOptions options;
  const std::function<void()> changed;

  PlanInput state;
  std::map<std::string, contract::RegistryCredential> registries;
  std::map<std::string, std::string> generations;
  EngineInfo engine;
  bool knows_engine = false, is_reachable = false;
  bool is_running = false, is_again = false;
  std::atomic<bool> is_stopped = false;
  std::uint64_t rounds = 0;
  std::optional<std::int64_t> rest_us;      ///< Until the first module that cools off may be tried again.
  std::atomic<std::uint64_t> revision = 0;  // Of the desired modules; workers look whether theirs is the newest.
  std::uint64_t pruned_revision = 0;        // For which images were removed last; 0: for none.
  bool has_pruned_settled = false;          // When all its modules ran already.
  bool shall_prune_again = false;
  Loop::TimerId timer = 0;
  std::map<std::string, std::int64_t> lost_since_us;  // container id -> monotonic time
  std::set<std::string> fetching;
  std::map<std::string, std::string> digests, remarks;
  std::map<std::string, ModuleHistory> saved_histories;
  std::unique_ptr<ProcessWatch> watch;

  // Deferred calls hold a weak pointer: the loop may outlive us.
  std::function<void()> later(void (Impl::*method)()) {
    return [weak = weak_from_this(), method] {
      if (const auto self = weak.lock()) (self.get()->*method)();
    };
  }
  void post(std::function<void(Impl&)> work) const {
    surroundings.loop.post([weak = std::weak_ptr<const Impl>(weak_from_this()), work = std::move(work)] {
      if (const auto self = weak.lock()) work(const_cast<Impl&>(*self));
    });
  }
  std::filesystem::path history_path() const { return surroundings.settings.state_folder() / "history.json"; }

  void start() {
    const auto& restart = surroundings.settings.restart;
    state.cool_off = {restart.cool_off_s * 1'000'000, restart.cool_off_s_max * 1'000'000};
    if (const auto text = read_file(history_path(), 1U << 20U)) {
      if (const auto json = parse_json(*text)) state.history = saved_histories = histories_from(*json);
    }
    watch = std::make_unique<ProcessWatch>([weak = weak_from_this(), &loop = surroundings.loop](std::int64_t) {
      loop.post([weak] {
        if (const auto self = weak.lock()) self->wake_soon();
      });
    });
    begin_round();
  }

  /// After the engine had time to notice by itself, too.
  void wake_soon() {
    if (!is_stopped) surroundings.loop.after(options.gap, later(&Impl::wake));
  }

  void wake() {
    if (is_stopped || watch == nullptr) return;  // Before start() there is nothing to wake.
    if (is_running) {
      is_again = true;
    } else {
      begin_round();
    }
  }

  void begin_round() {
    surroundings.loop.cancel(timer);
    is_running = true;
    is_again = false;
    rest_us.reset();
    ++rounds;
    std::vector<std::pair<std::string, std::string>> wanted;
    for (const auto& [name, module] : state.desired) {
      const ActualContainer* actual = container_of(state, name);
      const bool is_settled = actual != nullptr && actual->hash == module.hash && module.has_image;
      if (!is_settled) wanted.emplace_back(name, module.spec.image);
    }
    // What hardly ever changes is asked rarely: Podman's service spends tens of milliseconds on it.
    const bool is_thorough = !knows_engine || !is_reachable || rounds % kThoroughEvery == 0;
    const auto submitted = surroundings.engine_workers.submit(
        [self = shared_from_this(), wanted, is_thorough, looked_for = revision.load()] {
          auto look = std::make_shared<Look>(self->look(wanted, is_thorough));
          look->revision = looked_for;
          self->post([look](Impl& impl) { impl.act(std::move(*look)); });
        });
    if (!submitted) end_round(false);
  }

  Look look(const std::vector<std::pair<std::string, std::string>>& wanted, bool is_thorough) const {
    Look look;
    const Settings& settings = surroundings.settings;
    const auto& network = settings.network;
    look.containers = surroundings.engine.list(owner_labels(settings));
    if (!look.containers) return look;
    if (is_thorough) {
      auto ready =
          surroundings.engine.ensure_network(network.name, network.subnet, network.gateway, owner_labels(settings));
      if (!ready) {
        look.containers = std::move(ready).error();
        return look;
      }
      if (const auto info = surroundings.engine.info()) look.engine = *info;
    }
    for (const auto& [name, reference] : wanted) {
      look.has_image[name] = surroundings.images.find(reference).has_value();
      look.digests[name] = surroundings.images.digest_of(reference);
    }
    return look;
  }

  void act(Look look) {
    if (is_stopped) return;
    if (look.revision != revision) return begin_round();  // It looked for other images than are wanted now.
    if (!look.containers) {
      if (is_reachable || rounds == 1) log_error("reconcile", look.containers.error());
      is_reachable = false;
      changed();
      end_round(false);
      return;
    }
    if (!is_reachable) log_info("reconcile", "the container engine answers");
    is_reachable = true;
    if (look.engine) engine = *look.engine, knows_engine = true;
    take_over(look);
    auto commands = plan(state, &rest_us);
    changed();
    run_fetches(commands);
    prune_images();
    std::erase_if(commands, [](const Command& command) { return command.action == Action::fetch; });
    run_groups(std::move(commands), false);
  }

  void take_over(const Look& look) {
    const auto& settings = surroundings.settings;
    state.now_us = surroundings.clock.now_us();
    state.boot_us = boot_us_of(surroundings.clock);
    state.actual.clear();
    std::set<std::int64_t> pids;
    std::map<std::string, std::int64_t> still_lost;
    for (const Container& container : *look.containers) {
      ActualContainer actual;
      actual.container = container;
      actual.module = text_from(container.labels, module_label(settings));
      actual.hash = text_from(container.labels, hash_label(settings));
      actual.startup_order = number_from(container.labels, order_label(settings));
      actual.is_lost = is_lost(container, still_lost);
      if (container.state == ContainerState::running && !actual.is_lost) pids.insert(container.pid);
      state.actual.push_back(std::move(actual));
    }
    lost_since_us = std::move(still_lost);
    for (auto& [name, module] : state.desired) {
      const auto found = look.has_image.find(name);
      if (found != look.has_image.end()) module.has_image = found->second;
      const auto digest = look.digests.find(name);
      if (digest != look.digests.end()) digests[name] = digest->second;
    }
    for (auto& [name, module] : state.desired) refresh(name, module);
    state.history = observe(state);
    save_histories();
    std::erase_if(pids, [this](std::int64_t pid) { return !surroundings.is_process_alive(pid); });
    watch->set(pids);
  }

  bool is_lost(const Container& container, std::map<std::string, std::int64_t>& still_lost) {
    if (container.state != ContainerState::running || surroundings.is_process_alive(container.pid)) return false;
    const auto now_us = surroundings.clock.monotonic_us();
    const auto known = lost_since_us.find(container.id);
    const auto since_us = known == lost_since_us.end() ? now_us : known->second;
    still_lost[container.id] = since_us;
    const bool is_for_sure = now_us - since_us >= options.lost_after.count() * 1000;
    if (!is_for_sure) surroundings.loop.after(options.lost_after, later(&Impl::wake));
    return is_for_sure;
  }

  void refresh(const std::string& name, DesiredModule& module) {
    const auto generation = generations.find(name);
    if (generation == generations.end()) {
      module.blocked = "waiting for the module's identity from the hub";
      // Without a generation the hash is unknown: keep what runs.
      for (const auto& actual : state.actual) {
        if (actual.module == name) module.hash = actual.hash;
      }
      return;
    }
    module.blocked.clear();
    module.hash = spec_hash(module.spec, surroundings.settings, generation->second);
  }

  void run_fetches(const std::vector<Command>& commands) {
    for (const Command& command : commands) {
      if (command.action != Action::fetch || !fetching.insert(command.module).second) continue;
      const auto spec = state.desired.at(command.module).spec;
      log_info("reconcile", "fetching an image", {{"module", command.module}, {"image", spec.image}});
      const auto submitted =
          surroundings.transfer_workers.submit([self = shared_from_this(), spec, registries = registries] {
            auto fetched = self->surroundings.images.fetch(spec, registries);
            const Status status = fetched ? Status(Done{}) : Status(fetched.error());
            self->post([name = spec.name, status](Impl& impl) { impl.finish_fetch(name, status); });
          });
      if (!submitted) fetching.erase(command.module);
    }
  }

  void finish_fetch(const std::string& name, const Status& status) {
    fetching.erase(name);
    note(name, Action::fetch, {status, {}});
    wake();
  }

  /// Every module has its container, made as the manifest says, and it was started.
  bool is_settled() const {
    return std::all_of(state.desired.begin(), state.desired.end(), [this](const auto& item) {
      const auto& [name, module] = item;
      const ActualContainer* actual = container_of(state, name);
      if (actual == nullptr || actual->hash != module.hash || !module.blocked.empty() || actual->is_lost) return false;
      const Container& container = actual->container;
      const bool is_finished = container.finished_us > 0 && container.exit_code == 0;
      return module.spec.status != contract::DesiredStatus::running || container.state == ContainerState::running ||
             is_finished;
    });
  }

  /// Once for every set of modules, and once more when all of them run: what no manifest names any more goes.
  void prune_images() {
    if (shall_prune_again && rounds % kThoroughEvery == 0) pruned_revision = 0;
    const bool settled = is_settled();
    const bool is_done = pruned_revision == revision && (has_pruned_settled || !settled);
    if (revision == 0 || !fetching.empty() || is_done) return;
    std::set<std::string> wanted;
    for (const auto& [name, module] : state.desired) wanted.insert(module.spec.image);
    const auto submitted = surroundings.transfer_workers.submit(
        [self = shared_from_this(), wanted, settled, pruned_for = revision.load()] {
          const auto pruned = self->surroundings.images.prune(
              wanted, settled, [&] { return !self->is_stopped && self->revision == pruned_for; });
          if (!pruned) log_warning("reconcile", "images that are needed no more: " + pruned.error().message);
          self->post([is_good = bool(pruned)](Impl& impl) { impl.shall_prune_again = !is_good; });
        });
    if (!submitted) return;  // The queue is full; the next round tries again.
    pruned_revision = revision;
    has_pruned_settled = settled;
  }

  /// Runs the first group of `commands`, then the rest.
  void run_groups(std::vector<Command> commands, bool has_acted) {
    if (commands.empty() || is_stopped) {
      end_round(has_acted);
      return;
    }
    const auto rest = std::find_if(commands.begin(), commands.end(),
                                   [&](const Command& command) { return command.group != commands.front().group; });
    auto remaining = std::make_shared<std::vector<Command>>(rest, commands.end());
    commands.erase(rest, commands.end());
    std::map<std::string, std::vector<Command>> by_module;
    for (Command& command : commands) by_module[command.module].push_back(std::move(command));
    auto open = std::make_shared<std::size_t>(by_module.size());
    for (auto& [module, own] : by_module) {
      run_module(std::move(own), [this, open, remaining] {
        if (--*open == 0) run_groups(std::move(*remaining), true);
      });
    }
  }

  /// One after the other; `done` on the loop, while we live.
  void run_module(std::vector<Command> commands, const std::function<void()>& done) {
    if (commands.empty()) {
      done();
      return;
    }
    const Command command = commands.front();
    commands.erase(commands.begin());
    log_info("reconcile", name_of(command.action),
             {{"module", command.module}, {"container", command.container.substr(0, 12)}});
    const bool will_stop = command.action == Action::stop;
    if (will_stop) state.history[command.module].was_stopped_by_us = true;
    auto job = prepare(command);
    const auto finish = [rest = std::move(commands), done, command](Impl& impl, Outcome outcome) {
      impl.note(command.module, command.action, outcome);
      impl.run_module(rest, done);
    };
    const auto submitted = surroundings.engine_workers.submit([self = shared_from_this(), job, finish] {
      auto outcome = job();
      self->post([finish, outcome](Impl& impl) { finish(impl, outcome); });
    });
    if (!submitted) post([finish, status = submitted](Impl& impl) { finish(impl, {status, {}}); });
  }

  /// Everything a command needs, taken now: the worker never looks at our state.
  std::function<Outcome()> prepare(const Command& command) const {
    const auto desired = state.desired.find(command.module);
    ContainerEngine& engine_calls = surroundings.engine;
    const int grace_s = options.stop_grace_s;
    const std::string old = command.container;
    switch (command.action) {
      case Action::start:
        return [&engine_calls, old] { return Outcome{engine_calls.start(old), {}}; };
      case Action::stop:
        return [&engine_calls, old, grace_s] { return Outcome{engine_calls.stop(old, grace_s), {}}; };
      case Action::restart:
        return [&engine_calls, old, grace_s] {
          if (const auto stopped = engine_calls.stop(old, grace_s); !stopped) return Outcome{stopped, {}};
          return Outcome{engine_calls.start(old), {}};
        };
      case Action::remove:
        return [&engine_calls, old, grace_s] {
          // A container that cannot be stopped (its monitor is dead) can still be removed by force.
          (void)engine_calls.stop(old, grace_s);
          return Outcome{engine_calls.remove(old), {}};
        };
      default:
        break;
    }
    VERGE_ASSERT(desired != state.desired.end());
    const DesiredModule module = desired->second;
    const auto generation = generations.find(command.module);
    const std::string number = generation == generations.end() ? "" : generation->second;
    return [self = shared_from_this(), module, number, info = engine, old, action = command.action] {
      return self->make(module, number, info, old, action);
    };
  }

  /// create, replace and revive; on a worker.
  Outcome make(const DesiredModule& module, const std::string& generation, const EngineInfo& info,
               const std::string& old, Action action) const {
    ContainerEngine& calls = surroundings.engine;
    const auto image = surroundings.images.find(module.spec.image);
    if (!image) return {Error{ErrorCode::not_found, "image " + module.spec.image + " is not in the engine"}, {}};
    auto made = make_create_body(module.spec, {surroundings.settings, info}, *image, generation);
    const std::string name = container_name(surroundings.settings, module.spec.name, module.hash);
    if (action == Action::revive) {
      if (auto removed = calls.remove(old); !removed) return {removed, made.left_out};
    }
    const auto id = calls.create(name, made.body);
    if (!id) return {id.error(), made.left_out};
    const bool shall_run = module.spec.status == contract::DesiredStatus::running;
    if (action == Action::replace) return {exchange(old, *id, shall_run), made.left_out};
    if (!shall_run) return {Done{}, made.left_out};
    auto started = calls.start(*id);
    if (!started) (void)calls.remove(*id);
    return {started, made.left_out};
  }

  /// The new container takes the old one's place, or the old one goes on.
  Status exchange(const std::string& old, const std::string& fresh, bool shall_run) const {
    ContainerEngine& calls = surroundings.engine;
    const auto before = calls.inspect(old);
    const bool ran = before && before->state == ContainerState::running;
    (void)calls.stop(old, options.stop_grace_s);
    if (shall_run) {
      if (auto started = calls.start(fresh); !started) {
        (void)calls.remove(fresh);
        if (ran) (void)calls.start(old);
        return started;
      }
    }
    return calls.remove(old);
  }

  void note(const std::string& module, Action action, const Outcome& outcome) {
    if (action != Action::fetch && action != Action::remove && action != Action::stop) {
      std::string joined = fmt::format("{}", fmt::join(outcome.left_out, "; "));
      if (action == Action::create || action == Action::replace || action == Action::revive) remarks[module] = joined;
      if (!joined.empty()) log_warning("reconcile", joined, {{"module", module}});
    }
    const auto found = state.history.find(module);
    if (found == state.history.end()) {
      if (!outcome.status) log_error("reconcile", outcome.status.error(), {{"module", module}});
      return;
    }
    ModuleHistory& history = found->second;
    if (!outcome.status) {
      log_error("reconcile", outcome.status.error(), {{"module", module}, {"action", name_of(action)}});
      ++history.failure_count;
      history.last_failure_us = surroundings.clock.now_us();
      history.last_failure = outcome.status.error().message;
      return;
    }
    history.failure_count = 0;
    history.last_failure.clear();
    const bool is_restart = action == Action::restart || action == Action::revive;
    if (is_restart) {
      ++history.restart_count;
      history.last_restart_us = surroundings.clock.now_us();
    }
    if (action == Action::start || is_restart) history.was_stopped_by_us = false;
  }

  void end_round(bool has_acted) {
    is_running = false;
    if (is_stopped) return;
    auto delay = has_acted || is_again ? options.gap : options.period;
    // A module whose rest ends before the next round would wait for that round.
    if (rest_us) delay = std::clamp(std::chrono::milliseconds(*rest_us / 1000 + 1), options.gap, delay);
    timer = surroundings.loop.after(delay, later(&Impl::wake));
  }

  void save_histories() {
    if (to_json(state.history) == to_json(saved_histories)) return;
    saved_histories = state.history;
    const auto submitted =
        surroundings.file_workers.submit([path = history_path(), text = to_text(to_json(state.history))] {
          if (const auto written = write_file(path, text, 0600); !written) log_error("reconcile", written.error());
        });
    if (!submitted) saved_histories.clear();
  }

  /// On a worker. Asks the engine: our last look may be older than a container that just started.
  Status stop_and_start(const std::string& module) const {
    auto& calls = surroundings.engine;
    VERGE_TRY(const auto containers, calls.list(owner_labels(surroundings.settings)));
    const Container* container = container_among(containers, module, surroundings.settings);
    if (container == nullptr) {
      return Error{ErrorCode::not_found, fmt::format("restart module \"{}\": it has no container yet", module)};
    }
    VERGE_CHECK(calls.stop(container->id, options.stop_grace_s));
    return calls.start(container->id);
  }

  void restart(const std::string& module, std::function<void(Status)> done) {
    if (state.desired.count(module) == 0) {
      done(Error{ErrorCode::not_found, fmt::format("restart module \"{}\": there is no such module", module)});
      return;
    }
    state.history[module].was_stopped_by_us = true;
    const auto job = [self = shared_from_this(), module, done = std::move(done)] {
      const Status status = self->stop_and_start(module);
      self->post([status, module, done](Impl& impl) {
        if (status) impl.state.history[module].last_restart_us = impl.surroundings.clock.now_us();
        impl.wake();
        done(status);
      });
    };
    if (auto submitted = surroundings.engine_workers.submit(job); !submitted) wake();
  }
};

Reconciler::Reconciler(Surroundings surroundings, ReconcileOptions options, std::function<void()> changed)
    : impl_(std::make_shared<Impl>(std::move(surroundings), options, std::move(changed))) {}
Reconciler::~Reconciler() { stop(); }

void Reconciler::start() { impl_->start(); }

void Reconciler::set_desired(const contract::AgentConfig& config) {
  std::map<std::string, DesiredModule> desired;
  for (const auto& [name, spec] : config.modules) {
    const auto known = impl_->state.desired.find(name);
    DesiredModule module;
    if (known != impl_->state.desired.end() && known->second.spec.image == spec.image) module = known->second;
    module.spec = spec;
    impl_->refresh(name, module);
    // Another spec deserves a first try without the old one's cool-off.
    if (known != impl_->state.desired.end() && known->second.hash != module.hash) {
      impl_->state.history[name] = ModuleHistory{};
    }
    desired[name] = std::move(module);
  }
  impl_->state.desired = std::move(desired);
  impl_->registries = config.registries;
  ++impl_->revision;
  impl_->wake();
}

void Reconciler::set_generations(std::map<std::string, std::string> generations) {
  if (generations == impl_->generations) return;
  impl_->generations = std::move(generations);
  for (auto& [name, module] : impl_->state.desired) impl_->refresh(name, module);
  impl_->wake();
}

void Reconciler::wake() { impl_->wake(); }
void Reconciler::restart(const std::string& module, std::function<void(Status)> done) {
  impl_->restart(module, std::move(done));
}
void Reconciler::stop() {
  impl_->is_stopped = true;
  impl_->surroundings.loop.cancel(impl_->timer);
  impl_->watch.reset();
}
const PlanInput& Reconciler::state() const { return impl_->state; }
const EngineInfo& Reconciler::engine_info() const { return impl_->engine; }
bool Reconciler::is_engine_reachable() const { return impl_->is_reachable; }
std::map<std::string, std::string> Reconciler::image_hashes() const { return impl_->digests; }
std::map<std::string, std::string> Reconciler::remarks() const { return impl_->remarks; }
std::uint64_t Reconciler::round_count() const { return impl_->rounds; }

}  // namespace verge::agent
