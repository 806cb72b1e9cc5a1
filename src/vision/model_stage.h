// vision/model_stage.h -- a shared stage around something that analyses scenes: a queue, a thread and a clock.
//
// What detect, classify, pose and faces have in common. Packets that are not scenes with a picture pass unchanged.
// Threads: a thread of its own computes; submit() only queues.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "models/model_card.h"
#include "pipeline/packet.h"
#include "pipeline/stage.h"

namespace verge::vision {

/// Adds what it finds to a scene. Threads: used by one thread at a time, scenes of a stream in their order.
class SceneAnalyser {
 public:
  virtual ~SceneAnalyser() = default;
  /// scene  a copy of the packet's, with a picture; an error drops the packet
  virtual Status analyse(const pipeline::Packet& packet, pipeline::Scene& scene) = 0;
};

class ModelStage final : public pipeline::SharedStage {
 public:
  /// name  of the stage, in the metric verge_inference_seconds
  ModelStage(std::string name, std::unique_ptr<SceneAnalyser> analyser, const pipeline::Context& context);
  ~ModelStage() override { close(); }

  Status open() override;
  void submit(pipeline::Packet packet, Complete complete) override;
  /// One is computed while the next waits, so that the thread never idles.
  std::size_t in_flight_max() const override { return 2; }
  void close() override;

 private:
  struct Job {
    pipeline::Packet packet;
    Complete complete;
  };

  Result<std::optional<pipeline::Packet>> analyse(pipeline::Packet packet);

  std::unique_ptr<SceneAnalyser> analyser_;
  Histogram& seconds_;
  BoundedQueue<Job> queue_{4, WhenFull::wait};  ///< Never full: the executor keeps in_flight_max().
  std::thread thread_;
};

/// Options that every such stage has: the model's folder and the threads of one run.
pipeline::OptionInfo model_option(std::string summary);
pipeline::OptionInfo threads_option();
/// The model at options[member], loaded for options["threads"].
Result<models::LoadedModel> open_model_of(const Json& options, const char* member, const pipeline::Context& context);
/// A list option of words. Errors: invalid_argument.
Result<std::vector<std::string>> words_of(const Json& options, const char* member);
/// A number option that may be left out, 0..1. Errors: invalid_argument.
Result<std::optional<float>> threshold_option(const Json& options, const char* member);

}  // namespace verge::vision
