#include "agent/router/route_table.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <map>
#include <optional>

#include "base/json.h"

namespace verge::agent {
namespace {

using expression::Undefined;
using expression::Value;

char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lowered(x) == lowered(y); });
}

/// System property names of the route language and how they travel.
struct SystemName {
  std::string_view name, wire;
};
constexpr SystemName kSystemNames[] = {
    {"messageId", "$.mid"},        {"correlationId", "$.cid"},  {"userId", "$.uid"},     {"to", "$.to"},
    {"contentType", "$.ct"},       {"contentEncoding", "$.ce"}, {"outputName", "$.on"},  {"creationTime", "$.ctime"},
    {"messageSchema", "$.schema"}, {"expiryTimeUtc", "$.exp"},  {"dt-subject", "$.sub"}, {"interfaceId", "$.ifid"},
};

class MessageScope final : public expression::Scope {
 public:
  MessageScope(const std::string& device, const std::string& sender, const contract::PropertyBag& properties,
               std::string_view payload)
      : device_(device), sender_(sender), properties_(properties), payload_(payload) {}

  Value name(const std::vector<std::string>& path) const override {
    return text(fmt::format("{}", fmt::join(path, ".")));
  }

  Value system(std::string_view name) const override {
    if (equal_ignoring_case(name, "connectionDeviceId")) return Json(device_);
    if (equal_ignoring_case(name, "connectionModuleId")) return Json(sender_);
    for (const SystemName& known : kSystemNames) {
      if (equal_ignoring_case(name, known.name)) return text(known.wire);
    }
    return Undefined{};
  }

  Value body(const std::vector<std::string>& path) const override {
    const Json* value = parsed_body();
    for (const auto& key : path) {
      if (value == nullptr) break;
      value = member(*value, key);
    }
    if (value == nullptr || value->is_structured()) return Undefined{};
    return *value;
  }

 private:
  Value text(std::string_view name) const {
    if (!properties_.has(name)) return Undefined{};
    return Json(properties_.get(name));
  }

  static const Json* member(const Json& value, const std::string& key) {
    if (value.is_object()) return find_member(value, {key});
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    const bool is_index = error == std::errc{} && end == key.data() + key.size();
    return value.is_array() && is_index && index < value.size() ? &value[index] : nullptr;
  }

  /// Only what says that it is JSON is read as such.
  const Json* parsed_body() const {
    if (!body_) {
      body_.emplace();
      const bool is_json = equal_ignoring_case(properties_.get("$.ct"), "application/json") &&
                           equal_ignoring_case(properties_.get("$.ce"), "utf-8");
      if (is_json) {
        if (auto json = parse_json(payload_)) *body_ = *std::move(json);
      }
    }
    return body_->has_value() ? &**body_ : nullptr;
  }

  const std::string& device_;
  const std::string& sender_;
  const contract::PropertyBag& properties_;
  const std::string_view payload_;
  mutable std::optional<std::optional<Json>> body_;  // Read at the first question only.
};

std::string target_name(const expression::RouteTarget& target, const std::string& sender) {
  return target.is_upstream ? "up:" + sender : fmt::format("in:{}/{}", target.module, target.input);
}

}  // namespace

Result<RouteTable> RouteTable::make(const contract::RouterConfig& config) {
  RouteTable table;
  for (const auto& spec : config.routes) {
    auto route = expression::parse_route(spec.text);
    if (!route) return std::move(route).error().within(fmt::format("read route \"{}\"", spec.name));
    const std::int64_t life_s = spec.time_to_live_s > 0 ? spec.time_to_live_s : config.time_to_live_s;
    table.routes_.push_back({*std::move(route), spec.priority, life_s});
  }
  std::stable_sort(table.routes_.begin(), table.routes_.end(),
                   [](const Entry& a, const Entry& b) { return a.priority < b.priority; });
  return table;
}

std::vector<RouteTable::Match> RouteTable::targets(const std::string& device, const std::string& sender,
                                                   const std::string& output, const contract::PropertyBag& properties,
                                                   std::string_view payload) const {
  const std::string source =
      output.empty() ? "/messages/modules/" + sender : fmt::format("/messages/modules/{}/outputs/{}", sender, output);
  const MessageScope scope(device, sender, properties, payload);
  std::vector<Match> matches;
  for (const Entry& entry : routes_) {
    if (!entry.route.matches(source, scope)) continue;
    const std::string target = target_name(entry.route.target, sender);
    const bool is_known =
        std::any_of(matches.begin(), matches.end(), [&](const Match& match) { return match.target == target; });
    if (!is_known) matches.push_back({target, entry.time_to_live_s, entry.priority});
  }
  return matches;
}

}  // namespace verge::agent
