#include "connectors/camera/camera_url.h"

#include <cstdlib>
#include <fmt/format.h>

#include "base/bytes.h"

namespace verge::connectors {
namespace {

struct UrlParts {
  std::string_view scheme, user, rest;  ///< "rtsp", "me:secret" (has_user), "host/path?query"
  bool has_user = false;
};

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

Result<std::string> fill_in(std::string_view text, const Environment& environment, bool is_user) {
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

bool is_video_device(std::string_view path) {
  constexpr std::string_view kBegin = "/dev/video";
  return path.starts_with(kBegin) && path.size() > kBegin.size() &&
         path.find_first_not_of("0123456789", kBegin.size()) == std::string_view::npos;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Result<CameraUrl> read_camera_url(std::string_view text, const Environment& environment) {
  CameraUrl camera;
  camera.shown = hide_secrets(text);
  const auto mistake = [&](std::string_view what) {
    return Error{ErrorCode::invalid_argument, fmt::format("open camera {}: {}", camera.shown, what)};
  };
  const UrlParts parts = split_url(text);
  auto user = fill_in(parts.user, environment, true);
  if (!user) return mistake(user.error().message);
  auto rest = fill_in(parts.rest, environment, false);
  if (!rest) return mistake(rest.error().message);
  camera.url =
      parts.scheme.empty() ? *rest : fmt::format("{}://{}{}{}", parts.scheme, *user, parts.has_user ? "@" : "", *rest);

  // A variable may hold the whole URL, with its secrets.
  const UrlParts filled = split_url(camera.url);
  if (filled.scheme.empty()) {
    if (camera.url.empty()) return mistake("the url is empty");
    if (is_video_device(camera.url)) camera.sort = CameraSort::device;
    return camera;
  }
  if (filled.scheme == "rtsp" || filled.scheme == "rtsps") {
    camera.sort = CameraSort::rtsp;
  } else if (filled.scheme == "http" || filled.scheme == "https") {
    camera.sort = CameraSort::http;
  } else {
    return mistake(
        fmt::format("its scheme is unknown; a camera is a path, /dev/videoN, rtsp://, rtsps://, http:// or "
                    "https://"));
  }
  if (filled.rest.empty() || filled.rest.front() == '/' || filled.rest.front() == ':') return mistake("it has no host");
  return camera;
}

}  // namespace verge::connectors
