// bench/vision_side.cc -- our side of the vision benchmarks: waits for a command, works, prints the seconds (wall and
// processor).
//
//   verge-bench-vision --model DIR --film FILE --pipeline YAML [--threads 1]
//
// Commands on the standard input, each with a number of pictures; one JSON line answers each:
//   whole N   the next N pictures of the film, decoded and detected by the executor
//   frame N   N pictures that are decoded already, detected by the executor
//   cameras N the same of several cameras in one process, as many as processors, each run of the model in one thread
//   chain N   the same through every stage of the pipeline file (detect, track, zone, line)
//   bare N    only the model's run, on one prepared input
// The executor, its queues and threads are the real ones; source and sink are this program's, so that a run can be cut
// into slices between which the other side works.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <fmt/format.h>
#include <iostream>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/disk.h"
#include "connectors/camera/film.h"
#include "models/model_card.h"
#include "pipeline/executor.h"
#include "vision/add_stages.h"
#include "vision/recognition/detect.h"

namespace verge::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using pipeline::Packet;

constexpr std::size_t kPreparedFrames = 64;

struct Settings {
  std::string model, film, pipeline;
  int threads = 1;
};

/// Between the commands, the source that emits and the sink that counts.
class Gate {
 public:
  struct Slice {
    double seconds = 0;
    std::uint64_t objects = 0;
  };

  Slice run(std::size_t count) {
    std::unique_lock lock(mutex_);
    const auto begun = SteadyClock::now();
    to_emit_ = to_receive_ = count;
    objects_ = 0;
    changed_.notify_all();
    changed_.wait(lock, [&] { return to_receive_ == 0; });
    return {std::chrono::duration<double>(SteadyClock::now() - begun).count(), objects_};
  }
  /// False when there is nothing to do for now.
  bool take_one() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return to_emit_ > 0; })) return false;
    --to_emit_;
    return true;
  }
  void received(std::uint64_t objects) {
    const std::lock_guard lock(mutex_);
    objects_ += objects;
    if (to_receive_ > 0 && --to_receive_ == 0) changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t to_emit_ = 0, to_receive_ = 0;
  std::uint64_t objects_ = 0;
};

/// The film's pictures, decoded when asked for, or those that were decoded before.
class Film {
 public:
  static Result<std::shared_ptr<Film>> open(const std::string& path) {
    auto film = std::make_shared<Film>();
    VERGE_TRY(film->reader_, connectors::FilmReader::open(path));
    for (std::size_t i = 0; i < kPreparedFrames; ++i) {
      VERGE_TRY(auto frame, film->decode());
      film->prepared_.push_back(std::move(frame));
    }
    VERGE_CHECK(film->reader_->rewind());
    return film;
  }
  Result<std::shared_ptr<pipeline::Frame>> decode() {
    VERGE_TRY(auto picture, reader_->next());
    if (!picture) {
      VERGE_CHECK(reader_->rewind());
      VERGE_TRY(picture, reader_->next());
    }
    if (!picture) return Error{ErrorCode::corrupt, "the film has no pictures"};
    return picture->frame;
  }
  /// From any thread.
  std::shared_ptr<pipeline::Frame> prepared() { return prepared_[next_++ % prepared_.size()]; }

 private:
  std::unique_ptr<connectors::FilmReader> reader_;
  std::vector<std::shared_ptr<pipeline::Frame>> prepared_;
  std::atomic<std::size_t> next_ = 0;
};

class GatedSource final : public pipeline::Source {
 public:
  GatedSource(std::shared_ptr<Gate> gate, std::shared_ptr<Film> film, bool decodes)
      : gate_(std::move(gate)), film_(std::move(film)), decodes_(decodes) {}
  bool is_live() const override { return false; }
  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    while (!should_stop()) {
      if (!gate_->take_one()) continue;
      auto scene = std::make_shared<pipeline::Scene>();
      if (decodes_) {
        VERGE_TRY(scene->frame, film_->decode());
      } else {
        scene->frame = film_->prepared();
      }
      Packet packet;
      packet.captured_us = packet.monotonic_us = ++pictures_ * 100'000;
      packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
      emit(std::move(packet));
    }
    return Done{};
  }

 private:
  std::shared_ptr<Gate> gate_;
  std::shared_ptr<Film> film_;
  const bool decodes_;
  std::int64_t pictures_ = 0;
};

class CountingSink final : public pipeline::Sink {
 public:
  explicit CountingSink(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  Status write(const Packet& packet) override {
    // Events come beside the pictures; only these are counted.
    if (const auto scene = pipeline::payload_as<pipeline::Scene>(packet)) gate_->received(scene->objects.size());
    return Done{};
  }

 private:
  std::shared_ptr<Gate> gate_;
};

/// One executor with its gate.
struct Lane {
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::unique_ptr<pipeline::Executor> executor;
};

template <class Part, class Make>
pipeline::Kind<Part> kind_of(std::string name, Make make) {
  pipeline::Kind<Part> kind;
  kind.name = std::move(name);
  kind.where = "bench/vision_side.cc";
  kind.summary = "Of the benchmark.";
  kind.make = [make](const Json&, const pipeline::Context&) -> Result<std::unique_ptr<Part>> { return make(); };
  return kind;
}

struct LaneForm {
  bool decodes = false;
  bool is_whole_chain = false;  ///< False: only the first stage.
  std::size_t cameras = 1;
  int threads = 1;  ///< Of one run of the model.
};

/// The stages of the pipeline file, between our sources and sink.
Result<Json> stages_of(const Settings& settings, const LaneForm& form) {
  VERGE_TRY(const std::string text, read_file(settings.pipeline));
  VERGE_TRY(const Json file, pipeline::yaml_to_json(text, settings.pipeline));
  Json stages = file.at("stages");
  if (!form.is_whole_chain) stages.erase(stages.begin() + 1, stages.end());
  Json& detect = stages.at(0).at("detect");
  detect["model"] = settings.model;
  detect["threads"] = form.threads;
  return stages;
}

Result<std::unique_ptr<Lane>> make_lane(const Settings& settings, const std::shared_ptr<Film>& film,
                                        const LaneForm& form, Metrics& metrics) {
  auto lane = std::make_unique<Lane>();
  const auto gate = lane->gate;
  pipeline::Catalog catalog;
  vision::add_stages(catalog);
  catalog.add(kind_of<pipeline::Source>("gated", [gate, film, decodes = form.decodes] {
    return std::unique_ptr<pipeline::Source>(std::make_unique<GatedSource>(gate, film, decodes));
  }));
  catalog.add(kind_of<pipeline::Sink>(
      "counting", [gate] { return std::unique_ptr<pipeline::Sink>(std::make_unique<CountingSink>(gate)); }));
  VERGE_TRY(const Json stages, stages_of(settings, form));
  Json sources;
  for (std::size_t i = 0; i < form.cameras; ++i) sources[fmt::format("square{}", i)] = {{"kind", "gated"}};
  const Json file = {{"version", 1},
                     {"sources", sources},
                     {"stages", stages},
                     {"sinks", Json::array({{{"counting", Json::object()}}})}};
  // JSON is YAML, too.
  VERGE_TRY(const auto spec, pipeline::parse_pipeline(to_text(file), settings.pipeline, catalog));
  pipeline::Context context;
  context.folder = ".";
  context.clock = &system_clock();
  context.metrics = &metrics;
  context.add_method = [](const std::string&, pipeline::Method) {};
  VERGE_TRY(lane->executor, pipeline::Executor::make(spec, catalog, context, {}));
  lane->executor->start();
  return lane;
}

/// The model alone.
class Bare {
 public:
  static Result<std::unique_ptr<Bare>> make(const Settings& settings, const pipeline::Frame& frame) {
    auto bare = std::make_unique<Bare>();
    // The same session as the stages': opened with the same wish.
    VERGE_TRY(models::ChosenModel chosen,
              models::open_model(settings.model, inference::EngineWish{.threads = settings.threads}));
    VERGE_TRY(bare->detector_, vision::Detector::make(std::move(chosen.model), {.labels = {"person"}}));
    VERGE_TRY(const auto found, bare->detector_->detect(frame));  // Leaves the picture in the input.
    return bare;
  }
  Result<double> run(std::size_t count) {
    inference::Session& session = detector_->session();
    const inference::NamedTensor inputs[] = {{session.inputs()[0].name, &detector_->input()}};
    const auto begun = SteadyClock::now();
    for (std::size_t i = 0; i < count; ++i) VERGE_CHECK(session.run(inputs));
    return std::chrono::duration<double>(SteadyClock::now() - begun).count();
  }
  std::string engine() const { return detector_->session().engine(); }

 private:
  std::unique_ptr<vision::Detector> detector_;
};

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Status serve(const Settings& settings) {
  VERGE_TRY(const auto film, Film::open(settings.film));
  Metrics metrics;
  std::map<std::string, std::unique_ptr<Lane>> lanes;
  const int threads = settings.threads;
  const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
  VERGE_TRY(lanes["whole"], make_lane(settings, film, {.decodes = true, .threads = threads}, metrics));
  VERGE_TRY(lanes["frame"], make_lane(settings, film, {.threads = threads}, metrics));
  VERGE_TRY(lanes["cameras"], make_lane(settings, film, {.cameras = processors}, metrics));
  VERGE_TRY(lanes["chain"], make_lane(settings, film, {.is_whole_chain = true, .threads = threads}, metrics));
  VERGE_TRY(const auto bare, Bare::make(settings, *film->prepared()));
  std::cout << to_text(Json{{"ready", bare->engine()}}) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string work;
    std::size_t count = 0;
    words >> work >> count;
    Gate::Slice slice;
    const double processor_begun = processor_s();
    if (work == "bare") {
      VERGE_TRY(slice.seconds, bare->run(count));
    } else if (const auto lane = lanes.find(work); lane != lanes.end() && count > 0) {
      slice = lane->second->gate->run(count);
    } else {
      return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" is no command; see the top of this file", line)};
    }
    std::cout << to_text(Json{{"seconds", slice.seconds},
                              {"processor_s", processor_s() - processor_begun},
                              {"objects", slice.objects}})
              << std::endl;
  }
  return Done{};
}

int main_of(int count, char** words) {
  Settings settings;
  CLI::App app{"Our side of the vision benchmarks.", "verge-bench-vision"};
  app.add_option("--model", settings.model, "Folder of the detector")->required();
  app.add_option("--film", settings.film)->required();
  app.add_option("--pipeline", settings.pipeline, "File whose stages are measured")->required();
  app.add_option("--threads", settings.threads, "Of one run of the model")->check(CLI::Range(1, 64));
  CLI11_PARSE(app, count, words);
  const Status served = serve(settings);
  if (served) return 0;
  std::cerr << "verge-bench-vision: " << served.error().message << '\n';
  return exit_code_of(served.error().code);
}

}  // namespace
}  // namespace verge::bench

int main(int count, char** words) { return verge::bench::main_of(count, words); }
