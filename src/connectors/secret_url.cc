#include "connectors/secret_url.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>

#include "base/bytes.h"

namespace verge::connectors {
namespace {

Result<std::string> fill_in_part(std::string_view text, const Environment& environment, bool is_user) {
  std::string filled;
  for (;;) {
    const auto begin = text.find("${");
    filled += text.substr(0, begin);
    if (begin == std::string_view::npos) return filled;
    const auto end = text.find('}', begin);
    if (end == std::string_view::npos) return Error{ErrorCode::invalid_argument, "a ${ lacks its }"};
    const std::string name(text.substr(begin + 2, end - begin - 2));
    const auto value = environment(name);
    if (!value) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("environment variable {} is not set; set it for the program, or in the module's "
                               "createOptions (Env)",
                               name)};
    }
    filled += is_user ? percent_encode(*value) : *value;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

UrlParts split_url(std::string_view url) {
  UrlParts parts;
  const auto colon = url.find("://");
  if (colon == std::string_view::npos) {
    parts.rest = url;
    return parts;
  }
  parts.scheme = url.substr(0, colon);
  parts.rest = url.substr(colon + 3);
  // A password may have been typed with an unencoded '/' or '@'.
  const auto query = std::min(parts.rest.find_first_of("?#"), parts.rest.size());
  if (const auto at = parts.rest.substr(0, query).rfind('@'); at != std::string_view::npos) {
    parts.has_user = true;
    parts.user = parts.rest.substr(0, at);
    parts.rest = parts.rest.substr(at + 1);
  }
  return parts;
}

Result<std::string> fill_in(std::string_view url, const Environment& environment) {
  const UrlParts parts = split_url(url);
  VERGE_TRY(const std::string user, fill_in_part(parts.user, environment, true));
  VERGE_TRY(std::string rest, fill_in_part(parts.rest, environment, false));
  if (parts.scheme.empty()) return rest;
  return fmt::format("{}://{}{}{}", parts.scheme, user, parts.has_user ? "@" : "", rest);
}

/// Hides up to the last "@", wherever it is: an unencoded "?" in a password must not uncover the rest.
std::string hide_secrets(std::string_view url) {
  const auto colon = url.find("://");
  if (colon == std::string_view::npos) return std::string(url);
  std::string_view rest = url.substr(colon + 3);
  const auto at = rest.rfind('@');
  const bool has_user = at != std::string_view::npos;
  if (has_user) rest.remove_prefix(at + 1);
  const auto query = rest.find_first_of("?#");
  return fmt::format("{}://{}{}{}", url.substr(0, colon), has_user ? "***@" : "", rest.substr(0, query),
                     query == std::string_view::npos ? "" : "?***");
}

}  // namespace verge::connectors
