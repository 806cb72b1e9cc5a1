#include "agent/agent_methods.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <regex>

#include "base/json.h"

namespace verge::agent {
namespace {

constexpr std::size_t kAnswerBytesMax = 127'000;  // Azure's bound of a method's answer, less its envelope.

std::string message_body(std::string_view message) { return to_text(Json{{"message", message}}); }

bool is_named(std::string_view name, std::string_view wanted) {
  return std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

void restart_module(const MethodSurroundings& with, const Json& request, const AnswerMethod& answer) {
  const auto module = string_member(request, "id");
  if (!module || module->empty()) return answer(400, message_body("\"id\" must name the module"));
  with.reconciler.restart(*module, [answer](const Status& done) {
    if (done) return answer(200, "null");
    answer(done.error().code == ErrorCode::not_found ? 400 : 500, message_body(done.error().message));
  });
}

struct WantedLog {
  std::string module;
  LogQuery query;
};

Result<std::regex> pattern_from(const std::string& text) {
  try {
    return std::regex(text.empty() ? ".*" : text, std::regex::ECMAScript);
  } catch (const std::regex_error&) {
    return Error{ErrorCode::invalid_argument, fmt::format("id \"{}\" is not a regular expression", text)};
  }
}

Result<std::vector<WantedLog>> wanted_logs(const PlanInput& state, const Json& request) {
  const Json* items = find_member(request, {"items"});
  if (items == nullptr || !items->is_array() || items->empty()) {
    return Error{ErrorCode::invalid_argument, "\"items\" must be a list of {\"id\", \"filter\"}"};
  }
  std::vector<WantedLog> logs;
  for (const Json& item : *items) {
    if (!item.is_object()) return Error{ErrorCode::invalid_argument, "each of \"items\" must be an object"};
    VERGE_TRY(const auto id, string_member(item, "id"));
    VERGE_TRY(const auto pattern, pattern_from(id));
    LogQuery query;
    const Json* filter = find_member(item, {"filter"});
    if (filter != nullptr && filter->is_object()) {
      VERGE_TRY(query.tail, integer_member(*filter, "tail", -1));
      VERGE_TRY(query.since_s, integer_member(*filter, "since", 0));
      VERGE_TRY(query.until_s, integer_member(*filter, "until", 0));
    }
    for (const auto& [name, module] : state.desired) {
      if (std::regex_match(name, pattern)) logs.push_back({name, query});
    }
  }
  return logs;
}

/// What the engine has now: the reconciler's last look may be older than a container that just started.
Result<Json> read_logs(ContainerEngine& engine, const Settings& settings, const std::vector<WantedLog>& logs) {
  VERGE_TRY(const auto containers, engine.list(owner_labels(settings)));
  Json list = Json::array();
  for (const auto& wanted : logs) {
    const Container* container = container_among(containers, wanted.module, settings);
    if (container == nullptr) continue;
    VERGE_TRY(const auto text, engine.logs(container->id, wanted.query));
    list.push_back({{"id", wanted.module}, {"payload", text}});
  }
  return list;
}

void get_logs(const MethodSurroundings& with, const Json& request, const AnswerMethod& answer) {
  const auto encoding = string_member(request, "encoding", "none");
  if (!encoding || !is_named(*encoding, "none")) {
    return answer(400, message_body("encoding must be \"none\": this agent sends logs as text"));
  }
  auto logs = wanted_logs(with.reconciler.state(), request);
  if (!logs) return answer(400, message_body(logs.error().message));
  const auto job = [&loop = with.loop, &engine = with.engine, &settings = with.settings, logs = *std::move(logs),
                    answer] {
    const auto list = read_logs(engine, settings, logs);
    const Status status = list ? Status(Done{}) : Status(list.error());
    loop.post([answer, status, body = list ? to_text(*list) : std::string()] {
      if (!status) return answer(500, message_body(status.error().message));
      if (body.size() > kAnswerBytesMax) {
        return answer(400, message_body("the logs are larger than 127000 bytes; ask with a smaller \"tail\""));
      }
      answer(200, body);
    });
  };
  if (const auto submitted = with.workers.submit(job); !submitted) answer(500, message_body(submitted.error().message));
}

}  // namespace

void call_agent_method(const MethodSurroundings& surroundings, const std::string& name, const std::string& payload,
                       const AnswerMethod& answer) {
  if (is_named(name, "ping")) return answer(200, "null");
  const auto request = parse_json(payload.empty() ? "{}" : payload);
  if (!request || !request->is_object()) return answer(400, message_body("the payload must be a JSON object"));
  if (is_named(name, "RestartModule")) return restart_module(surroundings, *request, answer);
  if (is_named(name, "GetModuleLogs")) return get_logs(surroundings, *request, answer);
  answer(400, message_body(fmt::format("unknown method {}; known are ping, RestartModule, GetModuleLogs", name)));
}

}  // namespace verge::agent
