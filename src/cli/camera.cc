#include "cli/camera.h"

#include <cmath>
#include <fmt/format.h>

#include "base/json.h"
#include "cli/output.h"
#include "connectors/secret_url.h"

namespace verge::cli {
namespace {

using connectors::onvif::Camera;
using connectors::onvif::Stream;

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

/// Some cameras write a password into the query.
std::string without_login(const std::string& uri) {
  const auto parts = connectors::split_url(uri);
  const bool has_secret =
      parts.rest.find("pass") != std::string_view::npos || parts.rest.find("pwd") != std::string_view::npos;
  return has_secret ? connectors::hide_secrets(uri) : fmt::format("{}://{}", parts.scheme, parts.rest);
}

std::vector<std::string> row_of(const Camera& camera, const Stream& stream) {
  const auto& profile = stream.profile;
  const std::string size = profile.width > 0 ? fmt::format("{}x{}", profile.width, profile.height) : "-";
  const std::string fps = profile.fps > 0 ? fmt::format("{:g}", profile.fps) : "-";
  return {camera.from,
          or_dash(camera.found.name),
          or_dash(camera.found.hardware),
          or_dash(profile.name.empty() ? profile.token : profile.name),
          or_dash(profile.encoding),
          size,
          fps,
          stream.uri.empty() ? stream.error : without_login(stream.uri)};
}

Json number_or_null(const std::optional<double>& number) {
  return number ? Json(std::round(*number * 100) / 100) : Json();
}

}  // namespace

std::string cameras_as_table(const std::vector<Camera>& cameras) {
  if (cameras.empty()) return "No camera answered.\n";
  std::vector<std::vector<std::string>> rows;
  for (const Camera& camera : cameras) {
    for (const Stream& stream : camera.streams) rows.push_back(row_of(camera, stream));
    if (camera.streams.empty()) rows.push_back(row_of(camera, {{}, {}, camera.error}));
  }
  return to_table({"ADDRESS", "NAME", "HARDWARE", "PROFILE", "CODEC", "SIZE", "FPS", "STREAM"}, rows);
}

Json cameras_as_json(const std::vector<Camera>& cameras) {
  Json all = Json::array();
  for (const Camera& camera : cameras) {
    Json streams = Json::array();
    for (const Stream& stream : camera.streams) {
      const auto& profile = stream.profile;
      streams.push_back({{"profile", profile.name},
                         {"token", profile.token},
                         {"codec", profile.encoding},
                         {"width", profile.width},
                         {"height", profile.height},
                         {"fps", profile.fps},
                         {"url", stream.uri.empty() ? "" : without_login(stream.uri)},
                         {"error", stream.error}});
    }
    all.push_back({{"name", camera.found.name},
                   {"hardware", camera.found.hardware},
                   {"address", camera.from},
                   {"interface", camera.interface},
                   {"error", camera.error},
                   {"streams", std::move(streams)}});
  }
  return all;
}

std::string report_as_text(const std::string& shown, const connectors::CameraReport& report) {
  const std::string keys =
      report.key_every_s ? fmt::format("every {:.1f} s", *report.key_every_s) : "fewer than two came";
  return fmt::format(
      "camera         {}\npictures       {}, {}x{}, {:.1f} a second\nkey pictures   {}\nfirst picture  after {:.1f} s\n"
      "came           {}, {} broken\n",
      shown, report.codec, report.width, report.height, report.fps, keys, report.first_picture_s, report.pictures,
      report.broken);
}

Json report_as_json(const std::string& shown, const connectors::CameraReport& report) {
  return {{"camera", shown},
          {"codec", report.codec},
          {"width", report.width},
          {"height", report.height},
          {"fps", std::round(report.fps * 100) / 100},
          {"key_every_s", number_or_null(report.key_every_s)},
          {"first_picture_s", std::round(report.first_picture_s * 100) / 100},
          {"pictures", report.pictures},
          {"broken", report.broken}};
}

Status refuse_typed_password(std::string_view url) {
  const std::string_view user = connectors::split_url(url).user;
  const auto colon = user.find(':');
  if (colon == std::string_view::npos) return Done{};
  const std::string_view password = user.substr(colon + 1);
  if (password.starts_with("${") && password.ends_with('}')) return Done{};
  return Error{
      ErrorCode::invalid_argument,
      fmt::format("the password stands in the command line, where every user of this machine can read it; put it "
                  "into an environment variable and write {}://{}:${{CAMERA_PASSWORD}}@…, in single quotes",
                  url.substr(0, url.find("://")), user.substr(0, colon))};
}

}  // namespace verge::cli
