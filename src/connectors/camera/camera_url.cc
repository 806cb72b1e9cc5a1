#include "connectors/camera/camera_url.h"

#include <fmt/format.h>

namespace verge::connectors {
namespace {

bool is_video_device(std::string_view path) {
  constexpr std::string_view kBegin = "/dev/video";
  return path.starts_with(kBegin) && path.size() > kBegin.size() &&
         path.find_first_not_of("0123456789", kBegin.size()) == std::string_view::npos;
}

}  // namespace

Result<CameraUrl> read_camera_url(std::string_view text, const Environment& environment) {
  CameraUrl camera;
  camera.shown = hide_secrets(text);
  const auto mistake = [&](std::string_view what) {
    return Error{ErrorCode::invalid_argument, fmt::format("open camera {}: {}", camera.shown, what)};
  };
  auto whole = fill_in(text, environment);
  if (!whole) return mistake(whole.error().message);
  camera.url = *std::move(whole);

  // A variable may hold the whole URL, with its secrets.
  const UrlParts filled = split_url(camera.url);
  if (filled.scheme.empty()) {
    if (camera.url.empty()) return mistake("the url is empty");
    if (is_video_device(camera.url)) camera.sort = CameraSort::device;
    return camera;
  }
  if (filled.scheme == "rtsp" || filled.scheme == "rtsps") {
    camera.sort = CameraSort::rtsp;
  } else if (filled.scheme == "onvif") {
    camera.sort = CameraSort::onvif;
  } else if (filled.scheme == "http" || filled.scheme == "https") {
    camera.sort = CameraSort::http;
  } else {
    return mistake(
        "its scheme is unknown; a camera is a path, /dev/videoN, rtsp://, rtsps://, onvif://, http:// or https://");
  }
  if (filled.rest.empty() || filled.rest.front() == '/' || filled.rest.front() == ':') return mistake("it has no host");
  return camera;
}

}  // namespace verge::connectors
