#include "pipeline/privacy.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "pipeline/nearest_word.h"
#include "pipeline/yaml.h"

namespace verge::pipeline {
namespace {

constexpr std::size_t kMasksMax = 64;    // Polygons of one camera.
constexpr std::size_t kCornersMax = 64;  // Of one polygon.

Error privacy_mistake(const WhereIs& where, const std::string& pointer, std::string_view message) {
  return Error{ErrorCode::invalid_argument, fmt::format("{}: {}", where(pointer), message)};
}

Status check_keys(const Json& json, const std::string& pointer, const std::vector<std::string>& allowed,
                  const WhereIs& where) {
  const std::string member = pointer.substr(1);
  if (!json.is_object()) return privacy_mistake(where, pointer, member + " is a map of options");
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(allowed, key) != allowed.end()) continue;
    return privacy_mistake(where, pointer + "/" + pointer_step(key),
                           fmt::format("{} has no option \"{}\"{}", member, key, suggestion(key, allowed)));
  }
  return Done{};
}

bool is_part(const Json& value) { return value.is_number() && value.get<double>() >= 0 && value.get<double>() <= 1; }

bool is_corner(const Json& value) {
  return value.is_array() && value.size() == 2 && is_part(value[0]) && is_part(value[1]);
}

Result<std::vector<Polygon>> read_polygons(const Json& json, const std::string& pointer, const WhereIs& where) {
  if (!json.is_array() || json.empty() || json.size() > kMasksMax) {
    return privacy_mistake(where, pointer, fmt::format("a mask is a list of 1 to {} polygons", kMasksMax));
  }
  std::vector<Polygon> polygons;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const Json& corners = json[i];
    const bool fits = corners.is_array() && corners.size() >= 3 && corners.size() <= kCornersMax &&
                      std::ranges::all_of(corners, is_corner);
    if (!fits) {
      return privacy_mistake(
          where, fmt::format("{}/{}", pointer, i),
          fmt::format("a polygon has 3 to {} corners [x, y] in parts of the picture, 0 to 1", kCornersMax));
    }
    Polygon& polygon = polygons.emplace_back();
    for (const Json& corner : corners) polygon.emplace_back(corner[0].get<double>(), corner[1].get<double>());
  }
  return polygons;
}

Status read_number(const Json& json, const char* key, double least, double most, const WhereIs& where, double& value) {
  const auto at = json.find(key);
  if (at == json.end() || at->is_null()) return Done{};
  const bool fits = at->is_number() && at->get<double>() >= least && at->get<double>() <= most;
  if (!fits) {
    return privacy_mistake(where, std::string("/evidence/") + key,
                           fmt::format("{} is {}; give {:g} to {:g}", key, to_text(*at).substr(0, 80), least, most));
  }
  value = at->get<double>();
  return Done{};
}

}  // namespace

std::string_view name_of(Blur blur) { return blur == Blur::people ? "people" : blur == Blur::faces ? "faces" : "none"; }

bool may_leave(std::string_view made, Blur now) {
  return now == Blur::none || made == "people" || (made == "faces" && now == Blur::faces);
}

Result<Privacy> read_privacy(const Json& json, const std::vector<std::string>& sources, const WhereIs& where) {
  Privacy privacy;
  if (json.is_null()) return privacy;
  VERGE_CHECK(check_keys(json, "/privacy", {"blur", "mask"}, where));
  if (const auto blur = json.find("blur"); blur != json.end() && !blur->is_null()) {
    const std::string word = blur->is_string() ? blur->get<std::string>() : to_text(*blur);
    if (word != "people" && word != "faces" && word != "none") {
      return privacy_mistake(where, "/privacy/blur",
                             fmt::format("blur is \"{}\"{}", word, suggestion(word, {"faces", "none", "people"})));
    }
    privacy.blur = word == "people" ? Blur::people : word == "faces" ? Blur::faces : Blur::none;
  }
  const auto mask = json.find("mask");
  if (mask == json.end() || mask->is_null()) return privacy;
  if (!mask->is_object()) {
    return privacy_mistake(where, "/privacy/mask", "mask is a map from a source to a list of polygons");
  }
  for (const auto& [source, polygons] : mask->items()) {
    const std::string pointer = "/privacy/mask/" + pointer_step(source);
    if (std::ranges::find(sources, source) == sources.end()) {
      return privacy_mistake(where, pointer,
                             fmt::format("no source is called \"{}\"{}", source, suggestion(source, sources)));
    }
    VERGE_TRY(privacy.masks[source], read_polygons(polygons, pointer, where));
  }
  return privacy;
}

Result<EvidenceSettings> read_evidence_settings(const Json& json, const WhereIs& where) {
  EvidenceSettings settings;
  if (json.is_null()) return settings;
  VERGE_CHECK(check_keys(json, "/evidence", {"days", "folder", "megabytes", "ring_s"}, where));
  if (const auto folder = json.find("folder"); folder != json.end() && !folder->is_null()) {
    if (!folder->is_string() || folder->get<std::string>().empty()) {
      return privacy_mistake(where, "/evidence/folder", "folder must be a path");
    }
    settings.folder = folder->get<std::string>();
  }
  VERGE_CHECK(read_number(json, "days", 0.01, 3650, where, settings.days));
  VERGE_CHECK(read_number(json, "megabytes", 1, 10'000'000, where, settings.megabytes));
  VERGE_CHECK(read_number(json, "ring_s", 0, 120, where, settings.ring_s));
  return settings;
}

}  // namespace verge::pipeline
