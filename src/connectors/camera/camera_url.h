// connectors/camera/camera_url.h -- what a camera's `url` names, and how it is shown without its secrets.
//
// Source: RFC 3986 (userinfo, percent-encoding). Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::connectors {

enum class CameraSort : std::uint8_t {
  path,    ///< A film or a folder of pictures.
  rtsp,    ///< rtsp:// and rtsps://
  http,    ///< http:// and https://
  device,  ///< /dev/videoN
};

struct CameraUrl {
  CameraSort sort = CameraSort::path;
  std::string url;    ///< With everything filled in. A secret: it goes to the camera and nowhere else.
  std::string shown;  ///< For people: no user, no password, no query ("rtsp://***@host/path"), variables by name.
};

/// What stands behind a name in the environment; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

/// Fills every ${NAME} in. Between "://" and "@" values are percent-encoded, so that a password may hold any character;
/// elsewhere they stand as they are. Errors: invalid_argument (a variable that is not set, another scheme, no host).
Result<CameraUrl> read_camera_url(std::string_view text, const Environment& environment);

}  // namespace verge::connectors
