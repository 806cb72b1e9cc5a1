// base/json.h -- the JSON value type and reading that never throws.
//
// Include this instead of the library: the instantiation is shared (json.cc), which saves
// seconds per file that uses it. In headers include base/json_fwd.h.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"

extern template class nlohmann::basic_json<>;

namespace verge {

/// Parses one JSON text. Errors: invalid_argument, with line and column; limit when nested
/// deeper than `depth_max`.
Result<Json> parse_json(std::string_view text, int depth_max = 64);

/// One line, invalid UTF-8 replaced, never throws. Keys are sorted: equal values, equal text.
std::string to_text(const Json& value);
/// The same with two-space indentation, for people.
std::string to_pretty_text(const Json& value);

/// Applies an RFC 7396 merge patch: objects merge, null deletes, anything else replaces.
void merge_patch(Json& target, const Json& patch);

/// The member at a path of keys, or nullptr: find_member(twin, {"desired", "pipeline"}).
const Json* find_member(const Json& value, std::initializer_list<std::string_view> path);

/// Typed reads of one member; `fallback` when it is absent or null. Errors: invalid_argument
/// when it is there with another type; the message names the key.
Result<std::string> string_member(const Json& object, std::string_view key, std::string fallback = {});
Result<double> number_member(const Json& object, std::string_view key, double fallback = 0);
Result<std::int64_t> integer_member(const Json& object, std::string_view key, std::int64_t fallback = 0);
Result<bool> bool_member(const Json& object, std::string_view key, bool fallback = false);

}  // namespace verge
