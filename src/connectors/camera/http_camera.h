// connectors/camera/http_camera.h -- a camera that answers HTTP: a multipart stream of JPEGs, or one picture per
// request.
//
// Which of both is decided by the answer's content type, each time anew. A picture per request is polled at `fps`, once
// a second unless said otherwise. Basic and digest authentication. https goes through a tunnel that judges the camera's
// certificate (tls_tunnel.h); a camera that redirects from http to https is refused.
#pragma once

#include <memory>

#include "connectors/camera/camera_trust.h"
#include "connectors/camera/live_camera.h"

namespace verge::connectors {

struct HttpCameraOptions {
  std::string url;  ///< A secret.
  PictureWish wish;
  CameraTrust trust{};  ///< For https.
};

std::unique_ptr<CameraLink> make_http_link(HttpCameraOptions options);

}  // namespace verge::connectors
