// expression/route.h -- the routes of Azure IoT Edge: "FROM /messages/modules/m/outputs/* WHERE … INTO $upstream".
//
// Source: wire contract §4.1 (Route.g4, Condition.g4). Threads: a Route is immutable; evaluate from anywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "expression/condition.h"

namespace verge::expression {

struct RouteTarget {
  bool is_upstream = false;
  std::string module, input;  ///< When not upstream.
};

struct Route {
  std::string source;  ///< Path as written, lower-cased, without a trailing /*.
  std::optional<Condition> condition;
  RouteTarget target;

  /// source_path: "/messages/modules/m/outputs/o", "/messages/modules/m" or "/messages". Prefix match per segment,
  /// ignoring case; a * in the middle stands for any one segment.
  bool matches(std::string_view source_path, const Scope& message) const;
};

/// Errors: invalid_argument; the message quotes the text and points at the character.
Result<Route> parse_route(std::string_view text);

}  // namespace verge::expression
