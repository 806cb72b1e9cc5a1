// Apart from fetch, so that a program that makes no calls over the network links no libcurl.
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/http_client.h"
#include "base/json.h"

namespace verge {
namespace {

ErrorCode code_of_status(int status) {
  switch (status) {
    case 404:
    case 410:
      return ErrorCode::not_found;
    case 409:
    case 412:
      return ErrorCode::conflict;
    case 408:
    case 504:
      return ErrorCode::timeout;
    case 413:
    case 429:
    case 507:
      return ErrorCode::limit;
    case 422:
      return ErrorCode::corrupt;
    default:
      return status >= 400 && status < 500 ? ErrorCode::invalid_argument : ErrorCode::unavailable;
  }
}

/// Azure says Message, Docker and we say message, an OCI registry says errors[0].message.
std::string words_of_server(const std::string& body) {
  const auto json = parse_json(body);
  if (!json) return std::string(trimmed(body));
  for (const Json* value : {find_member(*json, {"Message"}), find_member(*json, {"message"}),
                            find_member(*json, {"error", "message"}), find_member(*json, {"error"})}) {
    if (value != nullptr && value->is_string()) return value->get<std::string>();
  }
  const Json* errors = find_member(*json, {"errors"});
  if (errors != nullptr && errors->is_array() && !errors->empty()) {
    const Json* message = find_member(errors->front(), {"message"});
    if (message != nullptr && message->is_string()) return message->get<std::string>();
  }
  return std::string(trimmed(body));
}

}  // namespace

Result<HttpResponse> require_success(Result<HttpResponse> response, std::string_view doing) {
  if (!response) return std::move(response.error()).within(doing);
  if (response->status >= 200 && response->status < 300) return response;
  std::string words = words_of_server(response->body);
  if (words.size() > 500) words.resize(500);
  return Error{code_of_status(response->status),
               fmt::format("{}: the server answered {} {}{}{}", doing, response->status,
                           reason_phrase(response->status), words.empty() ? "" : ": ", words)};
}

}  // namespace verge
