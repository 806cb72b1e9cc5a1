// agent/live/live_uplink.h -- pushes the newest live frames to the hub over a WebSocket of their own.
//
// Opens with the first frame, closes 10 s after the last one. Nothing is stored: a frame that cannot leave at once
// replaces the one of its stream that waits; beyond the bounds frames are dropped and counted.
// Source: docs/formats/hub-api.md, "Live". Threads: everything on the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop.h"
#include "base/metrics.h"
#include "base/net.h"
#include "base/result.h"

namespace verge::agent {

struct LiveOptions {
  ConnectOptions connect;
  std::string target;                      ///< "/api/v1/devices/D/live"
  std::chrono::milliseconds idle{10'000};  ///< Without a frame for so long the WebSocket closes.
  std::chrono::milliseconds retry{3'000};  ///< After a failed attempt.
  std::size_t frame_bytes_max = 1U << 20U;
  std::size_t unsent_bytes_max = 2U << 20U;  ///< Queued in the connection; beyond it frames wait.
  std::size_t streams_max = 32;              ///< Waiting frames, one per stream.
};

class LiveUplink {
 public:
  /// token: the device's Authorization header of the next attempt.
  LiveUplink(Loop& loop, Metrics& metrics, LiveOptions options, std::function<Result<std::string>()> token);
  ~LiveUplink();

  /// frame: in the form of docs/formats/live.md, passed on unchanged; one whose header names another module or stream
  /// is dropped.
  void push(const std::string& module, const std::string& stream, std::string_view frame);
  bool is_open() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// True when the frame's header says that it is of this module and stream.
bool is_frame_of(std::string_view frame, std::string_view module, std::string_view stream);

}  // namespace verge::agent
