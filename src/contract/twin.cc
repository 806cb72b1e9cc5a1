#include "contract/twin.h"

#include <algorithm>
#include <fmt/core.h>

#include "base/time.h"

namespace verge::contract {
namespace {

constexpr std::size_t kKeyBytesMax = 1024;
constexpr std::size_t kStringBytesMax = 4096;
constexpr std::int64_t kIntegerMax = std::int64_t{1} << 52;  // Beyond it a double, which clients use, is not exact.
constexpr std::size_t kNumberBytes = 8;
constexpr std::size_t kBooleanBytes = 4;

Error refused(std::string_view what, std::string_view path, std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("'{}{}': {}", what, path, why)};
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

Status check_key(std::string_view what, const std::string& path, const std::string& key) {
  if (key.empty()) return refused(what, path, "a key must not be empty");
  if (key.size() > kKeyBytesMax) return refused(what, path, "a key must have at most 1024 bytes");
  const bool is_clean =
      std::none_of(key.begin(), key.end(), [](char c) { return c == '.' || c == '$' || c == ' ' || is_control(c); });
  if (!is_clean) {
    return refused(what, path,
                   fmt::format("key \"{}\" must not contain '.', '$', a blank or a control character", key));
  }
  return Done{};
}

Status check_number(std::string_view what, const std::string& path, const Json& value) {
  const bool is_too_large = value.is_number_unsigned()
                                ? value.get<std::uint64_t>() > static_cast<std::uint64_t>(kIntegerMax)
                                : value.is_number_integer() && (value.get<std::int64_t>() > kIntegerMax ||
                                                                value.get<std::int64_t>() < -kIntegerMax);
  if (is_too_large) return refused(what, path, "an integer must be between -4503599627370496 and 4503599627370496");
  return Done{};
}

/// depth counts the objects and arrays around `value`.
Status check_value(std::string_view what, const std::string& path, const Json& value, int depth) {
  if (value.is_string() && value.get_ref<const std::string&>().size() > kStringBytesMax) {
    return refused(what, path, "a string must have at most 4096 bytes");
  }
  if (value.is_number()) return check_number(what, path, value);
  if (!value.is_structured()) return Done{};
  if (depth > kTwinDepthMax) return refused(what, path, fmt::format("the depth must be at most {}", kTwinDepthMax));
  if (value.is_array()) {
    for (const Json& item : value) VERGE_CHECK(check_value(what, path, item, depth + 1));
    return Done{};
  }
  for (const auto& [key, item] : value.items()) {
    VERGE_CHECK(check_key(what, path, key));
    VERGE_CHECK(check_value(what, path + "." + key, item, depth + 1));
  }
  return Done{};
}

std::size_t counted_bytes(const std::string& text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_control));
}

/// Azure's way: keys and values, nothing for the punctuation between them.
std::size_t counted_bytes(const Json& value) {
  if (value.is_string()) return counted_bytes(value.get_ref<const std::string&>());
  if (value.is_number()) return kNumberBytes;
  if (value.is_boolean()) return kBooleanBytes;
  std::size_t bytes = 0;
  if (value.is_array()) {
    for (const Json& item : value) bytes += counted_bytes(item);
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) bytes += counted_bytes(key) + counted_bytes(item);
  }
  return bytes;
}

/// A client that reads a twin and writes it back sends these two along; they are ours to set.
Json without_stamps(const Json& patch) {
  Json plain = patch;
  if (plain.is_object()) {
    plain.erase("$version");
    plain.erase("$metadata");
  }
  return plain;
}

void stamp(Json& metadata, const Json& patch, const std::string& now) {
  if (!metadata.is_object()) metadata = Json::object();
  metadata["$lastUpdated"] = now;
  for (const auto& [key, value] : patch.items()) {
    if (value.is_null()) {
      metadata.erase(key);
    } else if (value.is_object()) {
      stamp(metadata[key], value, now);
    } else {
      metadata[key] = Json{{"$lastUpdated", now}};
    }
  }
}

}  // namespace

Status check_properties(const Json& patch, const Json& merged, std::size_t bytes_max, std::string_view what) {
  if (!patch.is_object()) return refused(what, "", "must be a JSON object");
  VERGE_CHECK(check_value(what, "", patch, 0));
  // A patch of allowed depth merges to an allowed depth, so only the size is left to check.
  if (counted_bytes(merged) > bytes_max) {
    return Error{ErrorCode::limit, fmt::format("'{}' size should be less than {} bytes.", what, bytes_max)};
  }
  return Done{};
}

Status patch_properties(Properties& properties, const Json& patch, std::int64_t now_us, std::size_t bytes_max,
                        std::string_view what) {
  const Json plain = without_stamps(patch);
  Json merged = properties.values;
  merge_patch(merged, plain);
  VERGE_CHECK(check_properties(plain, merged, bytes_max, what));
  stamp(properties.metadata, plain, to_iso8601(now_us));
  properties.values = std::move(merged);
  ++properties.version;
  return Done{};
}

Status replace_properties(Properties& properties, const Json& values, std::int64_t now_us, std::size_t bytes_max,
                          std::string_view what) {
  Properties replaced;
  replaced.version = properties.version;
  VERGE_CHECK(patch_properties(replaced, values, now_us, bytes_max, what));
  properties = std::move(replaced);
  return Done{};
}

Json to_json(const Properties& properties, bool with_metadata) {
  Json json = properties.values;
  if (with_metadata) json["$metadata"] = properties.metadata;
  json["$version"] = properties.version;
  return json;
}

Json difference(const Json& from, const Json& to) {
  if (!from.is_object() || !to.is_object()) return to;
  Json patch = Json::object();
  for (const auto& [key, value] : from.items()) {
    if (!to.contains(key)) patch[key] = nullptr;
  }
  for (const auto& [key, value] : to.items()) {
    const auto before = from.find(key);
    if (before == from.end()) {
      patch[key] = value;
    } else if (*before != value) {
      patch[key] = difference(*before, value);
    }
  }
  return patch;
}

}  // namespace verge::contract
