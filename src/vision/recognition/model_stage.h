// vision/recognition/model_stage.h -- a stage around something that analyses scenes: a queue, a thread and a clock.
//
// What detect, classify, pose, faces, anomaly and compare have in common. Packets that are not scenes with a picture
// pass unchanged.
//
// Several streams: where the analyser allows it, as many pictures are computed at once as there are processors for (a
// run's `threads` each), but only one of each stream, so that one camera needs one thread, one input and one set of the
// engine's buffers, and its pictures keep their order. No batches: the catalogue's models take one picture, and
// in a batch the first picture would wait for the last. Nor would they pay on a processor: measured with NanoDet
// rewritten for batches of 2, 4 and 8, a picture in a batch costs 0 to 2 % more with one thread, and 5 to 8 % more with
// two than in two runs of one thread at once (bench/batch.py, bench/REPORT.md). Accelerators were not measured.
// Threads: begun when they are needed, at most runs_max; submit() only queues.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "models/model_card.h"
#include "pipeline/packet.h"
#include "pipeline/stage.h"

namespace verge::vision {

/// Adds what it finds to a scene. Threads: used by one thread at a time, or by any number when it allows it; scenes of
/// a stream come one after the other, in their order.
class SceneAnalyser {
 public:
  virtual ~SceneAnalyser() = default;
  /// scene  a copy of the packet's, with a picture; an error drops the packet
  virtual Status analyse(const pipeline::Packet& packet, pipeline::Scene& scene) = 0;
  virtual bool allows_many_threads() const { return false; }
};

class ModelStage final : public pipeline::SharedStage {
 public:
  /// name      of the stage, in the metric verge_inference_seconds
  /// runs_max  pictures computed at once where the analyser allows more than one, at least 1
  ModelStage(std::string name, std::unique_ptr<SceneAnalyser> analyser, const pipeline::Context& context,
             std::size_t runs_max);
  ~ModelStage() override { close(); }

  Status open() override;
  void submit(pipeline::Packet packet, Complete complete) override;
  /// One is computed while the next waits, so that a thread never idles.
  std::size_t in_flight_max() const override { return 2 * runs_max_; }
  std::size_t in_flight_of_stream_max() const override { return 2; }
  void close() override;

 private:
  struct Job {
    pipeline::Packet packet;
    Complete complete;
  };

  void work();
  std::deque<Job>::iterator next_job();
  Result<std::optional<pipeline::Packet>> analyse(pipeline::Packet packet);

  std::unique_ptr<SceneAnalyser> analyser_;
  Histogram& seconds_;
  const std::size_t runs_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;                  ///< The executor keeps in_flight_max().
  std::set<const std::string*> at_work_;  ///< Streams of which a picture is computed.
  std::vector<std::thread> threads_;
  bool is_closed_ = false;
};

/// Options that every such stage has: the model's folder, and what runs it.
pipeline::OptionInfo model_option(std::string summary);
/// `options` and engine, device, fallback, threads.
std::vector<pipeline::OptionInfo> with_engine_options(std::vector<pipeline::OptionInfo> options);
/// Runs of options["threads"] threads that the processors of this process can do at once: 1 to 16.
std::size_t runs_of(const Json& options);
/// The model at options[member], opened as the options ask. What runs it is told to context.engines, by the metric
/// verge_inference_engine_info and in the log.
///
/// stage  its kind, for those
/// Errors: those of models::open_model.
Result<models::LoadedModel> open_model_of(const Json& options, const char* member, const char* stage,
                                          const pipeline::Context& context);
/// A list option of words. Errors: invalid_argument.
Result<std::vector<std::string>> words_of(const Json& options, const char* member);
/// A number option that may be left out, 0..1. Errors: invalid_argument.
Result<std::optional<float>> threshold_option(const Json& options, const char* member);

}  // namespace verge::vision
