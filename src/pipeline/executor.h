// pipeline/executor.h -- runs one pipeline: threads, queues, deadlines, drop policy, counting.
//
// Each source has a thread; each stream's chain of stages runs in order on the worker pool; shared stages are fed
// through bounded queues. in = out + dropped + failed holds exactly for every stage and stream once the executor has
// stopped (metric verge_stage_packets_total{stage, stream, result}); while it runs, the rest waits in the queues.
// Events go to sinks (and the tap), not to the next stage. A sink without `inputs` gets the events of all sources and
// stages, and the other packets of those stages that no stage follows. Packets of a shared stage leave in the order
// they came.
//
// Turns: the stages behind go first, so that packets leave before new ones enter. Where streams wait at the same stage
// or sink, the one that was served longest ago goes first, and of those that were never served the one whose packet is
// the oldest: who asks rarely is served at once, who asks often waits for at most one packet of each other stream, and
// a stream with many packets waiting gains nothing by it. Pictures of live streams are out of date soon and large, so
// few of them wait (pictures_max) and not for long (picture_wait_us_max); sound, rows and events are kept as long as
// there is room. Threads: a source has one, the stages of all streams share `workers`; start and stop from the control
// thread; live and methods from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "pipeline/pipeline_file.h"
#include "pipeline/stage.h"

namespace verge::pipeline {

struct ExecutorOptions {
  std::size_t workers = 2;
  std::size_t queue_packets_max = 8;    ///< Per stage and stream; live sources drop the oldest, others wait.
  std::size_t pictures_max = 4;         ///< Of those, pictures of a live source, at sinks, too; the oldest goes.
  std::size_t sink_packets_max = 1024;  ///< The same before a sink, larger because events are rare and precious.
  std::int64_t deadline_us = 0;  ///< Packets older than this at a stage's door are dropped (live sources); 0: never.
  std::int64_t picture_wait_us_max =
      2'000'000;  ///< Live pictures that waited longer at one door are dropped; 0: never.
};

struct StreamState {
  std::string name, family, kind;  ///< family: "vision", "audio", "telemetry" by the payload seen; "" before the first.
  std::uint64_t packets = 0, dropped = 0, failed = 0;
  double rate_hz = 0;  ///< Over the last 5 s.
  std::string error;   ///< Of the source, else of a stage or sink whose newest packet failed.
};

/// One stage's or sink's work for one stream.
struct LaneState {
  std::string stage, stream;
  std::uint64_t in = 0, out = 0, dropped = 0, failed = 0;  ///< Packets.
  std::size_t queue = 0, queue_max = 0;                    ///< Packets that wait; the bound for what is no picture.
  double mean_ms = 0;   ///< From taking a packet to being done with it, over about the last 20.
  double worst_ms = 0;  ///< Ever.
};

class Executor {
 public:
  /// Makes every source, stage and sink and opens them. Errors: the first one's, saying which; nothing runs then.
  /// A live source that is only unavailable (a camera that is off) is no error: it is opened again with back-off.
  static Result<std::unique_ptr<Executor>> make(const PipelineSpec& spec, const Catalog& catalog, Context context,
                                                ExecutorOptions options);
  virtual ~Executor() = default;  ///< Stops.
  virtual void start() = 0;
  /// Stops sources, drains (bounded by 10 s; what is left counts as dropped), closes.
  virtual void stop() = 0;
  /// Blocks until all sources ended (files) or stop() was called.
  virtual void wait() = 0;
  /// True when wait() would return at once.
  virtual bool has_ended() const = 0;
  virtual std::vector<StreamState> streams() const = 0;
  /// In the order of the pipeline, sinks last.
  virtual std::vector<LaneState> lanes() const = 0;
  virtual const Privacy& privacy() const = 0;
  /// Of a run that has ended: the error that ended a source, or of a stage or sink that could not close or do anything
  /// with any of its packets.
  virtual Status outcome() const = 0;
  /// The methods that sources and stages offer.
  virtual std::vector<std::string> method_names() const = 0;
  /// 404 when nobody offers it.
  virtual MethodReply call_method(const std::string& name, const Json& parameters) = 0;
  /// While set, `tap` gets the last packet of each chain of this stream, and its events, from worker threads. Null
  /// removes it. Taps of different names do not touch each other.
  virtual void set_tap(const std::string& stream, const std::string& name, std::function<void(const Packet&)> tap) = 0;
};

}  // namespace verge::pipeline
