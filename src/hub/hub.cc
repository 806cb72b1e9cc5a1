#include "hub/hub.h"

#include <algorithm>
#include <fmt/core.h>
#include <map>

#include "base/crypto.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/net.h"
#include "hub/history/history.h"
#include "hub/home.h"
#include "hub/images/image_store.h"
#include "hub/images/registry_calls.h"
#include "hub/live/live.h"
#include "hub/mqtt/device_endpoint.h"
#include "hub/mqtt/ingest.h"
#include "hub/rest/azure_calls.h"
#include "hub/rest/fleet_view.h"
#include "hub/rest/own_calls.h"
#include "hub/rest/parts.h"
#include "hub/rest/router.h"
#include "hub/sessions/audit.h"
#include "hub/sessions/join_tokens.h"
#include "hub/sessions/people.h"
#include "storage/append_log.h"
#include "storage/database.h"

namespace verge::hub {
namespace {

constexpr std::size_t kControlJobsMax = 20'000, kSlowJobsMax = 2'000, kSlowThreads = 2;
constexpr std::chrono::milliseconds kProbePeriod{2'000};
constexpr std::chrono::milliseconds kSnapshotPeriod{30'000};
constexpr std::chrono::milliseconds kKeepHousePeriod{300'000};
constexpr std::chrono::milliseconds kCertificatePeriod{6 * 3'600'000};
constexpr std::string_view kMqttSocketPath = "$iothub/websocket";
constexpr std::string_view kLoopback = "127.0.0.1";

std::vector<std::string> names_of(const HubOptions& options) {
  std::vector<std::string> names{options.host};
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  add("localhost");
  add(std::string(kLoopback));
  for (const auto& name : options.extra_hosts) add(name);
  return names;
}

std::vector<storage::Migration> hub_migrations() {
  std::vector<storage::Migration> all;
  for (const auto& part : {Identities::migrations(), Twins::migrations(), People::migrations(),
                           JoinTokens::migrations(), Audit::migrations()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::string_view content_type_of(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {{".html", "text/html; charset=utf-8"},
                                                                             {".js", "text/javascript; charset=utf-8"},
                                                                             {".css", "text/css; charset=utf-8"},
                                                                             {".svg", "image/svg+xml"},
                                                                             {".png", "image/png"},
                                                                             {".woff2", "font/woff2"}};
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

/// The page's files, with the headers that keep it to itself.
class Page {
 public:
  explicit Page(const std::vector<WebFile>& files) {
    for (const auto& file : files)
      files_["/" + std::string(file.name)] = {file, "\"" + sha256_digest(file.bytes).substr(7, 32) + "\""};
  }

  HttpResponse answer(const HttpRequest& request) const {
    const auto found = files_.find(request.path == "/" ? "/index.html" : request.path);
    if (found == files_.end()) {
      return error_answer(
          request, 404, {ErrorCode::not_found, fmt::format("there is nothing at \"{}\"", request.path.substr(0, 200))});
    }
    const auto& [file, etag] = found->second;
    HttpResponse response;
    response.headers.set("ETag", etag);
    response.headers.set("Cache-Control", "no-cache");
    response.headers.set("Content-Security-Policy",
                         "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' "
                         "ws: wss:; frame-ancestors 'none'");
    response.headers.set("X-Content-Type-Options", "nosniff");
    response.headers.set("Referrer-Policy", "same-origin");
    if (request.headers.get("If-None-Match") == etag) {
      response.status = 304;
      return response;
    }
    response.headers.set("Content-Type", content_type_of(file.name));
    response.body = std::string(file.bytes);
    return response;
  }

 private:
  struct Entry {
    WebFile file;
    std::string etag;
  };
  std::map<std::string, Entry, std::less<>> files_;
};

/// A browser says where the page came from; another site's page may not open our sockets with this cookie.
bool is_same_origin(const HttpRequest& head) {
  const std::string_view origin = head.headers.get("Origin");
  if (origin.empty()) return true;
  const auto scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == head.headers.get("Host");
}

}  // namespace

struct Hub::Impl {
  Impl(Loop& loop_used, Disk& disk_used, const Clock& clock_used, HubOptions options_used)
      : loop(loop_used), disk(disk_used), clock(clock_used), options(std::move(options_used)), page(options.page) {}

  Loop& loop;
  Disk& disk;
  const Clock& clock;
  const HubOptions options;
  const Page page;
  bool is_stopped = false;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);  ///< False from stop() on; what was posted asks it first.

  // In the order in which they need each other.
  Metrics metrics;
  std::unique_ptr<Home> home;
  std::unique_ptr<storage::Database> database;
  std::unique_ptr<Identities> identities;
  std::unique_ptr<Twins> twins;
  std::unique_ptr<People> people;
  std::unique_ptr<JoinTokens> join_tokens;
  std::unique_ptr<Audit> audit;
  std::unique_ptr<Access> access;
  std::unique_ptr<Ingest> ingest;  // Outlives the log, whose last commits still call it.
  std::unique_ptr<storage::AppendLog> log;
  std::unique_ptr<History> history;
  std::unique_ptr<ImageStore> images;
  std::unique_ptr<Workers> control, slow;
  std::unique_ptr<DeviceEndpoint> endpoint;
  HubFacts facts;
  std::unique_ptr<HubParts> parts;
  std::unique_ptr<Live> live;
  std::unique_ptr<Router> router;
  TlsPointer tls;
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<Listener> mqtt_listener;
  std::vector<Loop::TimerId> timers;

  Status open_stores();
  Status open_messages();
  Status make_first_person();
  void build_endpoint();
  void build_calls();
  void build_live();
  Status listen();
  void begin_housekeeping();
  void keep_house();
  void renew_certificate();
  void follow_identity(const contract::Identity& who, Identities::Change change);
  bool accept_websocket(const HttpRequest& head, std::string& protocol);
  void take_websocket(const HttpRequest& head, const std::shared_ptr<WebSocket>& socket);
  void stop();
  /// Runs `work` on the loop unless the hub has stopped by then. Any thread.
  void post(std::function<void()> work) {
    loop.post([alive = alive, work = std::move(work)] {
      if (*alive) work();
    });
  }
};

Status Hub::Impl::open_stores() {
  VERGE_TRY(home, Home::open(options.home, names_of(options), clock));
  VERGE_TRY(database, storage::Database::open(options.home / "hub.db", hub_migrations()));
  VERGE_TRY(identities, Identities::open(*database, clock));
  twins = std::make_unique<Twins>(*database, *identities, clock);
  VERGE_TRY(people, People::open(*database, clock));
  join_tokens = std::make_unique<JoinTokens>(*database, clock);
  audit = std::make_unique<Audit>(*database, clock);
  access = std::make_unique<Access>(*identities, clock, home->policies(), names_of(options));
  VERGE_TRY(images, ImageStore::open(options.home / "images", clock));
  return make_first_person();
}

Status Hub::Impl::make_first_person() {
  if (people->has_anybody()) return Done{};
  VERGE_TRY(const auto password, home->make_first_password());
  return people->add("admin", password, Role::admin);
}

Status Hub::Impl::open_messages() {
  storage::AppendLogOptions log_options;
  log_options.partitions = options.log_partitions;
  log_options.disk_bytes_max = options.log_bytes_max;
  log_options.free_bytes_min = options.log_free_bytes_min;
  log_options.ahead_bytes = options.log_ahead_bytes;
  VERGE_TRY(log, storage::AppendLog::open(disk, clock, options.home / "messages", log_options));
  VERGE_TRY(ingest, Ingest::open(disk, options.home / "received.json", *log, metrics));
  VERGE_TRY(history, History::open(options.home / "history.db", *log, clock, metrics));
  return Done{};
}

void Hub::Impl::build_endpoint() {
  control = std::make_unique<Workers>(1, kControlJobsMax);
  slow = std::make_unique<Workers>(kSlowThreads, kSlowJobsMax);
  endpoint = std::make_unique<DeviceEndpoint>(
      DeviceEndpointParts{loop, *control, clock, *identities, *twins, *access, *ingest, metrics});
  endpoint->on_connection([this](const contract::Identity&, bool) { live->tell_devices_changed(); });
  twins->on_desired([this](const contract::Identity& who, const Json& patch, std::int64_t version) {
    post([this, who, text = to_text(patch), version] { endpoint->push_desired(who, text, version); });
  });
  twins->on_reported([this](const contract::Identity&) { post([this] { live->tell_devices_changed(); }); });
  identities->on_change([this](const contract::Identity& who, Identities::Change change) {
    post([this, who, change] { follow_identity(who, change); });
  });
}

void Hub::Impl::follow_identity(const contract::Identity& who, Identities::Change change) {
  live->tell_devices_changed();
  if (change == Identities::Change::created) return;
  const auto record = identities->find(who);
  if (record && record->is_enabled) return;
  endpoint->disconnect(who, "its identity was removed or disabled");
  if (!who.module.empty()) return;
  for (const auto& module : identities->modules_of(who.device))
    endpoint->disconnect(module->who, "its device was disabled");
}

void Hub::Impl::build_live() {
  live = std::make_unique<Live>(
      loop, [this](const MethodCall& call, Methods::OnAnswer done) { endpoint->methods().call(call, std::move(done)); },
      [this](const std::string& who, const std::string& what) {
        (void)control->submit([&log_book = *audit, who, what] { log_book.write(who, what, "ok"); });
      },
      [this](std::function<void(std::string)> done) {
        (void)slow->submit([this, done = std::move(done)] {
          auto devices = devices_view(*parts);
          if (!devices) return log_error("hub", devices.error().within("list devices"));
          post([done, text = to_text(*devices)] { done(text); });
        });
      });
  live->show_streams_in(metrics.gauge("verge_hub_live_streams", "Streams that somebody watches."));
}

void Hub::Impl::build_calls() {
  facts.host = options.host;
  facts.version = options.version;
  facts.ca_pem = home->ca_pem();
  facts.started_us = clock.now_us();
  facts.password_changed = [this](const std::string& user) {
    if (user == "admin") home->remove_first_password();
  };
  facts.sessions_ended = [this](const std::string& user) { post([this, user] { live->close_pages_of(user); }); };
  parts = std::make_unique<HubParts>(HubParts{loop, clock, *identities, *twins, *endpoint, *ingest, *log, *history,
                                              *images, *people, *join_tokens, *audit, metrics, facts});
  router = std::make_unique<Router>(Router::Parts{*control, *slow, *access, *people, *audit, metrics});
  add_azure_calls(*router, *parts);
  add_own_calls(*router, *parts);
  add_registry_calls(*router, *images);
  router->set_fallback([this](const HttpRequest& request) { return page.answer(request); });

  HttpServer::Handlers handlers;
  handlers.request = [this, alive = alive](HttpRequest request, const Respond& respond) {
    if (!*alive) return respond(error_answer(request, 503, {ErrorCode::unavailable, "the hub stops"}));
    router->handle(std::move(request), respond);
  };
  handlers.plan_body = [this](const HttpRequest& head) {
    return head.path.starts_with("/v2") ? plan_registry_body(*router, *images, head) : BodyPlan{};
  };
  handlers.accept_websocket = [this](const HttpRequest& head, std::string& protocol) {
    return accept_websocket(head, protocol);
  };
  handlers.websocket = [this](const HttpRequest& head, std::shared_ptr<WebSocket> socket) {
    take_websocket(head, socket);
  };
  http = std::make_unique<HttpServer>(loop, std::move(handlers));
}

bool Hub::Impl::accept_websocket(const HttpRequest& head, std::string& protocol) {
  const auto path = head.segments();
  if (path == std::vector<std::string>{"$iothub", "websocket"}) {
    protocol = "mqtt";
    return true;  // CONNECT brings the proof.
  }
  const auto caller = router->caller_of(head);
  if (!caller || path.size() < 3 || path[0] != "api" || path[1] != "v1") return false;
  if (path.size() == 3 && path[2] == "stream") return caller->kind == Caller::Kind::person && is_same_origin(head);
  const bool is_uplink = path.size() == 5 && path[2] == "devices" && path[4] == "live";
  return is_uplink && caller->kind == Caller::Kind::identity && caller->identity.device == path[3];
}

void Hub::Impl::take_websocket(const HttpRequest& head, const std::shared_ptr<WebSocket>& socket) {
  const auto path = head.segments();
  if (path.size() == 2) return endpoint->accept(as_connection(socket), facts.https_port);
  const auto caller = router->caller_of(head);
  if (!caller) return socket->close();
  if (path.size() == 3) {
    live->add_page(socket, caller->name);
  } else {
    live->add_uplink(socket, path[3]);
  }
}

Status Hub::Impl::listen() {
  VERGE_TRY(tls, TlsContext::make_server(home->server_tls()));
  ListenOptions listening;
  listening.address = options.listen;
  listening.tls = tls;
  listening.connections_max = options.connections_max;

  listening.port = options.mqtt_port;
  VERGE_TRY(mqtt_listener, listen_tcp(loop, listening, [this](ConnectionPointer connection) {
              endpoint->accept(std::move(connection), facts.mqtt_port);
            }));
  facts.mqtt_port = mqtt_listener->port();

  listening.port = options.https_port;
  VERGE_TRY(facts.https_port, http->listen(listening));
  if (options.extra_https_port) {
    listening.port = *options.extra_https_port;
    VERGE_CHECK(http->listen(listening));
  }

  listening.tls = nullptr;
  listening.address = kLoopback;
  listening.port = options.http_port;
  VERGE_TRY(facts.http_port, http->listen(listening));
  return home->write_connection_file({options.host, facts.mqtt_port, facts.https_port, facts.http_port});
}

void Hub::Impl::begin_housekeeping() {
  timers.push_back(loop.every(kProbePeriod, [this] { ingest->probe(); }));
  timers.push_back(loop.every(kSnapshotPeriod, [this] {
    (void)slow->submit([this] {
      if (const auto stored = ingest->store_snapshot(); !stored) log_error("hub", stored.error());
    });
  }));
  timers.push_back(loop.every(kKeepHousePeriod, [this] { (void)slow->submit([this] { keep_house(); }); }));
  timers.push_back(loop.every(kCertificatePeriod, [this] { renew_certificate(); }));
}

/// Trims the log by age, and by size before it would refuse; only what history has.
void Hub::Impl::keep_house() {
  images->forget_old_uploads();
  const bool has_all = history->lag() == 0;
  const auto durable = history->make_durable();
  if (!durable) return log_error("hub", durable.error());
  const auto& taken = *durable;
  if (has_all) {
    if (const auto trimmed = log->trim_older_than(clock.now_us() - options.log_age_us_max); !trimmed)
      log_error("hub", trimmed.error());
  }
  if (log->disk_bytes() < options.log_bytes_max / 5 * 4) return;
  for (std::uint32_t partition = 0; partition < taken.size(); ++partition) {
    const std::uint64_t first = log->first_offset(partition);
    const std::uint64_t keep_from = first + (taken[partition] - std::min(first, taken[partition])) / 2;
    if (const auto trimmed = log->trim_before(partition, keep_from); !trimmed) log_error("hub", trimmed.error());
  }
}

void Hub::Impl::renew_certificate() {
  const auto renewed = home->renew_server_certificate();
  if (!renewed) return log_error("hub", renewed.error().within("renew the server certificate"));
  if (!*renewed) return;
  auto fresh = TlsContext::make_server(home->server_tls());
  if (!fresh) return log_error("hub", fresh.error().within("use the renewed server certificate"));
  tls = *std::move(fresh);
  mqtt_listener->set_tls(tls);
  http->set_tls(tls);
}

void Hub::Impl::stop() {
  if (is_stopped) return;
  is_stopped = true;
  *alive = false;
  for (const auto timer : timers) loop.cancel(timer);
  mqtt_listener.reset();
  if (http) http->close();
  if (live) live->close();
  if (endpoint) endpoint->close();
  slow.reset();
  control.reset();
  if (history) history->stop();
  log.reset();  // Waits until what it took is durable.
  if (ingest) {
    if (const auto stored = ingest->store_snapshot(); !stored) log_error("hub", stored.error());
  }
}

Hub::Hub(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Hub::~Hub() { stop(); }

void Hub::stop() { impl_->stop(); }

Result<std::unique_ptr<Hub>> Hub::start(Loop& loop, Disk& disk, const Clock& clock, HubOptions options) {
  std::unique_ptr<Hub> hub(new Hub(std::make_unique<Impl>(loop, disk, clock, std::move(options))));
  Impl& impl = *hub->impl_;
  VERGE_CHECK(impl.open_stores());
  VERGE_CHECK(impl.open_messages());
  impl.build_endpoint();
  impl.build_live();
  impl.build_calls();
  impl.history->start([&impl](const std::vector<std::string>& events) {
    impl.post([&impl, events] { impl.live->tell_events(events); });
  });
  VERGE_CHECK(impl.listen());
  impl.begin_housekeeping();
  return hub;
}

std::uint16_t Hub::mqtt_port() const { return impl_->facts.mqtt_port; }
std::uint16_t Hub::https_port() const { return impl_->facts.https_port; }
std::uint16_t Hub::http_port() const { return impl_->facts.http_port; }

}  // namespace verge::hub
