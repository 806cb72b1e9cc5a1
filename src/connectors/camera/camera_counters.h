// connectors/camera/camera_counters.h -- what became of one camera's pictures, as metrics.
//
// received = decoded + skipped + still + broken, but for those that a decoder still holds: a few, and while nothing
// moves up to one group of pictures (still_decoder.h). Threads: use from anywhere.
#pragma once

#include <string>

#include "base/metrics.h"

namespace verge::connectors {

struct CameraCounters {
  CameraCounters(Metrics& metrics, const std::string& stream)
      : received(counter(metrics, stream, "received")),
        decoded(counter(metrics, stream, "decoded")),
        skipped(counter(metrics, stream, "skipped")),
        still(counter(metrics, stream, "still")),
        broken(counter(metrics, stream, "broken")),
        shown(counter(metrics, stream, "shown")),
        woken_by_size(woken(metrics, stream, "size")),
        woken_by_picture(woken(metrics, stream, "picture")),
        reconnects(metrics.counter("verge_camera_reconnects_total", "Times a live camera was lost and tried again.",
                                   {{"stream", stream}})),
        width(metrics.gauge("verge_camera_width_pixels", "Of the newest picture.", {{"stream", stream}})),
        height(metrics.gauge("verge_camera_height_pixels", "Of the newest picture.", {{"stream", stream}})) {}

  Counter& received;  ///< Compressed pictures that came.
  Counter& decoded;   ///< Of those, decoded.
  Counter& skipped;   ///< Never decoded, because nobody wanted them.
  Counter& still;     ///< Never decoded, because nothing moved.
  Counter& broken;    ///< Could not be decoded, or only with damage.
  Counter& shown;     ///< Of the decoded, those that left the source; the others were only needed by their successors.
  Counter& woken_by_size;     ///< Times that all was decoded again because packets grew,
  Counter& woken_by_picture;  ///< or because a stage saw motion.
  Counter& reconnects;        ///< Attempts after a loss or a failed attempt.
  Gauge& width;
  Gauge& height;

 private:
  static Counter& counter(Metrics& metrics, const std::string& stream, const char* result) {
    return metrics.counter("verge_camera_pictures_total", "Pictures of a camera by what became of them.",
                           {{"stream", stream}, {"result", result}});
  }
  static Counter& woken(Metrics& metrics, const std::string& stream, const char* by) {
    return metrics.counter("verge_camera_woken_total", "Times that a still camera was decoded whole again, by why.",
                           {{"stream", stream}, {"by", by}});
  }
};

}  // namespace verge::connectors
