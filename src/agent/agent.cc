#include "agent/agent.h"

#include <atomic>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_methods.h"
#include "agent/images/image_cache.h"
#include "agent/live/live_uplink.h"
#include "agent/outbox/outbox.h"
#include "agent/reconcile/reconciler.h"
#include "agent/reconcile/report.h"
#include "agent/router/module_twins.h"
#include "agent/router/router.h"
#include "agent/upstream/hub_api.h"
#include "agent/upstream/hub_link.h"
#include "agent/upstream/system_twin.h"
#include "agent/workload/device_authority.h"
#include "agent/workload/workload_api.h"
#include "base/bytes.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::agent {
namespace {

constexpr const char* kAgentModule = "$edgeAgent";
constexpr const char* kHubModule = "$edgeHub";
constexpr std::chrono::seconds kIdentityRetry{5};
constexpr std::chrono::hours kIdentityRefresh{1};
constexpr std::chrono::seconds kLinkSweep{10};
constexpr std::chrono::hours kCertificateRenewal{24};
constexpr std::chrono::seconds kLastWords{2};
constexpr std::size_t kJobsMax = 256;

/// The last good desired properties, so that the device starts without its hub.
Json stored_desired(const std::filesystem::path& path) {
  const auto text = read_file(path, 1U << 20U);
  const auto json = text ? parse_json(*text) : Result<Json>(text.error());
  if (!json || !json->is_object()) return nullptr;
  const Json* desired = find_member(*json, {"desired"});
  return desired == nullptr ? Json(nullptr) : *desired;
}

bool is_system(const std::string& module) { return module.starts_with('$'); }

}  // namespace

struct Agent::Impl {
  struct Client {
    bool is_connected = false;
    std::int64_t connected_us = 0, disconnected_us = 0;
  };

  Impl(AgentSurroundings s, Settings o)
      : with(std::move(s)), settings(std::move(o)), api(settings, with.clock, [this] { return is_cancelled.load(); }) {}

  const AgentSurroundings with;
  const Settings settings;
  const std::shared_ptr<bool> is_alive = std::make_shared<bool>(true);  // Read and written on the loop's thread.
  std::atomic<bool> is_cancelled{false};                                // Read by workers.
  const HubApi api;
  Metrics metrics;
  std::optional<HomeLock> lock;
  KeyAndCertificate authority;
  TlsPointer hub_tls;

  ModuleIdentities identities;
  contract::AgentConfig config;
  contract::DeploymentStatus agent_status, hub_status;
  std::int64_t agent_version = 0, hub_version = 0;
  bool has_config = false;
  std::map<std::string, Client> clients;
  bool is_refreshing = false, is_refresh_wanted = false, is_stopping = false;

  std::unique_ptr<ImageCache> images;
  std::unique_ptr<Outbox> outbox;
  std::unique_ptr<ModuleTwins> twins;
  std::unique_ptr<Router> router;
  std::unique_ptr<WorkloadApi> workload;
  std::unique_ptr<LiveUplink> live;
  std::unique_ptr<Reconciler> reconciler;
  std::unique_ptr<HttpServer> web;
  std::map<std::string, std::unique_ptr<HubLink>> links;
  std::unique_ptr<SystemTwin> agent_twin, hub_twin;
  std::vector<Loop::TimerId> timers;
  // Last, so that their threads end before anything they use does.
  Workers file_workers{1, kJobsMax};
  Workers engine_workers{2, kJobsMax};
  Workers transfer_workers{1, kJobsMax};
  Workers hub_workers{1, kJobsMax};

  /// Work that the loop may still hold when we are gone; may be made on a worker.
  std::function<void()> while_alive(std::function<void()> work) const {
    return [alive = is_alive, work = std::move(work)] {
      if (*alive) work();
    };
  }

  Loop& loop() const { return with.loop; }
  std::filesystem::path state(const char* name) const { return settings.state_folder() / name; }

  // -- start

  Status start() {
    VERGE_CHECK(prepare_home());
    VERGE_CHECK(open_outbox());
    make_parts();
    VERGE_CHECK(listen());
    load_stored();
    reconciler->start();
    refresh_identities();
    every(kIdentityRefresh, [this] { refresh_identities(); });
    every(kLinkSweep, [this] { sweep_links(); });
    every(kCertificateRenewal, [this] { renew_certificate(); });
    log_info("agent", "started",
             {{"device", settings.device}, {"hub", settings.hub.host}, {"home", settings.home.string()}});
    return Done{};
  }

  void every(std::chrono::milliseconds period, std::function<void()> work) {
    timers.push_back(loop().every(period, std::move(work)));
  }

  Status prepare_home() {
    std::error_code failed;
    std::filesystem::create_directories(settings.state_folder() / "twins", failed);
    if (failed)
      return Error{ErrorCode::unavailable, fmt::format("make {}: {}", settings.home.string(), failed.message())};
    chmod(settings.state_folder().c_str(), 0700);
    VERGE_TRY(auto taken, HomeLock::take(settings.home));
    lock.emplace(std::move(taken));
    VERGE_TRY(authority, device_authority(settings));
    if (!settings.hub.is_plain) {
      TlsOptions options;
      options.trust_pem = settings.hub.ca_pem;
      VERGE_TRY(hub_tls, TlsContext::make_client(options));
    }
    if (auto known = load_identities(state("identities.json"))) {
      identities = *std::move(known);
    } else {
      log_error("agent", known.error());
    }
    return Done{};
  }

  Status open_outbox() {
    OutboxOptions options;
    options.folder = settings.home / "outbox";
    options.disk_bytes_max = settings.outbox.disk_bytes_max;
    options.free_bytes_min = settings.outbox.free_bytes_min;
    options.window = settings.outbox.window;
    VERGE_TRY(outbox, Outbox::open(loop(), file_workers, with.disk, with.clock, metrics, options,
                                   [this](const std::string& target) { return find_sink(target); }));
    return Done{};
  }

  void make_parts() {
    images = std::make_unique<ImageCache>(
        with.engine, settings, [this] { return api.device_token(); }, [this] { return is_cancelled.load(); });
    make_twins();
    make_router();
    if (settings.hub.is_verge) make_live();
    Reconciler::Surroundings around{loop(),  engine_workers, transfer_workers, file_workers,         with.engine,
                                    *images, with.clock,     settings,         with.is_process_alive};
    reconciler = std::make_unique<Reconciler>(std::move(around), ReconcileOptions{}, [this] { report_agent(); });
  }

  void make_twins() {
    ModuleTwins::Upstream upstream;
    upstream.is_online = [this](const std::string& module) {
      const auto link = links.find(module);
      return link != links.end() && link->second->is_connected();
    };
    upstream.get_twin = [this](const std::string& module, std::function<void(Result<Json>)> done) {
      const auto link = links.find(module);
      if (link == links.end()) return done(Error{ErrorCode::unavailable, "the hub is away"});
      link->second->get_twin(std::move(done));
    };
    upstream.report = [this](const std::string& module, const Json& patch,
                             std::function<void(Result<std::int64_t>)> done) {
      const auto link = links.find(module);
      if (link == links.end()) return done(Error{ErrorCode::unavailable, "the hub is away"});
      link->second->report(patch, std::move(done));
    };
    twins = std::make_unique<ModuleTwins>(loop(), file_workers, settings.state_folder() / "twins", std::move(upstream),
                                          [this](const std::string& module, std::int64_t version, const Json& patch) {
                                            router->deliver_desired(module, version, patch);
                                          });
  }

  void make_router() {
    RouterOptions options;
    options.address = settings.network.gateway;
    options.mqtt_port = settings.router_mqtt_port;
    options.https_port = settings.router_https_port;
    Router::Handlers handlers;
    handlers.connected = [this](const std::string& module) { on_module_connected(module); };
    handlers.disconnected = [this](const std::string& module) { on_module_disconnected(module); };
    handlers.live = [this](const std::string& module, const std::string& stream, std::string_view frame) {
      if (live != nullptr) live->push(module, stream, frame);
    };
    router = std::make_unique<Router>(Router::Surroundings{loop(), with.clock, settings, metrics, *outbox, *twins},
                                      options, handlers);
  }

  void make_live() {
    LiveOptions options;
    options.connect.host = settings.hub.host;
    options.connect.port = settings.hub.https_port;
    options.connect.tls = hub_tls;
    options.target = fmt::format("/api/v1/devices/{}/live", percent_encode(settings.device));
    live = std::make_unique<LiveUplink>(loop(), metrics, options, [this] { return api.device_token(); });
  }

  Status listen() {
    VERGE_TRY(const auto tls, router_tls(authority, settings));
    VERGE_CHECK(router->listen(tls));
    VERGE_TRY(auto secret, device_secret(settings));
    workload = std::make_unique<WorkloadApi>(loop(), settings.socket_folder(), authority, std::move(secret));
    HttpServer::Handlers handlers;
    handlers.request = [this](const HttpRequest& request, const Respond& respond) { respond(answer_web(request)); };
    web = std::make_unique<HttpServer>(loop(), handlers);
    ListenOptions options;
    options.port = settings.metrics_port;
    options.connections_max = 16;
    // Metrics are worth a warning, not a device that stands still.
    if (const auto listening = web->listen(options); !listening) log_error("agent", listening.error());
    return Done{};
  }

  HttpResponse answer_web(const HttpRequest& request) const {
    if (request.path == "/metrics") return text_response(metrics.to_text());
    if (request.path == "/healthz") {
      const bool is_fine = reconciler->is_engine_reachable();
      const auto link = links.find(kAgentModule);
      const bool is_online = link != links.end() && link->second->is_connected();
      return json_response(Json{{"status", is_fine ? "ok" : "the container engine does not answer"},
                                {"hub", is_online ? "connected" : "away"}},
                           is_fine ? 200 : 503);
    }
    return json_response(Json{{"code", "not_found"}, {"message", "there are /metrics and /healthz"}}, 404);
  }

  void load_stored() {
    const Json agent_desired = stored_desired(state("desired-agent.json"));
    const Json hub_desired = stored_desired(state("desired-router.json"));
    if (hub_desired.is_object()) apply_routes(0, hub_desired);
    if (agent_desired.is_object()) apply_manifest(0, agent_desired);
    take_identities(identities);
    for (const auto& [target, figures] : outbox->figures()) {
      if (target.starts_with("up:")) open_link(target.substr(3));
    }
  }

  void renew_certificate() {
    auto tls = router_tls(authority, settings);
    if (!tls) return log_error("agent", tls.error());
    router->set_tls(*tls);
  }

  // -- what the hub wants

  void store_desired(const char* name, const Json& desired) {
    const auto job = [path = state(name), text = to_text(Json{{"desired", desired}})] {
      if (const auto written = write_file(path, text, 0600); !written) log_error("agent", written.error());
    };
    if (const auto submitted = file_workers.submit(job); !submitted) log_error("agent", submitted.error());
  }

  void apply_manifest(std::int64_t version, const Json& desired) {
    agent_version = version;
    auto parsed = contract::parse_agent_config(desired);
    if (const auto* refused = std::get_if<contract::ConfigError>(&parsed)) {
      agent_status = refused->status;
      log_warning("agent", "the deployment manifest is refused; the modules stay as they are",
                  {{"code", refused->status.code}, {"reason", refused->status.description}, {"version", version}});
      return report_agent();
    }
    agent_status = {};
    auto& fresh = std::get<contract::AgentConfig>(parsed);
    const bool is_new = !has_config || fresh.original != config.original;
    config = std::move(fresh);
    has_config = true;
    if (is_new) {
      log_info("agent", "deployment manifest", {{"version", version}, {"modules", config.modules.size()}});
      if (version > 0) store_desired("desired-agent.json", desired);
      reconciler->set_desired(config);
      take_identities(identities);
      if (lacks_identities()) refresh_identities();
    }
    report_agent();
  }

  void apply_routes(std::int64_t version, const Json& desired) {
    hub_version = version;
    auto parsed = contract::parse_router_config(desired);
    if (const auto* refused = std::get_if<contract::ConfigError>(&parsed)) {
      hub_status = refused->status;
    } else {
      auto table = RouteTable::make(std::get<contract::RouterConfig>(parsed));
      hub_status = table ? contract::DeploymentStatus{} : contract::DeploymentStatus{400, table.error().message};
      if (table) {
        if (version > 0) store_desired("desired-router.json", desired);
        log_info("agent", "routes", {{"version", version}, {"routes", table->route_count()}});
        router->set_routes(*std::move(table));
      }
    }
    if (hub_status.code != 200) {
      log_warning("agent", "the routes are refused; the old ones stay", {{"reason", hub_status.description}});
    }
    report_router();
  }

  // -- identities

  bool lacks_identities() const {
    for (const auto& [name, spec] : config.modules) {
      if (identities.count(name) == 0) return true;
    }
    return identities.count(kAgentModule) == 0;
  }

  void refresh_identities() {
    is_refresh_wanted = is_refreshing;
    if (is_refreshing || is_stopping) return;
    is_refreshing = true;
    std::vector<std::string> wanted;
    for (const auto& [name, spec] : config.modules) wanted.push_back(name);
    const auto job = [this, wanted] {
      auto found = std::make_shared<Result<ModuleIdentities>>(read_identities(wanted));
      loop().post(while_alive([this, found] { finish_refresh(std::move(*found)); }));
    };
    if (const auto submitted = hub_workers.submit(job); !submitted) is_refreshing = false;
  }

  Result<ModuleIdentities> read_identities(const std::vector<std::string>& wanted) const {
    VERGE_TRY(auto found, api.list_modules());
    for (const auto& name : wanted) {
      if (found.count(name) != 0) continue;
      VERGE_TRY(auto made, api.create_module(name));
      found[name] = std::move(made);
    }
    return found;
  }

  void finish_refresh(Result<ModuleIdentities> found) {
    is_refreshing = false;
    if (is_stopping) return;
    if (!found) {
      if (found.error().code != last_refresh_error) log_error("agent", found.error());
      last_refresh_error = found.error().code;
      loop().after(kIdentityRetry, while_alive([this] { refresh_identities(); }));
      return;
    }
    last_refresh_error.reset();
    if (found->count(kAgentModule) == 0 && !has_warned) {
      has_warned = true;
      log_warning("agent", "the hub has no $edgeAgent for this device; make it an edge device",
                  {{"device", settings.device}});
    }
    if (*found != identities) {
      const auto job = [path = state("identities.json"), list = *found] {
        if (const auto saved = save_identities(path, list); !saved) log_error("agent", saved.error());
      };
      if (const auto submitted = file_workers.submit(job); !submitted) log_error("agent", submitted.error());
    }
    take_identities(*std::move(found));
    if (is_refresh_wanted || lacks_identities())
      loop().after(kIdentityRetry, while_alive([this] { refresh_identities(); }));
  }
  std::optional<ErrorCode> last_refresh_error;
  bool has_warned = false;

  void take_identities(ModuleIdentities fresh) {
    for (const auto& [name, identity] : fresh) {
      const auto known = identities.find(name);
      // A link with a key that is no longer valid would be refused for ever.
      if (known != identities.end() && known->second.primary_key != identity.primary_key) links.erase(name);
    }
    identities = std::move(fresh);
    router->set_identities(identities);
    ModuleIdentities served;
    std::map<std::string, std::string> generations;
    for (const auto& [name, spec] : config.modules) {
      const auto known = identities.find(name);
      if (known == identities.end()) continue;
      served[name] = known->second;
      generations[name] = known->second.generation;
    }
    if (workload != nullptr) {
      if (const auto serving = workload->serve(served); !serving) log_error("agent", serving.error());
    }
    reconciler->set_generations(std::move(generations));
    for (const char* name : {kAgentModule, kHubModule}) open_link(name);
  }

  // -- links to the hub

  void open_link(const std::string& module) {
    const auto identity = identities.find(module);
    if (identity == identities.end() || links.count(module) != 0 || is_stopping) return;
    HubLink::Handlers handlers;
    handlers.connected = [this, module] { on_link_connected(module); };
    handlers.disconnected = [this, module](const Error& reason) { on_link_disconnected(module, reason); };
    handlers.desired = [this, module](std::int64_t version, const Json& patch) { on_desired(module, version, patch); };
    handlers.method = [this, module](const std::string& name, const std::string& payload, AnswerMethod answer) {
      on_method(module, name, payload, answer);
    };
    auto& link = links[module];
    link = std::make_unique<HubLink>(loop(), with.clock, settings, hub_tls, module, identity->second, handlers);
    if (module == kAgentModule) {
      agent_twin = follow(module, [this](std::int64_t v, const Json& desired) { apply_manifest(v, desired); });
      report_agent();
    } else if (module == kHubModule) {
      hub_twin = follow(module, [this](std::int64_t v, const Json& desired) { apply_routes(v, desired); });
      report_router();
    }
    link->start();
  }

  std::unique_ptr<SystemTwin> follow(const std::string& module, SystemTwin::OnDesired on_change) {
    const auto link_of = [this, module]() -> HubLink* {
      const auto found = links.find(module);
      return found == links.end() ? nullptr : found->second.get();
    };
    SystemTwin::Link link;
    link.is_connected = [link_of] { return link_of() != nullptr && link_of()->is_connected(); };
    link.get_twin = [link_of](std::function<void(Result<Json>)> done) {
      if (link_of() == nullptr) return done(Error{ErrorCode::unavailable, "the hub is away"});
      link_of()->get_twin(std::move(done));
    };
    link.report = [link_of](const Json& patch, std::function<void(Result<std::int64_t>)> done) {
      if (link_of() == nullptr) return done(Error{ErrorCode::unavailable, "the hub is away"});
      link_of()->report(patch, std::move(done));
    };
    return std::make_unique<SystemTwin>(loop(), module, std::move(link), std::move(on_change));
  }

  void on_link_connected(const std::string& module) {
    log_info("agent", "connected to the hub", {{"module", module}});
    if (module == kAgentModule) {
      agent_twin->connected();
      if (lacks_identities()) refresh_identities();
    } else if (module == kHubModule) {
      hub_twin->connected();
    } else {
      twins->upstream_connected(module);
      outbox->wake("up:" + module);
    }
  }

  void on_link_disconnected(const std::string& module, const Error& reason) const {
    if (module == kAgentModule) log_warning("agent", "the hub is away", {{"reason", reason.message}});
  }

  void on_desired(const std::string& module, std::int64_t version, const Json& patch) {
    if (module == kAgentModule) {
      agent_twin->desired_patch(version, patch);
    } else if (module == kHubModule) {
      hub_twin->desired_patch(version, patch);
    } else {
      twins->upstream_desired(module, version, patch);
    }
  }

  void on_method(const std::string& module, const std::string& name, const std::string& payload,
                 const AnswerMethod& answer) {
    if (module == kAgentModule) {
      return call_agent_method({loop(), engine_workers, with.engine, *reconciler, settings}, name, payload, answer);
    }
    if (module == kHubModule) {
      if (name == "RefreshDeviceScopeIdentityCache") refresh_identities();
      return answer(name == "RefreshDeviceScopeIdentityCache" ? 200 : 404, "null");
    }
    // The hub's own time-out is at most 300 s; it is the one that tells the caller.
    router->call_method(
        {module, name, payload, std::chrono::seconds(300)}, [answer](Result<std::pair<int, std::string>> result) {
          if (result) return answer(result->first, result->second);
          answer(http_status_of(result.error().code), to_text(Json{{"message", result.error().message}}));
        });
  }

  /// A module has a connection while it is connected to us or its messages wait.
  void sweep_links() {
    for (auto link = links.begin(); link != links.end();) {
      const auto& module = link->first;
      const bool is_needed = is_system(module) || router->is_connected(module) || outbox->has_pending("up:" + module) ||
                             twins->has_pending(module);
      link = is_needed ? std::next(link) : links.erase(link);
    }
    for (const auto& [target, figures] : outbox->figures()) {
      if (target.starts_with("up:") && !figures.is_drained) open_link(target.substr(3));
    }
  }

  std::optional<Outbox::Sink> find_sink(const std::string& target) {
    if (!target.starts_with("up:")) return router->input_sink(target);
    const auto found = links.find(target.substr(3));
    if (found == links.end()) {
      loop().post(while_alive([this, module = target.substr(3)] { open_link(module); }));
      return std::nullopt;
    }
    HubLink* link = found->second.get();
    Outbox::Sink sink;
    sink.is_ready = [link] { return link->is_connected(); };
    sink.send = [this, link](const OutboxRecord& record, std::function<void(Status)> done) {
      auto properties = contract::PropertyBag::from_text(record.properties);
      if (!properties) properties = contract::PropertyBag{};
      properties->set(kEpochProperty, outbox->epoch());
      properties->set(kSequenceProperty, std::to_string(record.sequence));
      return link->publish(*properties, record.payload, std::move(done));
    };
    return sink;
  }

  // -- modules come and go

  void on_module_connected(const std::string& module) {
    clients[module].is_connected = true;
    clients[module].connected_us = with.clock.now_us();
    open_link(module);
    report_router();
  }

  void on_module_disconnected(const std::string& module) {
    clients[module].is_connected = false;
    clients[module].disconnected_us = with.clock.now_us();
    report_router();
  }

  // -- reports

  void report_agent() {
    count_modules();
    if (agent_twin == nullptr || agent_version == 0) return;
    ReportInput input;
    input.state = &reconciler->state();
    input.config = config;
    input.status = agent_status;
    input.desired_version = agent_version;
    input.engine = reconciler->engine_info();
    input.image_hashes = reconciler->image_hashes();
    input.remarks = reconciler->remarks();
    input.agent_version = with.version;
    agent_twin->set_report(agent_report(input));
  }

  void count_modules() {
    static const ModuleHistory none;
    std::map<RuntimeStatus, int> counts;
    const PlanInput& now = reconciler->state();
    for (const auto& [name, module] : now.desired) {
      const auto history = now.history.find(name);
      ++counts[status_of(module, container_of(now, name), history == now.history.end() ? none : history->second)];
    }
    for (const auto status :
         {RuntimeStatus::unknown, RuntimeStatus::backoff, RuntimeStatus::running, RuntimeStatus::unhealthy,
          RuntimeStatus::stopped, RuntimeStatus::failed, RuntimeStatus::dead}) {
      metrics.gauge("verge_agent_modules", "Modules by state.", {{"status", std::string(name_of(status))}})
          .set(counts[status]);
    }
  }

  void report_router() {
    if (hub_twin == nullptr || hub_version == 0) return;
    Json list = Json::object();
    for (const auto& [name, client] : clients) {
      if (name.find_first_of(". $") != std::string::npos) continue;  // Not a property name.
      list[settings.device + "/" + name] = {{"status", client.is_connected ? "Connected" : "Disconnected"},
                                            {"lastConnectedTimeUtc", to_iso8601(client.connected_us)}};
      if (client.disconnected_us > 0) {
        list[settings.device + "/" + name]["lastDisconnectedTimeUtc"] = to_iso8601(client.disconnected_us);
      }
    }
    if (settings.device.find_first_of(". $") != std::string::npos) list = Json::object();
    hub_twin->set_report({{"schemaVersion", "1.1"},
                          {"version", {{"version", with.version}, {"build", "verge"}, {"commit", ""}}},
                          {"lastDesiredVersion", hub_version},
                          {"lastDesiredStatus", {{"code", hub_status.code}, {"description", hub_status.description}}},
                          {"clients", list}});
  }

  // -- stop

  void stop(const std::function<void()>& done) {
    is_stopping = is_cancelled = true;
    for (const auto timer : timers) loop().cancel(timer);
    reconciler->stop();
    auto is_done = std::make_shared<bool>(false);
    const auto finish = [this, done, is_done] {
      if (*is_done) return;
      *is_done = true;
      outbox->flush();
      done();
    };
    loop().after(kLastWords, while_alive(finish));
    if (agent_twin == nullptr) return finish();
    agent_twin->report_now(Json{{"lastDesiredStatus", {{"code", 406}, {"description", "Agent is not running"}}}},
                           finish);
  }
};

Agent::Agent(AgentSurroundings surroundings, Settings settings)
    : impl_(std::make_unique<Impl>(std::move(surroundings), std::move(settings))) {}

Agent::~Agent() {
  if (impl_ == nullptr) return;
  impl_->is_stopping = impl_->is_cancelled = true;
  *impl_->is_alive = false;
  for (const auto timer : impl_->timers) impl_->loop().cancel(timer);
  impl_->router.reset();  // Closes the sessions while the rest still listens.
  impl_->links.clear();
}

Status Agent::start() { return impl_->start(); }
void Agent::stop(std::function<void()> done) { impl_->stop(done); }
std::string Agent::metrics_text() const { return impl_->metrics.to_text(); }
std::uint16_t Agent::router_mqtt_port() const { return impl_->router->mqtt_port(); }

Status remove_all(ContainerEngine& engine, const Settings& settings) {
  VERGE_TRY(const auto lock, HomeLock::take(settings.home));
  const Labels labels = owner_labels(settings);
  VERGE_TRY(const auto containers, engine.list(labels));
  Status first_error = Done{};
  for (const auto& container : containers) {
    (void)engine.stop(container.id, 5);
    auto removed = engine.remove(container.id);
    if (!removed && first_error) first_error = std::move(removed);
  }
  VERGE_CHECK(first_error);
  VERGE_CHECK(engine.remove_network(settings.network.name, labels));
  std::error_code ignored;
  std::filesystem::remove_all(settings.socket_folder(), ignored);
  log_info("agent", "removed this agent's containers", {{"containers", containers.size()}});
  return Done{};
}

Result<HomeLock> HomeLock::take(const std::filesystem::path& home) {
  const auto path = home / "agent.lock";
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return Error{ErrorCode::unavailable, fmt::format("open {}: is HOME writable?", path.string())};
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    return Error{ErrorCode::conflict, fmt::format("another agent uses {}; stop it first", home.string())};
  }
  return HomeLock(descriptor);
}

HomeLock::~HomeLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace verge::agent
