// connectors/secret_url.h -- URLs that hold a user and password: variables of the environment filled in, secrets
// hidden.
//
// Source: RFC 3986 (userinfo, percent-encoding). Threads: pure functions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::connectors {

/// What stands behind a name in the environment; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

/// Views into the URL. Without "://" all is `rest`.
struct UrlParts {
  std::string_view scheme, user, rest;  ///< "rtsp", "me:secret" (has_user), "host/path?query"
  bool has_user = false;
};
UrlParts split_url(std::string_view url);

/// Fills every ${NAME} in. Between "://" and "@" values are percent-encoded, so that a password may hold any character;
/// elsewhere they stand as they are. Errors: invalid_argument (a variable that is not set, a ${ without its }).
Result<std::string> fill_in(std::string_view url, const Environment& environment);

/// For people: no user, no password, no query: "rtsp://***@host/path?***".
std::string hide_secrets(std::string_view url);

}  // namespace verge::connectors
