// connectors/camera/camera_url.h -- what a camera's `url` names, and how it is shown without its secrets.
//
// Source: RFC 3986 (userinfo, percent-encoding). Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "connectors/secret_url.h"

namespace verge::connectors {

enum class CameraSort : std::uint8_t {
  path,    ///< A film or a folder of pictures.
  rtsp,    ///< rtsp:// and rtsps://
  onvif,   ///< onvif://: the camera says where its RTSP streams are.
  http,    ///< http:// and https://
  device,  ///< /dev/videoN
};

struct CameraUrl {
  CameraSort sort = CameraSort::path;
  std::string url;    ///< With everything filled in. A secret: it goes to the camera and nowhere else.
  std::string shown;  ///< For people: no user, no password, no query ("rtsp://***@host/path"), variables by name.
};

/// With its variables filled in (secret_url.h). Errors: those of fill_in; invalid_argument for another scheme, no host.
Result<CameraUrl> read_camera_url(std::string_view text, const Environment& environment);

}  // namespace verge::connectors
