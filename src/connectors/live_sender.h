// connectors/live_sender.h -- sends the newest picture, sound level or points of a stream while somebody watches.
//
// Nothing is queued or stored: what comes too soon or is too large is skipped. A view ends by itself after its seconds
// unless it is asked for again. docs/formats/live.md describes the frames.
// Threads: start, stop, set_executor and tick on one thread (the control thread); frames are made on the executor's
// workers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/time.h"
#include "pipeline/executor.h"

namespace verge::connectors {

struct LiveOptions {
  std::string module;  ///< In the topic and the header.
  double picture_hz_max = 5;
  double other_hz_max = 10;
  std::size_t frame_bytes_max = 200U << 10U;
  std::int64_t seconds_max = 300;  ///< Of one request.
};

/// u32 big-endian length of the header, the header as JSON, the bytes.
std::string encode_live_frame(const Json& header, std::string_view bytes);

class LiveSender {
 public:
  /// `publish` gets topic and payload; called from any thread.
  using Publish = std::function<void(std::string topic, std::string payload)>;
  LiveSender(LiveOptions options, const pipeline::Catalog& catalog, const Clock& clock, Publish publish);
  ~LiveSender();

  /// {"stream": "gate", "seconds": 30}: 200, 400 (parameters), 404 (no such stream), 503 (no pipeline).
  pipeline::MethodReply start(const Json& parameters);
  /// {"stream": "gate"}: 200 also when nobody watched.
  pipeline::MethodReply stop(const Json& parameters);
  /// The views move over to the new executor; null while there is none.
  void set_executor(std::shared_ptr<pipeline::Executor> executor);
  /// Ends views that are over; call about once a second.
  void tick();
  std::size_t view_count() const { return views_.size(); }

 private:
  struct View;
  void attach(const std::string& stream, const std::shared_ptr<View>& view);

  LiveOptions options_;
  const pipeline::Catalog& catalog_;
  const Clock& clock_;
  std::shared_ptr<const Publish> publish_;
  std::shared_ptr<pipeline::Executor> executor_;
  std::map<std::string, std::shared_ptr<View>> views_;
};

}  // namespace verge::connectors
