#include "connectors/camera/camera.h"

#include "base/json.h"
#include "connectors/camera/film.h"
#include "connectors/camera/http_camera.h"
#include "connectors/camera/live_camera.h"
#include "connectors/camera/picture_folder.h"
#include "connectors/camera/picture_mask.h"
#include "connectors/camera/rtsp_camera.h"
#include "connectors/camera/v4l2_camera.h"

namespace verge::connectors {
namespace {

constexpr double kFpsMax = 1000;
constexpr double kSilenceMin_s = 0.5, kSilenceMax_s = 3600;

std::vector<pipeline::OptionInfo> camera_options() {
  return {{"url", "text",
           "Path of a film or of a folder of JPEG and PNG pictures, relative to the pipeline file; rtsp://, rtsps://, "
           "http:// or https:// of a camera; /dev/videoN. ${NAME}: an environment variable.",
           nullptr, true},
          {"fps", "number",
           "At most so many pictures a second, evenly; 0: all. What is not needed for them is not decoded. A folder's "
           "pace; how often a snapshot is asked for (0: once a second).",
           0},
          {"loop", "flag", "Film, folder: begin again at the end.", false},
          {"pace", "flag", "Film, folder: at its own speed, dropping late pictures; false: as fast as possible.", true},
          {"keyframes_only", "flag", "Only pictures that need no other; the camera says how often they come.", false},
          {"transport", "text", "RTSP: tcp, or udp.", "tcp"},
          {"silence_s", "number", "Live cameras: connect again after so long without a picture, 0.5 to 3600.", 3}};
}

struct CameraSettings {
  CameraUrl url;
  PictureWish wish;
  bool loop, pace, is_udp;
  double silence_s;
};

Error camera_mistake(const CameraUrl& url, std::string_view what) {
  return Error{ErrorCode::invalid_argument, "open camera " + url.shown + ": " + std::string(what)};
}

Result<CameraSettings> read_settings(const Json& options, const Environment& environment) {
  CameraSettings settings;
  VERGE_TRY(settings.url, read_camera_url(options["url"].get<std::string>(), environment));
  settings.wish = {options["fps"].get<double>(), options["keyframes_only"].get<bool>()};
  settings.loop = options["loop"].get<bool>();
  settings.pace = options["pace"].get<bool>();
  settings.silence_s = options["silence_s"].get<double>();
  const auto transport = options["transport"].get<std::string>();
  settings.is_udp = transport == "udp";
  if (!(settings.wish.fps_max >= 0 && settings.wish.fps_max <= kFpsMax)) {
    return camera_mistake(settings.url, "fps must be 0 to 1000");
  }
  if (transport != "tcp" && transport != "udp") return camera_mistake(settings.url, "transport must be tcp or udp");
  if (!(settings.silence_s >= kSilenceMin_s && settings.silence_s <= kSilenceMax_s)) {
    return camera_mistake(settings.url, "silence_s must be 0.5 to 3600");
  }
  return settings;
}

std::unique_ptr<CameraLink> make_link(const CameraSettings& settings) {
  const CameraUrl& url = settings.url;
  if (url.sort == CameraSort::rtsp) return make_rtsp_link({url.url, settings.wish, settings.is_udp});
  if (url.sort == CameraSort::http) return make_http_link({url.url, settings.wish});
  V4l2Options device;
  device.path = url.url;
  device.wish = settings.wish;
  return make_v4l2_link(std::move(device), make_video_device());
}

Result<std::unique_ptr<pipeline::Source>> make_unmasked_camera(const Json& options, const pipeline::Context& context,
                                                               const Environment& environment) {
  VERGE_TRY(const CameraSettings settings, read_settings(options, environment));
  if (settings.url.sort != CameraSort::path) {
    return make_live_camera({settings.url.shown, settings.silence_s}, make_link(settings), context);
  }
  const auto path = context.folder / settings.url.url;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    if (settings.wish.keyframes_only) return camera_mistake(settings.url, "a folder of pictures has only key frames");
    return make_picture_folder({path, settings.wish.fps_max, settings.loop, settings.pace}, context);
  }
  return make_film({path, settings.wish, settings.loop, settings.pace}, context);
}

Result<std::unique_ptr<pipeline::Source>> make_camera(const Json& options, const pipeline::Context& context,
                                                      const Environment& environment) {
  VERGE_TRY(auto source, make_unmasked_camera(options, context, environment));
  const auto mask = context.privacy.masks.find(context.stream);
  if (mask == context.privacy.masks.end()) return source;
  return with_mask(std::move(source), PictureMask(mask->second));
}

}  // namespace

pipeline::Kind<pipeline::Source> camera_kind(Environment environment) {
  return {.name = "camera",
          .where = "connectors/camera/camera.h",
          .summary = "Pictures of a network camera, a USB camera, a film or a folder.",
          .options = camera_options(),
          .make = [environment = std::move(environment)](const Json& options, const pipeline::Context& context) {
            return make_camera(options, context, environment);
          }};
}

}  // namespace verge::connectors
