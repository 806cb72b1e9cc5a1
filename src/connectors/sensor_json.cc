#include "connectors/sensor_json.h"

#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/json.h"

namespace verge::connectors {
namespace {

constexpr std::size_t kValuesMax = 1024;

Json number_or_null(float value) { return std::isfinite(value) ? Json(static_cast<double>(value)) : Json(); }

}  // namespace

std::string row_to_text(const pipeline::SensorRow& row, std::int64_t time_us) {
  Json values = Json::object();
  for (std::size_t i = 0; row.channels && i < row.channels->size() && i < row.values.size(); ++i) {
    values[(*row.channels)[i]] = number_or_null(row.values[i]);
  }
  Json json = {{"time_us", time_us}, {"values", std::move(values)}};
  if (row.score) {
    json["score"] = number_or_null(*row.score);
    json["alarm"] = row.is_alarm;
  }
  if (row.threshold) json["threshold"] = number_or_null(*row.threshold);
  return to_text(json);
}

Result<SensorRowReader::Reading> SensorRowReader::read(std::string_view text) {
  constexpr const char* kDoing = "read sensor values";
  auto json = parse_json(text, 8);
  if (!json) return std::move(json).error().within(kDoing);
  const Json* values = find_member(*json, {"values"});
  if (values == nullptr || !values->is_object() || values->empty()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{}: wanted {{\"time_us\": …, \"values\": {{\"name\": number}}}}", kDoing)};
  }
  if (values->size() > kValuesMax) {
    return Error{ErrorCode::limit,
                 fmt::format("{}: {} values, at most {} are read", kDoing, values->size(), kValuesMax)};
  }
  auto time_us = integer_member(*json, "time_us", 0);
  if (!time_us) return std::move(time_us).error().within(kDoing);
  auto row = std::make_shared<pipeline::SensorRow>();
  std::vector<std::string> names;
  for (const auto& [name, value] : values->items()) {
    if (!value.is_number() && !value.is_null()) {
      return Error{ErrorCode::invalid_argument, fmt::format("{}: \"{}\" must be a number or null", kDoing, name)};
    }
    names.push_back(name);
    row->values.push_back(value.is_null() ? std::numeric_limits<float>::quiet_NaN() : value.get<float>());
  }
  if (!channels_ || *channels_ != names) channels_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  row->channels = channels_;
  return Reading{std::move(row), *time_us};
}

}  // namespace verge::connectors
