// connectors/camera/rtsp_camera.h -- a network camera that speaks RTSP: H.264, H.265 or MJPEG over RTP.
//
// Source: RFC 2326; FFmpeg's demultiplexer does the protocol, basic and digest authentication among it. Only the video
// stream is asked for. Nothing is probed before playing: what the camera says of its stream is enough to decode it, and
// the first picture is there one key frame earlier. rtsps goes through a tunnel that judges the camera's certificate
// (tls_tunnel.h).
#pragma once

#include <memory>

#include "connectors/camera/camera_trust.h"
#include "connectors/camera/live_camera.h"
#include "connectors/camera/still_decoder.h"

namespace verge::connectors {

struct RtspOptions {
  std::string url;  ///< A secret.
  PictureWish wish;
  bool is_udp = false;        ///< Pictures over UDP instead of the RTSP connection.
  bool is_only_kept = false;  ///< Nothing is shown: pictures go to the recorder; only the first one is decoded.
  CameraTrust trust{};        ///< For rtsps.
  StillWish still{};          ///< What is decoded while nothing moves.
};

std::unique_ptr<CameraLink> make_rtsp_link(RtspOptions options);

}  // namespace verge::connectors
