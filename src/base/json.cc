#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

template class nlohmann::basic_json<>;

namespace verge {
namespace {

/// The deepest nesting of brackets outside strings. The library reads any depth, but writes and
/// compares by recursion, so depth is limited before a value exists.
int depth_of(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

/// "line 3, column 7" of a byte, both counted from 1.
std::string place_of(std::string_view text, std::size_t byte) {
  const auto before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto line_start = before.rfind('\n');
  const auto column = line_start == std::string_view::npos ? before.size() + 1 : before.size() - line_start;
  return fmt::format("line {}, column {}", line, column);
}

/// The library's explanation without its name, number and place.
std::string reason_in(std::string_view what) {
  for (const std::string_view mark : {"column ", "] "}) {
    const auto at = what.find(mark);
    if (at == std::string_view::npos) continue;
    const auto rest = what.substr(at + mark.size());
    if (mark == "] ") return std::string(rest);
    const auto colon = rest.find(": ");
    if (colon != std::string_view::npos) return std::string(rest.substr(colon + 2));
  }
  return std::string(what);
}

Error broken(std::string_view text, std::size_t byte, std::string_view reason) {
  return {ErrorCode::invalid_argument,
          fmt::format("read JSON: {}: {}", place_of(text, byte == 0 ? 0 : byte - 1), reason_in(reason))};
}

/// The member, or nullptr when absent or null. `object` may be any value.
const Json* given(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Error wrong_type(std::string_view key, std::string_view wanted, const Json& value) {
  return {ErrorCode::invalid_argument,
          fmt::format("\"{}\" must be {}, it is {} ({:.60})", key, wanted, value.type_name(), to_text(value))};
}

}  // namespace

Result<Json> parse_json(std::string_view text, int depth_max) {
  if (const int depth = depth_of(text); depth > depth_max) {
    return Error{ErrorCode::limit,
                 fmt::format("read JSON: {} levels of nesting; at most {} are allowed", depth, depth_max)};
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    return broken(text, error.byte, error.what());
  } catch (const Json::exception& error) {  // a number that no double can hold
    return Error{ErrorCode::invalid_argument, "read JSON: " + reason_in(error.what())};
  }
}

std::string to_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string to_pretty_text(const Json& value) { return value.dump(2, ' ', false, Json::error_handler_t::replace); }

void merge_patch(Json& target, const Json& patch) { target.merge_patch(patch); }

const Json* find_member(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (const auto key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

Result<std::string> string_member(const Json& object, std::string_view key, std::string fallback) {
  const Json* value = given(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) return wrong_type(key, "a text", *value);
  return value->get<std::string>();
}

Result<double> number_member(const Json& object, std::string_view key, double fallback) {
  const Json* value = given(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) return wrong_type(key, "a number", *value);
  return value->get<double>();
}

Result<std::int64_t> integer_member(const Json& object, std::string_view key, std::int64_t fallback) {
  const Json* value = given(object, key);
  if (value == nullptr) return fallback;
  if (value->is_number_unsigned()) {
    const auto number = value->get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return wrong_type(key, "an integer below 2^63", *value);
    }
    return static_cast<std::int64_t>(number);
  }
  if (value->is_number_integer()) return value->get<std::int64_t>();
  // Some writers say 5.0; up to 2^53 a double still means one integer.
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (std::trunc(number) == number && std::abs(number) <= 9007199254740992.0) return std::int64_t(number);
  }
  return wrong_type(key, "an integer", *value);
}

Result<bool> bool_member(const Json& object, std::string_view key, bool fallback) {
  const Json* value = given(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong_type(key, "true or false", *value);
  return value->get<bool>();
}

}  // namespace verge
