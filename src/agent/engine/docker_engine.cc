#include "agent/engine/docker_engine.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/time.h"

namespace verge::agent {
namespace {

constexpr std::string_view kBase = "http://engine/v1.41";
constexpr std::chrono::minutes kLoadTimeout{15};
constexpr int kRemoveAttemptsMax = 3;

ContainerState state_from(std::string_view text) {
  if (text == "running") return ContainerState::running;
  if (text == "created" || text == "configured" || text == "initialized") return ContainerState::created;
  if (text == "paused") return ContainerState::paused;
  if (text == "restarting") return ContainerState::restarting;
  if (text == "removing") return ContainerState::removing;
  if (text == "dead") return ContainerState::dead;
  // Podman says "stopping" for a container that it will never finish to stop once its monitor is dead.
  if (text == "stopping") return ContainerState::running;
  return ContainerState::exited;
}

/// Engines write year 1 for "never".
std::int64_t time_from(const Json& state, std::string_view key) {
  const auto text = string_member(state, key);
  if (!text || text->empty() || text->substr(0, 4) < "1971") return 0;
  const auto time_us = from_iso8601(*text);
  return time_us ? *time_us : 0;
}

Labels labels_from(const Json* object) {
  Labels labels;
  if (object == nullptr || !object->is_object()) return labels;
  for (const auto& [name, value] : object->items()) {
    if (value.is_string()) labels[name] = value.get<std::string>();
  }
  return labels;
}

template <class T>
T or_default(Result<T> value) {
  return value ? *std::move(value) : T{};
}

Container container_from(const Json& json) {
  Container container;
  container.id = or_default(string_member(json, "Id"));
  container.name = or_default(string_member(json, "Name"));
  if (container.name.starts_with('/')) container.name.erase(0, 1);
  container.image_id = or_default(string_member(json, "Image"));
  container.labels = labels_from(find_member(json, {"Config", "Labels"}));
  const Json* state = find_member(json, {"State"});
  if (state == nullptr || !state->is_object()) return container;
  container.state = state_from(or_default(string_member(*state, "Status")));
  container.exit_code = static_cast<int>(or_default(integer_member(*state, "ExitCode")));
  container.pid = or_default(integer_member(*state, "Pid"));
  container.started_us = time_from(*state, "StartedAt");
  container.finished_us = time_from(*state, "FinishedAt");
  if (const Json* health = find_member(*state, {"Health"}); health != nullptr && health->is_object()) {
    container.health = or_default(string_member(*health, "Status"));
  }
  return container;
}

std::string label_filter(const Labels& labels) {
  Json wanted = Json::array();
  for (const auto& [name, value] : labels) wanted.push_back(name + "=" + value);
  return percent_encode(to_text(Json{{"label", wanted}}));
}

bool carries(const Labels& has, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = has.find(label.first);
    return found != has.end() && found->second == label.second;
  });
}

std::string subnet_of(const Json& network) {
  // Docker's form is IPAM.Config[0].Subnet; Podman's Docker-compatible answer has the same.
  const Json* list = find_member(network, {"IPAM", "Config"});
  if (list == nullptr || !list->is_array() || list->empty()) return {};
  return or_default(string_member(list->front(), "Subnet"));
}

Status without_value(Result<HttpResponse> response) {
  if (!response) return std::move(response).error();
  return Done{};
}

}  // namespace

HttpCall DockerEngine::call(std::string_view method, std::string_view target) const {
  HttpCall call;
  call.method = method;
  call.url = fmt::format("{}{}", kBase, target);
  call.unix_socket = socket_;
  return call;
}

Result<HttpResponse> DockerEngine::send(const HttpCall& call, std::string_view doing) const {
  auto response = fetch(call);
  if (response && response->status == 304) return response;  // Already in the wanted state.
  return require_success(std::move(response), doing);
}

Result<Json> DockerEngine::get_json(std::string_view target, std::string_view doing) const {
  VERGE_TRY(const auto response, send(call("GET", target), doing));
  auto parsed = parse_json(response.body, 256);
  if (!parsed) return std::move(parsed).error().within(doing);
  return parsed;
}

Result<Json> DockerEngine::post_json(std::string_view target, const Json& body, std::string_view doing) const {
  HttpCall request = call("POST", target);
  request.headers.set("Content-Type", "application/json");
  request.body = to_text(body);
  request.timeout = std::chrono::seconds(120);
  VERGE_TRY(const auto response, send(request, doing));
  if (response.body.empty()) return Json::object();
  auto parsed = parse_json(response.body, 256);
  if (!parsed) return std::move(parsed).error().within(doing);
  return parsed;
}

Result<EngineInfo> DockerEngine::info() {
  VERGE_TRY(const Json version, get_json("/version", "ask the container engine for its version"));
  VERGE_TRY(const Json machine, get_json("/info", "ask the container engine for its abilities"));
  EngineInfo info;
  info.version = or_default(string_member(version, "Version"));
  info.api_version = or_default(string_member(version, "ApiVersion"));
  info.os = or_default(string_member(version, "Os"));
  info.architecture = or_default(string_member(version, "Arch"));
  info.kernel = or_default(string_member(machine, "KernelVersion"));
  const bool is_podman = to_text(version).find("Podman") != std::string::npos;
  info.name = is_podman ? "podman" : "docker";
  info.limits_memory = bool_member(machine, "MemoryLimit", true).value();
  info.limits_pids = bool_member(machine, "PidsLimit", true).value();
  info.limits_cpu = bool_member(machine, "CpuCfsQuota", true).value();
  return info;
}

Result<std::vector<Container>> DockerEngine::list(const Labels& labels) {
  VERGE_TRY(const Json rows, get_json(fmt::format("/containers/json?all=1&filters={}", label_filter(labels)),
                                      "list the containers of this agent"));
  std::vector<Container> containers;
  if (!rows.is_array()) return containers;
  for (const Json& row : rows) {
    auto container = inspect(or_default(string_member(row, "Id")));
    if (!container && container.error().code == ErrorCode::not_found) continue;  // Removed since the list was made.
    if (!container) return std::move(container).error();
    if (carries(container->labels, labels)) containers.push_back(*std::move(container));
  }
  return containers;
}

Result<Container> DockerEngine::inspect(const std::string& id) {
  VERGE_TRY(const Json json, get_json(fmt::format("/containers/{}/json", percent_encode(id)),
                                      fmt::format("inspect container {}", id.substr(0, 12))));
  return container_from(json);
}

Result<std::string> DockerEngine::create(const std::string& name, const Json& body) {
  VERGE_TRY(const Json answer, post_json(fmt::format("/containers/create?name={}", percent_encode(name)), body,
                                         fmt::format("create container {}", name)));
  auto id = string_member(answer, "Id");
  if (!id || id->empty())
    return Error{ErrorCode::internal, fmt::format("create container {}: no id in the answer", name)};
  return id;
}

Status DockerEngine::start(const std::string& id) {
  HttpCall request = call("POST", fmt::format("/containers/{}/start", percent_encode(id)));
  request.timeout = std::chrono::seconds(120);
  return without_value(send(request, fmt::format("start container {}", id.substr(0, 12))));
}

Status DockerEngine::stop(const std::string& id, int grace_s) {
  HttpCall request = call("POST", fmt::format("/containers/{}/stop?t={}", percent_encode(id), grace_s));
  request.timeout = std::chrono::seconds(grace_s + 60);
  return without_value(send(request, fmt::format("stop container {}", id.substr(0, 12))));
}

Status DockerEngine::kill(const std::string& id) {
  return without_value(send(call("POST", fmt::format("/containers/{}/kill?signal=KILL", percent_encode(id))),
                            fmt::format("kill container {}", id.substr(0, 12))));
}

Status DockerEngine::remove(const std::string& id) {
  // With a dead monitor the first forced removal fails and the second succeeds.
  HttpCall request = call("DELETE", fmt::format("/containers/{}?force=1&v=1", percent_encode(id)));
  request.timeout = std::chrono::seconds(60);
  Status last = Done{};
  for (int attempt = 0; attempt < kRemoveAttemptsMax; ++attempt) {
    last = without_value(send(request, fmt::format("remove container {}", id.substr(0, 12))));
    if (last || last.error().code == ErrorCode::not_found) return Done{};
    if (last.error().code == ErrorCode::unavailable) return last;
  }
  return last;
}

Result<std::string> DockerEngine::logs(const std::string& id, const LogQuery& query) {
  std::string target = fmt::format("/containers/{}/logs?stdout=1&stderr=1", percent_encode(id));
  if (query.tail >= 0) target += fmt::format("&tail={}", query.tail);
  if (query.since_s > 0) target += fmt::format("&since={}", query.since_s);
  if (query.until_s > 0) target += fmt::format("&until={}", query.until_s);
  HttpCall request = call("GET", target);
  std::string bytes;
  request.sink = [&](std::string_view piece) {
    bytes.append(piece.substr(0, query.bytes_max - std::min(query.bytes_max, bytes.size())));
    return bytes.size() < query.bytes_max;
  };
  VERGE_CHECK(without_value(send(request, fmt::format("read the log of container {}", id.substr(0, 12)))));
  return text_of_log_frames(bytes);
}

Status DockerEngine::ensure_network(const std::string& name, const std::string& subnet, const std::string& gateway,
                                    const Labels& labels) {
  const std::string doing = fmt::format("make network {}", name);
  const auto present = get_json(fmt::format("/networks/{}", percent_encode(name)), doing);
  if (present) {
    const std::string has = subnet_of(*present);
    if (has == subnet) return Done{};
    return Error{ErrorCode::conflict,
                 fmt::format("{}: it exists with subnet {}, agent.json says {}; change network.name "
                             "or network.subnet",
                             doing, has, subnet)};
  }
  if (present.error().code != ErrorCode::not_found) return present.error();
  Json own = Json::object();
  for (const auto& [key, value] : labels) own[key] = value;
  const Json body = {{"Name", name},
                     {"Driver", "bridge"},
                     {"CheckDuplicate", true},
                     {"Labels", own},
                     {"IPAM", {{"Config", Json::array({{{"Subnet", subnet}, {"Gateway", gateway}}})}}}};
  const auto made = post_json("/networks/create", body, doing);
  if (!made) return made.error();
  return Done{};
}

Status DockerEngine::remove_network(const std::string& name, const Labels& labels) {
  const std::string target = fmt::format("/networks/{}", percent_encode(name));
  const std::string doing = fmt::format("remove network {}", name);
  const auto present = get_json(target, doing);
  if (!present) return present.error().code == ErrorCode::not_found ? Status(Done{}) : Status(present.error());
  if (!carries(labels_from(find_member(*present, {"Labels"})), labels)) return Done{};
  return without_value(send(call("DELETE", target), doing));
}

std::optional<EngineImage> DockerEngine::find_image(const std::string& reference_or_id) {
  const auto json = get_json(fmt::format("/images/{}/json", percent_encode(reference_or_id)), "look for an image");
  if (!json) return std::nullopt;
  EngineImage image;
  image.id = or_default(string_member(*json, "Id"));
  if (image.id.find(':') == std::string::npos) image.id.insert(0, "sha256:");
  if (const Json* user = find_member(*json, {"Config", "User"}); user != nullptr && user->is_string()) {
    image.user = user->get<std::string>();
  }
  return image;
}

Status DockerEngine::load_image(const std::filesystem::path& archive) {
  HttpCall request = call("POST", "/images/load?quiet=1");
  request.headers.set("Content-Type", "application/x-tar");
  request.upload_file = archive;
  request.timeout = kLoadTimeout;
  VERGE_TRY(const auto response, send(request, "load an image into the container engine"));
  // Docker answers 200 and then reports a failure inside the stream.
  const auto at = response.body.find("\"errorDetail\"");
  if (at != std::string::npos) {
    return Error{ErrorCode::invalid_argument,
                 "load an image into the container engine: " + response.body.substr(at, 300)};
  }
  return Done{};
}

Status DockerEngine::remove_image(const std::string& reference_or_id) {
  auto done = without_value(send(call("DELETE", fmt::format("/images/{}", percent_encode(reference_or_id))),
                                 fmt::format("remove image {}", reference_or_id)));
  if (!done && done.error().code == ErrorCode::not_found) return Done{};
  return done;
}

std::string text_of_log_frames(std::string_view bytes) {
  const auto is_frame = [](std::string_view at) {
    return at.size() >= 8 && static_cast<unsigned char>(at[0]) <= 2 && at[1] == 0 && at[2] == 0 && at[3] == 0;
  };
  if (!is_frame(bytes)) return std::string(bytes);
  std::string text;
  while (is_frame(bytes)) {
    std::size_t length = 0;
    for (std::size_t i = 4; i < 8; ++i) length = length << 8U | static_cast<unsigned char>(bytes[i]);
    bytes.remove_prefix(8);
    text.append(bytes.substr(0, length));
    bytes.remove_prefix(std::min(length, bytes.size()));
  }
  return text;
}

}  // namespace verge::agent
