#include "module_program.h"

#include <charconv>
#include <fmt/format.h>
#include <thread>

#include "base/json.h"
#include "base/log.h"

namespace verge::infer {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kReportStepUs = 10'000'000;
constexpr auto kExpireStep = milliseconds(600'000);
constexpr auto kFlushMax = milliseconds(3000);  // For events that are still on their way at the end.

Result<ListenOptions> listen_options_of(const std::string& where) {
  const auto colon = where.rfind(':');
  ListenOptions options;
  unsigned port = 0;
  if (colon != std::string::npos) {
    options.address = where.substr(0, colon);
    std::from_chars(where.data() + colon + 1, where.data() + where.size(), port);
  }
  if (colon == std::string::npos || port > 65535) {
    return Error{ErrorCode::invalid_argument, fmt::format("--metrics {}: wanted ADDRESS:PORT or off", where)};
  }
  options.port = static_cast<std::uint16_t>(port);
  options.connections_max = 32;
  return options;
}

pipeline::Context context_of(const std::filesystem::path& file, Metrics& metrics,
                             const connectors::ModuleClient* module) {
  pipeline::Context context;
  context.folder = file.parent_path();
  context.clock = &system_clock();
  context.metrics = &metrics;
  if (module != nullptr) {
    context.device = module->environment().device;
    context.module = module->environment().module;
  }
  return context;
}

connectors::LiveOptions live_options_of(const connectors::ModuleClient* module) {
  connectors::LiveOptions options;
  if (module != nullptr) options.module = module->environment().module;
  return options;
}

}  // namespace

ModuleProgram::ModuleProgram(Loop& loop, Metrics& metrics, const pipeline::Catalog& catalog,
                             std::shared_ptr<connectors::ModuleClient> module, ProgramOptions options)
    : loop_(loop),
      metrics_(metrics),
      catalog_(catalog),
      module_(std::move(module)),
      options_(std::move(options)),
      live_(live_options_of(module_.get()), catalog, system_clock(),
            [module = module_](std::string topic, std::string payload) {
              if (module) module->publish(std::move(topic), std::move(payload), 0);
            }),
      host_(options_.pipeline, catalog, context_of(options_.pipeline, metrics, module_.get()), {},
            // The live view lives on the loop; frames of an old executor do no harm meanwhile.
            [this](std::shared_ptr<pipeline::Executor> executor) {
              loop_.post([this, executor = std::move(executor)] { live_.set_executor(executor); });
            }),
      evidence_(catalog, system_clock()) {}

ModuleProgram::~ModuleProgram() = default;

Status ModuleProgram::run() {
  VERGE_CHECK(serve_metrics());
  VERGE_CHECK(host_.run_file());
  loop_.on_signal([this](int) { end(); });
  loop_.every(milliseconds(1000), [this] {
    live_.tick();
    report_if_due();
  });
  loop_.every(kExpireStep, [this] { expire_evidence(); });
  if (module_) {
    start_module();
  } else {
    watch_end();
  }
  loop_.run();
  live_.set_executor(nullptr);
  return module_ ? Status(Done{}) : std::move(outcome_);  // An agent reads reports, not exit codes.
}

/// What is too old goes although nothing new comes.
void ModuleProgram::expire_evidence() {
  const auto keeper = host_.evidence();
  if (!keeper) return;
  // It waits for its jobs when it ends, so they need not hold it.
  const auto submitted = keeper->submit([kept = keeper.get()] {
    if (const auto store = kept->store()) (*store)->expire();
  });
  if (!submitted) log_warning("evidence", submitted.error().message);
}

Status ModuleProgram::serve_metrics() {
  if (options_.metrics == "off") return Done{};
  VERGE_TRY(const ListenOptions where, listen_options_of(options_.metrics));
  HttpServer::Handlers handlers;
  handlers.request = [this](HttpRequest request, Respond respond) {
    if (request.path == "/metrics" && request.method == "GET") return respond(text_response(metrics_.to_text()));
    if (request.path == "/healthz")
      return respond(text_response(host_.executor() ? "ok\n" : "no pipeline\n", host_.executor() ? 200 : 503));
    respond(text_response("GET /metrics or /healthz\n", 404));
  };
  server_ = std::make_unique<HttpServer>(loop_, std::move(handlers));
  auto port = server_->listen(where);
  if (!port) return std::move(port).error().within("serve metrics");
  log_info("infer", "metrics", {{"address", where.address}, {"port", *port}});
  return Done{};
}

void ModuleProgram::start_module() {
  connectors::ModuleClient::Handlers handlers;
  handlers.desired = [this](const Json& desired) { apply_desired(desired); };
  handlers.method = [this](const std::string& name, const Json& parameters,
                           connectors::ModuleClient::MethodAnswer answer) {
    call_method(name, parameters, std::move(answer));
  };
  handlers.connection = [this](bool is_connected) {
    if (is_connected) reported_structure_ = nullptr;  // tell the new connection where we stand
  };
  module_->start(std::move(handlers));
}

/// Outside an agent: ends with the sources.
void ModuleProgram::watch_end() {
  loop_.every(milliseconds(100), [this] {
    const auto executor = host_.executor();
    if (executor && executor->has_ended()) end();
  });
}

void ModuleProgram::end() {
  if (is_ending_) return;
  is_ending_ = true;
  auto status = control_.submit([this] {
    Status outcome = host_.stop();
    const auto until = std::chrono::steady_clock::now() + kFlushMax;
    while (module_ && module_->is_connected() && module_->waiting_events() > 0 &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(milliseconds(20));
    }
    loop_.post([this, outcome = std::move(outcome)] {
      outcome_ = outcome;
      if (module_) module_->stop();
      if (server_) server_->close();
      loop_.stop();
    });
  });
  if (!status) loop_.stop();
}

void ModuleProgram::call_method(const std::string& name, const Json& parameters,
                                connectors::ModuleClient::MethodAnswer answer) {
  if (!connectors::EvidenceMethods::offers(name)) return answer(reply_at_once(name, parameters));
  evidence_.call(name, parameters, {host_.executor(), host_.evidence(), host_.spec(), host_.context(), host_.engines()},
                 std::move(answer));
}

pipeline::MethodReply ModuleProgram::reply_at_once(const std::string& name, const Json& parameters) {
  if (name == "ping") return {200, {{"version", options_.version}}};
  if (name == "live.start") return live_.start(parameters);
  if (name == "live.stop") return live_.stop(parameters);
  const auto executor = host_.executor();
  if (!executor) return {503, {{"message", "no pipeline is running"}}};
  return executor->call_method(name, parameters);
}

void ModuleProgram::apply_desired(const Json& desired) {
  const Json* patch = find_member(desired, {"pipeline"});
  const Json* version = find_member(desired, {"$version"});
  auto status = control_.submit(
      [this, patch = patch == nullptr ? Json() : *patch,
       version = version != nullptr && version->is_number_integer() ? version->get<std::int64_t>() : 0] {
        // The error is kept by the host and reported; the pipeline before goes on.
        if (auto applied = host_.apply(patch, version); !applied) log_debug("infer", "the twin's pipeline was refused");
        // Whoever changed the twin waits for the answer.
        loop_.post([this] {
          reported_us_ = 0;
          report_if_due();
        });
      });
  if (!status) log_error("infer", status.error());
}

void ModuleProgram::report_if_due() {
  if (!module_ || !module_->is_connected()) return;
  const std::int64_t now_us = system_clock().monotonic_us();
  if (now_us - reported_us_ < kReportStepUs) return;
  Json report = host_.report();
  report["version"] = options_.version;
  Json structure = connectors::PipelineHost::structure_of(report);
  if (structure == reported_structure_) return;
  reported_structure_ = std::move(structure);
  reported_us_ = now_us;
  module_->report({{"verge", std::move(report)}});
}

}  // namespace verge::infer
