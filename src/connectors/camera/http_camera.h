// connectors/camera/http_camera.h -- a camera that answers HTTP: a multipart stream of JPEGs, or one picture per
// request.
//
// Which of both is decided by the answer's content type, each time anew. A picture per request is polled at `fps`, once
// a second unless said otherwise. Basic and digest authentication. https encrypts; the camera's certificate is not
// checked, because cameras sign their own.
#pragma once

#include <memory>

#include "connectors/camera/live_camera.h"

namespace verge::connectors {

struct HttpCameraOptions {
  std::string url;  ///< A secret.
  PictureWish wish;
};

std::unique_ptr<CameraLink> make_http_link(HttpCameraOptions options);

}  // namespace verge::connectors
