// pipeline/stage.h -- the parts a pipeline is made of: sources, stages, shared stages, sinks; and their catalogue.
//
// Two kinds of stage: a Stage works on one stream, in order, synchronously; a SharedStage (inference) serves all
// streams, asynchronously, so that batching and accelerators fit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "pipeline/packet.h"
#include "pipeline/privacy.h"

namespace verge::evidence {
class Keeper;
}

namespace verge::pipeline {

class EngineReports;
class Stillness;
struct PipelineSpec;
struct StillWord;

/// Takes a packet on. May block when the next queue is full and its policy is to wait.
using Emit = std::function<void(Packet)>;
/// A direct method of the module: parameters in, {status, payload} out. Called on the control thread; must not block.
struct MethodReply {
  int status = 200;
  Json payload;
};
using Method = std::function<MethodReply(const Json& parameters)>;

/// What a source, stage or sink gets from its pipeline. Lives as long as the stage.
struct Context {
  std::string stream;            ///< The stream it works for; empty for shared stages and sinks.
  std::filesystem::path folder;  ///< Of the pipeline file; relative paths (models, media) start here.
  const Clock* clock = nullptr;
  Metrics* metrics = nullptr;
  std::string device, module;  ///< Empty outside an agent.
  std::string pipeline_hash;
  std::shared_ptr<const PipelineSpec> pipeline;              ///< All of it (pipeline_file.h), for parts that show it.
  Privacy privacy;                                           ///< Of the whole pipeline.
  evidence::Keeper* evidence = nullptr;                      ///< Where evidence is kept; null: nowhere.
  EngineReports* engines = nullptr;                          ///< Told what runs the models; null: nobody asks.
  std::function<void(std::string name, Method)> add_method;  ///< Offers a direct method of the module.
  /// Sources: what the stages at it say (stillness.h). Null: nobody says anything.
  std::shared_ptr<const Stillness> stillness;
  /// Sources: whether one more picture now finds room, so that none waiting is lost for it. Null: always.
  std::function<bool()> has_room;
  /// Stages of one stream: tells the source what stillness.h says. Null: nobody listens.
  std::function<void(const StillWord&)> tell_still;
};

/// One step of one stream. Calls come in the order open, process*, close, never two at once, but not always from the
/// same thread. A packet is cheap to copy and its payload never changes, so a stage may keep it as long as it likes.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual Status open() { return Done{}; }
  /// Emits any number of packets. An error is counted and logged; the stream goes on with the next packet.
  virtual Status process(const Packet& packet, const Emit& emit) = 0;
  /// Emits what it still holds.
  virtual Status close(const Emit&) { return Done{}; }
};

/// One step that all streams share. submit() returns at once; `complete` is called exactly once per submitted packet,
/// from any thread, with what comes out (nothing: dropped; an error: failed; counted as such).
class SharedStage {
 public:
  using Complete = std::function<void(Result<std::optional<Packet>>)>;
  virtual ~SharedStage() = default;
  virtual Status open() { return Done{}; }
  /// The executor keeps at most in_flight_max() packets submitted at a time, of one stream at most
  /// in_flight_of_stream_max(), and never calls submit twice at once.
  virtual void submit(Packet packet, Complete complete) = 0;
  virtual std::size_t in_flight_max() const { return 1; }
  virtual std::size_t in_flight_of_stream_max() const { return in_flight_max(); }
  virtual void close() {}
};

/// Where packets come from. run() is called on a thread of its own.
class Source {
 public:
  virtual ~Source() = default;
  virtual Status open() { return Done{}; }
  /// Emits until the data end (Done) or should_stop() turns true (checked at least every 200 ms). The executor numbers
  /// the packets. An error is reported and the source opened again with back-off; a source that is not live and did not
  /// merely lack something (unavailable, timeout) is at its end instead.
  virtual Status run(const Emit& emit, const std::function<bool()>& should_stop) = 0;
  /// True for cameras and microphones: when the pipeline lags, old packets are dropped and counted. False for files
  /// at full speed: the source waits.
  virtual bool is_live() const { return true; }
};

/// Where packets go; called in order per stream, never two calls at once.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status open() { return Done{}; }
  /// Takes events (and, if it wants, rows). Ignores what it does not know.
  virtual Status write(const Packet& packet) = 0;
  virtual Status close() { return Done{}; }
};

/// A picture of the newest packet for the live view: a JSON header and bytes (JPEG, or none). docs/formats/live.md.
struct LiveFrame {
  Json header;
  std::string bytes;
};
struct LiveRequest {
  Blur blur = Blur::people;
  int width_max = 640;  ///< Pixels; wider pictures are made smaller.
  int quality = 70;     ///< Of a JPEG, 1..100.
  /// Sound: the stream's blocks since the last frame, the oldest first, the packet's own the last. Empty: only that.
  std::vector<std::shared_ptr<const AudioBlock>> sound{};
};
using LiveRenderer = std::function<std::optional<LiveFrame>(const Packet& packet, const LiveRequest& request)>;

/// One option of a kind, for checking pipeline files and for `--help`.
struct OptionInfo {
  std::string name;
  std::string type;     ///< "number", "integer", "text", "flag", "list", "points", "object", "path"
  std::string summary;  ///< With unit and range: "Boxes below it are dropped, 0..1".
  Json fallback;        ///< The default; null when the option must be given.
  bool is_required = false;
};

/// What the packets of a stream bear once they have passed some stages, as {what, name}: {"zone", "press"},
/// {"rule", "intrusion"}, {"tracks", ""}. The kinds agree on the words; the pipeline only hands them on.
using Provided = std::set<std::pair<std::string, std::string>>;

template <class Part>
struct Kind {
  std::string name;     ///< As in a pipeline file: "detect"; the folder is in `where`.
  std::string where;    ///< "vision/recognition/detect.h"
  std::string summary;  ///< One line.
  std::vector<OptionInfo> options;
  std::function<Result<std::unique_ptr<Part>>(const Json& options, const Context& context)> make;
  /// Stages: adds what their packets bear, or removes what they bear no longer. Null: that stays as it was.
  std::function<void(const Json& options, Provided& provided)> provide = {};
  /// Stages: whether the ones before give what this one needs, asked when the pipeline is read, before anything is
  /// made. Null: it needs nothing. Errors: invalid_argument naming the stage, what it lacks and what there is.
  std::function<Status(const Json& options, const Provided& before)> check = {};
};

/// What a program offers. main() fills it by calling each part's add_stages(), so reading main() shows it all.
/// Threads: fill first, then read from anywhere.
class Catalog {
 public:
  void add(Kind<Source> kind);
  void add(Kind<Stage> kind);
  void add(Kind<SharedStage> kind);
  void add(Kind<Sink> kind);
  /// Tried in turn until one answers.
  void add_live_renderer(LiveRenderer renderer);

  const Kind<Source>* find_source(std::string_view name) const;
  const Kind<Stage>* find_stage(std::string_view name) const;
  const Kind<SharedStage>* find_shared(std::string_view name) const;
  const Kind<Sink>* find_sink(std::string_view name) const;
  std::vector<std::string> source_names() const;
  std::vector<std::string> stage_names() const;  ///< Both kinds.
  std::vector<std::string> sink_names() const;
  std::optional<LiveFrame> render(const Packet& packet, const LiveRequest& request) const;

 private:
  std::map<std::string, Kind<Source>, std::less<>> sources_;
  std::map<std::string, Kind<Stage>, std::less<>> stages_;
  std::map<std::string, Kind<SharedStage>, std::less<>> shared_;
  std::map<std::string, Kind<Sink>, std::less<>> sinks_;
  std::vector<LiveRenderer> renderers_;
};

}  // namespace verge::pipeline
