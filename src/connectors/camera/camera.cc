#include "connectors/camera/camera.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/json.h"
#include "connectors/camera/film.h"
#include "connectors/camera/http_camera.h"
#include "connectors/camera/live_camera.h"
#include "connectors/camera/onvif_camera.h"
#include "connectors/camera/picture_folder.h"
#include "connectors/camera/picture_mask.h"
#include "connectors/camera/rtsp_camera.h"
#include "connectors/camera/tls_tunnel.h"
#include "connectors/camera/v4l2_camera.h"
#include "pipeline/nearest_word.h"

namespace verge::connectors {
namespace {

constexpr double kFpsMax = 1000;
constexpr double kSilenceMin_s = 0.5, kSilenceMax_s = 3600;

std::vector<pipeline::OptionInfo> camera_options() {
  std::vector<pipeline::OptionInfo> options = {
      {"url", "text",
       "Path of a film or of a folder of JPEG and PNG pictures, relative to the pipeline file; rtsp://, rtsps://, "
       "onvif://, http:// or https:// of a camera; /dev/videoN. ${NAME}: an environment variable.",
       nullptr, true},
      {"fps", "number",
       "At most so many pictures a second, evenly; 0: all. What is not needed for them is not decoded. A folder's "
       "pace; how often a snapshot is asked for (0: once a second).",
       0},
      {"loop", "flag", "Film, folder: begin again at the end.", false},
      {"pace", "flag", "Film, folder: at its own speed, dropping late pictures; false: as fast as possible.", true},
      {"keyframes_only", "flag", "Only pictures that need no other; the camera says how often they come.", false},
      {"while_still", "text",
       "RTSP: all, or keyframes: while every stage `motion` at it says that nothing moves, only key pictures are "
       "decoded, and what lies between them when something moves or still_fps asks for more.",
       "all"},
      {"transport", "text", "RTSP: tcp, or udp.", "tcp"},
      {"silence_s", "number", "Live cameras: connect again after so long without a picture, 0.5 to 3600.", 3},
      {"evidence_url", "text",
       "RTSP, ONVIF: another stream of the same camera, of which clips and recordings are made; `url` is analysed.",
       nullptr},
      {"record", "object",
       "Keeps all that comes, as MP4: {days: 7, megabytes: 10000, segment_s: 60}; docs/evidence.md.", nullptr}};
  for (pipeline::OptionInfo& option : camera_trust_options()) options.push_back(std::move(option));
  return options;
}

struct CameraSettings {
  CameraUrl url;
  PictureWish wish;
  bool loop, pace, is_udp, rests_while_still;
  double silence_s;
  std::optional<CameraUrl> evidence_url;
  std::optional<RecordWish> record;
  CameraTrust trust;
};

Error camera_mistake(const CameraUrl& url, std::string_view what) {
  return Error{ErrorCode::invalid_argument, "open camera " + url.shown + ": " + std::string(what)};
}

Result<std::optional<RecordWish>> read_record(const Json& options, const CameraUrl& url) {
  if (!options.contains("record") || options["record"].is_null()) return std::optional<RecordWish>();
  const Json& given = options["record"];
  if (!given.is_object()) return camera_mistake(url, "record must be a map: {days: 7, megabytes: 10000}");
  RecordWish wish;
  struct Member {
    const char* name;
    double* value;
    double least, most;
  };
  const Member members[] = {{"days", &wish.days, 0.01, 3650},
                            {"megabytes", &wish.megabytes, 10, 100'000'000},
                            {"segment_s", &wish.segment_s, 5, 3600}};
  std::vector<std::string> names;
  for (const Member& member : members) names.emplace_back(member.name);
  for (const auto& [key, value] : given.items()) {
    const auto* member = std::ranges::find(members, key, [](const Member& known) { return std::string(known.name); });
    if (member == std::end(members)) {
      return camera_mistake(url, fmt::format("record has no option \"{}\"{}", key, pipeline::suggestion(key, names)));
    }
    const bool fits = value.is_number() && value.get<double>() >= member->least && value.get<double>() <= member->most;
    if (!fits) {
      return camera_mistake(url, fmt::format("record: {} is {}; give {:g} to {:g}", key, verge::to_text(value),
                                             member->least, member->most));
    }
    *member->value = value.get<double>();
  }
  return std::optional(wish);
}

Status check_trust(const CameraSettings& settings) {
  const bool has_tls =
      is_tls_url(settings.url.url) || (settings.evidence_url && is_tls_url(settings.evidence_url->url));
  // An ONVIF camera may name an address of either sort.
  const bool may_have_tls = has_tls || settings.url.sort == CameraSort::onvif;
  const CameraTrust& trust = settings.trust;
  if (!may_have_tls && (trust.is_insecure || !trust.ca_pem.empty() || !trust.fingerprint.empty())) {
    return camera_mistake(settings.url, "ca, fingerprint and insecure are about rtsps:// and https://");
  }
  if (has_tls && settings.is_udp) return camera_mistake(settings.url, "rtsps:// needs transport tcp");
  return Done{};
}

Result<CameraSettings> read_settings(const Json& options, const std::filesystem::path& folder,
                                     const Environment& environment) {
  CameraSettings settings;
  VERGE_TRY(settings.url, read_camera_url(options["url"].get<std::string>(), environment));
  settings.wish = {options["fps"].get<double>(), options["keyframes_only"].get<bool>()};
  settings.loop = options["loop"].get<bool>();
  settings.pace = options["pace"].get<bool>();
  settings.silence_s = options["silence_s"].get<double>();
  const auto transport = options["transport"].get<std::string>();
  settings.is_udp = transport == "udp";
  const auto while_still = options.value("while_still", "all");
  settings.rests_while_still = while_still == "keyframes";
  if (!(settings.wish.fps_max >= 0 && settings.wish.fps_max <= kFpsMax)) {
    return camera_mistake(settings.url, "fps must be 0 to 1000");
  }
  if (transport != "tcp" && transport != "udp") return camera_mistake(settings.url, "transport must be tcp or udp");
  if (while_still != "all" && while_still != "keyframes") {
    return camera_mistake(settings.url, "while_still must be all or keyframes");
  }
  const bool is_by_rtsp = settings.url.sort == CameraSort::rtsp || settings.url.sort == CameraSort::onvif;
  if (settings.rests_while_still && !is_by_rtsp) {
    return camera_mistake(settings.url, "while_still: keyframes is about rtsp://, rtsps:// and onvif://");
  }
  if (!(settings.silence_s >= kSilenceMin_s && settings.silence_s <= kSilenceMax_s)) {
    return camera_mistake(settings.url, "silence_s must be 0.5 to 3600");
  }
  VERGE_TRY(settings.record, read_record(options, settings.url));
  auto trust = read_camera_trust(options, folder);
  if (!trust) return camera_mistake(settings.url, trust.error().message);
  settings.trust = *std::move(trust);
  if (options.contains("evidence_url") && !options["evidence_url"].is_null()) {
    VERGE_TRY(settings.evidence_url, read_camera_url(options["evidence_url"].get<std::string>(), environment));
    if (settings.url.sort == CameraSort::path || settings.evidence_url->sort != CameraSort::rtsp) {
      return camera_mistake(settings.url, "evidence_url is an rtsp:// or rtsps:// stream of a live camera");
    }
  }
  VERGE_CHECK(check_trust(settings));
  return settings;
}

RtspOptions stream_options(const CameraSettings& settings, const pipeline::Context& context) {
  return {{},    settings.wish,  settings.is_udp,
          false, settings.trust, StillWish{settings.rests_while_still, context.stillness, context.has_room}};
}

/// A stream that is only kept.
RtspOptions kept_options(const CameraSettings& settings, std::string url) {
  return {std::move(url), {}, settings.is_udp, true, settings.trust, {}};
}

const Clock& camera_clock(const pipeline::Context& context) {
  return context.clock == nullptr ? system_clock() : *context.clock;
}

Result<std::unique_ptr<CameraLink>> make_link(const CameraSettings& settings, const pipeline::Context& context) {
  const CameraUrl& url = settings.url;
  if (url.sort == CameraSort::rtsp) {
    RtspOptions stream = stream_options(settings, context);
    stream.url = url.url;
    return make_rtsp_link(std::move(stream));
  }
  if (url.sort == CameraSort::onvif) {
    VERGE_TRY(auto address, read_onvif_address(url.url));
    return make_onvif_link({std::move(address), OnvifUse::analysed, stream_options(settings, context)},
                           onvif_world(camera_clock(context)));
  }
  if (url.sort == CameraSort::http) return make_http_link({url.url, settings.wish, settings.trust});
  V4l2Options device;
  device.path = url.url;
  device.wish = settings.wish;
  return make_v4l2_link(std::move(device), make_video_device());
}

/// The stream of which clips and recordings are made where it is not the one that is analysed; else null.
Result<std::unique_ptr<CameraLink>> make_kept_link(const CameraSettings& settings, const pipeline::Context& context) {
  if (settings.evidence_url) return make_rtsp_link(kept_options(settings, settings.evidence_url->url));
  if (settings.url.sort != CameraSort::onvif) return std::unique_ptr<CameraLink>();
  VERGE_TRY(auto address, read_onvif_address(settings.url.url));
  if (!address.profile.empty()) return std::unique_ptr<CameraLink>();
  return make_onvif_link({std::move(address), OnvifUse::kept, kept_options(settings, {})},
                         onvif_world(camera_clock(context)));
}

Result<std::unique_ptr<pipeline::Source>> make_live(const CameraSettings& settings, const pipeline::Context& context) {
  auto link = make_link(settings, context);
  if (!link) return camera_mistake(settings.url, link.error().message);
  VERGE_TRY(auto kept_link, make_kept_link(settings, context));
  const bool has_other = kept_link != nullptr;
  auto live =
      make_live_camera({settings.url.shown, settings.silence_s, !has_other, has_other ? std::nullopt : settings.record},
                       *std::move(link), context);
  if (!has_other) return live;
  const CameraUrl& kept = settings.evidence_url ? *settings.evidence_url : settings.url;
  return with_kept_stream(
      std::move(live),
      make_live_camera({kept.shown, settings.silence_s, true, settings.record, true}, std::move(kept_link), context));
}

Result<std::unique_ptr<pipeline::Source>> make_unmasked_camera(const Json& options, const pipeline::Context& context,
                                                               const Environment& environment) {
  VERGE_TRY(const CameraSettings settings, read_settings(options, context.folder, environment));
  if (settings.url.sort != CameraSort::path) return make_live(settings, context);
  const auto path = context.folder / settings.url.url;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    if (settings.wish.keyframes_only) return camera_mistake(settings.url, "a folder of pictures has only key frames");
    return make_picture_folder({path, settings.wish.fps_max, settings.loop, settings.pace}, context);
  }
  return make_film({path, settings.wish, settings.loop, settings.pace, settings.record}, context);
}

Result<std::unique_ptr<pipeline::Source>> make_camera(const Json& options, const pipeline::Context& context,
                                                      const Environment& environment) {
  VERGE_TRY(auto source, make_unmasked_camera(options, context, environment));
  const auto mask = context.privacy.masks.find(context.stream);
  if (mask == context.privacy.masks.end()) return source;
  if (options.contains("record") && !options["record"].is_null()) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("open camera \"{}\": a masked camera cannot be recorded, since what it sends is kept as it "
                    "comes; remove `record`, or the mask",
                    context.stream)};
  }
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
