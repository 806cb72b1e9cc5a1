// connectors/camera/live_camera.h -- keeps a live camera's pictures coming: watches for silence and connects again.
//
// A link (rtsp_camera.h, http_camera.h, v4l2_camera.h) knows how to talk to one sort of camera; this knows what all
// have in common. A lost, refused, silent or frozen camera is tried again as live_retry.h says: pictures are there
// again within silence_s + kAgainMax (4 s by default) after the camera is. Times are those of arrival and never go
// back; Frame::take grows with each new connection. Threads: as pipeline::Source.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "connectors/camera/camera_counters.h"
#include "connectors/camera/camera_recorder.h"
#include "connectors/camera/picture_decoder.h"
#include "connectors/live_retry.h"
#include "pipeline/stage.h"

namespace verge::connectors {

/// One connection's view of the source that it works for.
class CameraWatch : public LiveWatch {
 public:
  virtual Arrival now() const = 0;
  virtual void show(std::shared_ptr<pipeline::Frame> frame, const Arrival& arrival) = 0;
  virtual CameraCounters& counters() = 0;
  /// Gets every compressed picture; null when nobody wants them.
  virtual CameraRecorder* recorder() { return nullptr; }
  /// For who looks at the camera itself (camera_check.h): what its pictures are compressed with, and each of them.
  virtual void note_codec(const char* /*name*/) {}
  virtual void note_picture(bool /*is_key*/, const Arrival& /*arrival*/) {}
};

class CameraLink {
 public:
  virtual ~CameraLink() = default;
  /// Before the first connection. Errors: what no repetition mends (FFmpeg is missing).
  virtual Status prepare() { return Done{}; }
  /// Connects and shows pictures until the connection ends. Done only when the camera closed it or the source stops.
  /// Errors: unavailable, timeout, corrupt; invalid_argument when the camera refuses us.
  virtual Status watch(CameraWatch& watch) = 0;
};

struct LiveCameraOptions {
  std::string shown;     ///< The camera in messages, without secrets.
  double silence_s = 3;  ///< So long without a picture, or without an answer while connecting: it is given up.
  bool is_kept = true;   ///< Clips and recordings are made of it; else another connection brings pictures for them.
  std::optional<RecordWish> record{};
  bool is_only_kept = false;  ///< It is there for clips and a recording alone: where nobody wants one it rests.
};

/// The source, with a second connection to the same camera of which clips and recordings are made (its main stream,
/// when the first one is a smaller one for analysis).
std::unique_ptr<pipeline::Source> with_kept_stream(std::unique_ptr<pipeline::Source> source,
                                                   std::unique_ptr<pipeline::Source> kept);

std::unique_ptr<pipeline::Source> make_live_camera(LiveCameraOptions options, std::unique_ptr<CameraLink> link,
                                                   const pipeline::Context& context);

}  // namespace verge::connectors
