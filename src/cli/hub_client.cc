#include "cli/hub_client.h"

#include "base/bytes.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/time.h"
#include "contract/sas.h"

namespace verge::cli {
namespace {

constexpr std::int64_t kTokenSeconds = 3600;

std::string with_api_version(std::string_view target) {
  for (const std::string_view own : {"/api/", "/healthz", "/v2/"}) {
    if (target.starts_with(own)) return std::string(target);
  }
  const char separator = target.find('?') == std::string_view::npos ? '?' : '&';
  return std::string(target) + separator + "api-version=2021-04-12";
}

}  // namespace

Result<std::string> HubClient::authorization() const {
  VERGE_TRY(const auto parts, contract::parse_connection_string(address_.connection_string));
  return contract::make_sas(parts.host, parts.key, system_clock().now_us() / 1'000'000 + kTokenSeconds, parts.policy);
}

Result<Json> HubClient::call(std::string_view method, std::string_view target, const Json& body,
                             std::string_view if_match, std::chrono::milliseconds timeout) const {
  HttpCall call;
  call.method = std::string(method);
  call.url = url() + with_api_version(target);
  call.trust_pem = address_.trust_pem;
  call.timeout = timeout;
  VERGE_TRY(const auto signature, authorization());
  call.headers.set("Authorization", signature);
  if (!body.is_null()) {
    call.headers.set("Content-Type", "application/json");
    call.body = to_text(body);
  }
  if (!if_match.empty()) call.headers.set("If-Match", if_match);
  auto answer = fetch(call);
  if (!answer && answer.error().code == ErrorCode::unavailable) {
    answer.error().message =
        "the hub does not answer (" + answer.error().message + "); `verge status` says what runs on this machine";
  }
  VERGE_TRY(const auto response, require_success(std::move(answer), std::string(method) + " " + std::string(target)));
  if (response.body.empty()) return Json(nullptr);
  return parse_json(response.body);
}

std::string HubClient::url() const {
  return (address_.is_plain ? "http://" : "https://") + address_.host + ":" + std::to_string(address_.https_port);
}

Result<Json> HubClient::get(std::string_view target) const { return call("GET", target, nullptr); }

Result<Json> HubClient::call_method(std::string_view device, std::string_view module, std::string_view name,
                                    const Json& payload, std::chrono::seconds timeout) const {
  std::string target = "/twins/" + percent_encode(device);
  if (!module.empty()) target += "/modules/" + percent_encode(module);
  const Json body{{"methodName", name},
                  {"payload", payload},
                  {"responseTimeoutInSeconds", timeout.count()},
                  {"connectTimeoutInSeconds", 0}};
  return call("POST", target + "/methods", body, {}, timeout + std::chrono::seconds(5));
}

}  // namespace verge::cli
