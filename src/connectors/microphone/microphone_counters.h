// connectors/microphone/microphone_counters.h -- what became of one microphone's samples, as metrics.
//
// received: came, at the source's own rate. missing: did not come, each counted once; of those, filled: replaced by
// silence. Threads: use from anywhere.
#pragma once

#include <string>

#include "base/metrics.h"

namespace verge::connectors {

struct MicrophoneCounters {
  MicrophoneCounters(Metrics& metrics, const std::string& stream)
      : received(samples(metrics, stream, "received")),
        missing(samples(metrics, stream, "missing")),
        filled(samples(metrics, stream, "filled")),
        repeated(samples(metrics, stream, "repeated")),
        clipped(samples(metrics, stream, "clipped")),
        gaps(metrics.counter("verge_microphone_gaps_total", "Times that samples were missing.", {{"stream", stream}})),
        broken(
            metrics.counter("verge_microphone_broken_total", "Packets that could not be read.", {{"stream", stream}})),
        reconnects(metrics.counter("verge_microphone_reconnects_total", "Times a microphone was lost and tried again.",
                                   {{"stream", stream}})),
        drift_ppm(metrics.gauge("verge_microphone_drift_ppm",
                                "How much faster than its nominal rate it is, parts per million.",
                                {{"stream", stream}})) {}

  Counter& received;  ///< Samples, before they are converted to the pipeline's rate.
  Counter& missing;
  Counter& filled;
  Counter& repeated;  ///< Came twice, or after they were counted as missing; not used.
  Counter& clipped;   ///< Of the received, those at full scale.
  Counter& gaps;
  Counter& broken;
  Counter& reconnects;  ///< Attempts after a loss or a failed attempt.
  Gauge& drift_ppm;     ///< 0 until it is known.

 private:
  static Counter& samples(Metrics& metrics, const std::string& stream, const char* result) {
    return metrics.counter("verge_microphone_samples_total", "Samples of a microphone by what became of them.",
                           {{"stream", stream}, {"result", result}});
  }
};

}  // namespace verge::connectors
