// connectors/camera/camera_check.h -- looks at a camera for some seconds and says what it sends.
//
// Connects as the source `camera` does, by the same links. Threads: blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "connectors/camera/camera_trust.h"
#include "connectors/camera/camera_url.h"
#include "pipeline/packet.h"

namespace verge::connectors {

struct CameraCheckOptions {
  double seconds = 5;      ///< So long, from the first picture on.
  double patience_s = 10;  ///< For the first picture.
  bool is_udp = false;     ///< RTSP: pictures over UDP.
  CameraTrust trust{};     ///< For rtsps and https.
};

struct CameraReport {
  std::string codec;                             ///< "h264", "hevc", "mjpeg"
  int width = 0, height = 0;                     ///< Pixels.
  double fps = 0;                                ///< As they came.
  std::optional<double> key_every_s;             ///< From key picture to key picture, on average; without two: nothing.
  double first_picture_s = 0;                    ///< From connecting to the first picture that could be shown.
  std::uint64_t pictures = 0, broken = 0;        ///< Came; could not be decoded.
  std::shared_ptr<const pipeline::Frame> frame;  ///< The last one.
};

/// Errors: invalid_argument (a path: there is nothing to connect to; refused user or password), unavailable, timeout.
Result<CameraReport> check_camera(const CameraUrl& url, const CameraCheckOptions& options, const Clock& clock);

}  // namespace verge::connectors
