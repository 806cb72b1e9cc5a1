#include "vision/simulated/simulated_camera.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <thread>

#include "base/guarded.h"
#include "base/json.h"
#include "pipeline/option_checks.h"

namespace verge::vision {
namespace {

constexpr std::chrono::milliseconds kStopCheck{50};

std::unique_ptr<simulated::Scene> make_scene(const SimulatedCameraOptions& options) {
  if (options.is_shelf) {
    return simulated::make_shelf_scene({options.seed, options.width, options.height, options.stock});
  }
  return simulated::make_workpiece_scene(
      {options.seed, options.width, options.height, options.defects, options.is_triggered});
}

/// A file of lines with a bound. Nothing is written without a path.
class TruthFile {
 public:
  TruthFile() = default;
  TruthFile(const TruthFile&) = delete;
  TruthFile& operator=(const TruthFile&) = delete;
  ~TruthFile() {
    if (file_ != nullptr) std::fclose(file_);
  }

  Status open(const std::filesystem::path& path) {
    if (path.empty() || file_ != nullptr) return Done{};
    file_ = std::fopen(path.c_str(), "we");
    if (file_ != nullptr) return Done{};
    return Error{ErrorCode::unavailable, fmt::format("open {} for the truth: {}", path.string(), std::strerror(errno))};
  }

  Status write(const Json& truth) {
    if (file_ == nullptr || ++lines_ > SimulatedCameraOptions::kTruthLinesMax) return Done{};
    const std::string line = to_text(truth) + "\n";
    if (std::fwrite(line.data(), 1, line.size(), file_) == line.size() && std::fflush(file_) == 0) return Done{};
    return Error{ErrorCode::unavailable, fmt::format("write the truth of a picture: {}", std::strerror(errno))};
  }

 private:
  std::FILE* file_ = nullptr;
  std::uint64_t lines_ = 0;
};

class SimulatedCamera final : public pipeline::Source {
 public:
  SimulatedCamera(SimulatedCameraOptions options, const pipeline::Context& context)
      : options_(std::move(options)),
        stream_(context.stream),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        canvas_(options_.width, options_.height),
        film_(options_.seed),
        state_(State{make_scene(options_), {}}) {
    if (!context.add_method) return;
    context.add_method("fault", [this](const Json& parameters) { return set_fault(parameters); });
    context.add_method("truth", [this](const Json& parameters) { return tell_truth(parameters); });
  }

  Status open() override { return truth_.open(options_.truth); }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    const double step_s = 1 / options_.fps;
    const auto step_us = static_cast<std::int64_t>(step_s * 1e6);
    std::int64_t captured_us = clock_.now_us(), monotonic_us = clock_.monotonic_us();
    for (std::uint64_t picture = 0; options_.pictures == 0 || picture < options_.pictures; ++picture) {
      if (options_.is_paced) {
        if (!wait_until(monotonic_us, should_stop)) return Done{};
        // After a stall time goes on from now instead of racing after it.
        monotonic_us = std::max(monotonic_us, clock_.monotonic_us() - step_us);
        captured_us = clock_.now_us();
      } else if (should_stop()) {
        return Done{};
      }
      pipeline::Packet packet = next_picture(captured_us, picture == 0 ? 0 : step_s);
      packet.monotonic_us = options_.is_paced ? clock_.monotonic_us() : monotonic_us;
      VERGE_CHECK(truth_.write(state_.with([](const State& state) { return state.truth; })));
      emit(std::move(packet));
      captured_us += step_us;
      monotonic_us += step_us;
    }
    return Done{};
  }

  bool is_live() const override { return options_.is_paced; }

 private:
  struct State {
    std::unique_ptr<simulated::Scene> scene;
    Json truth;
  };

  pipeline::Packet next_picture(std::int64_t captured_us, double step_s) {
    auto frame = state_.with([&](State& state) {
      state.scene->advance(step_s);
      state.scene->paint(canvas_);
      state.truth = state.scene->truth();
      state.truth.update({{"stream", stream_}, {"picture", pictures_++}, {"captured_us", captured_us}});
      auto developed = film_.develop(canvas_, state.scene->light());
      developed->take = state.scene->take();
      return developed;
    });
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = std::move(frame);
    pipeline::Packet packet;
    packet.captured_us = captured_us;
    packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
    return packet;
  }

  bool wait_until(std::int64_t monotonic_us, const std::function<bool()>& should_stop) const {
    for (;;) {
      if (should_stop()) return false;
      const std::int64_t left_us = monotonic_us - clock_.monotonic_us();
      if (left_us <= 0) return true;
      std::this_thread::sleep_for(std::min<std::chrono::microseconds>(kStopCheck, std::chrono::microseconds(left_us)));
    }
  }

  pipeline::MethodReply set_fault(const Json& parameters) {
    return state_.with([&](State& state) -> pipeline::MethodReply {
      if (parameters.value("describe", false))
        return {200, {{"title", "Fault"}, {"parameters", state.scene->fault_description()}}};
      auto done = state.scene->set_fault(parameters);
      if (!done) return {http_status_of(done.error().code), {{"message", done.error().message}}};
      return {200, *std::move(done)};
    });
  }

  pipeline::MethodReply tell_truth(const Json& parameters) {
    if (parameters.value("describe", false))
      return {200, {{"title", "What the picture shows"}, {"parameters", Json::array()}}};
    return {200, state_.with([](const State& state) { return state.truth; })};
  }

  const SimulatedCameraOptions options_;
  const std::string stream_;
  const Clock& clock_;
  simulated::Canvas canvas_;
  simulated::Film film_;
  std::uint64_t pictures_ = 0;
  TruthFile truth_;
  Guarded<State> state_;
};

Result<std::unique_ptr<pipeline::Source>> make_from_options(const Json& given, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_word(given, "scene", {"shelf", "workpiece"}));
  VERGE_CHECK(pipeline::check_word(given, "stock", {simulated::kStocks.begin(), simulated::kStocks.end()}));
  VERGE_CHECK(pipeline::check_range(given, "width", 160, SimulatedCameraOptions::kSideMax));
  VERGE_CHECK(pipeline::check_range(given, "height", 120, SimulatedCameraOptions::kSideMax));
  VERGE_CHECK(pipeline::check_range(given, "fps", 0.001, 60));
  VERGE_CHECK(pipeline::check_range(given, "seed", 0, 1e9));
  VERGE_CHECK(pipeline::check_range(given, "pictures", 0, 1e9));
  VERGE_CHECK(pipeline::check_range(given, "defects", 0, 1));
  SimulatedCameraOptions options;
  options.is_shelf = given["scene"] == "shelf";
  options.seed = given["seed"].get<std::uint64_t>();
  options.width = given["width"].get<int>() / 2 * 2;
  options.height = given["height"].get<int>() / 2 * 2;
  options.fps = given["fps"].get<double>();
  options.is_paced = given["paced"].get<bool>();
  options.pictures = given["pictures"].get<std::uint64_t>();
  const auto* const stock = std::ranges::find(simulated::kStocks, given["stock"].get<std::string>());
  options.stock = static_cast<simulated::Stock>(stock - simulated::kStocks.begin());
  options.defects = given["defects"].get<double>();
  options.is_triggered = given["triggered"].get<bool>();
  if (const auto truth = given["truth"].get<std::string>(); !truth.empty()) options.truth = context.folder / truth;
  return make_simulated_camera(std::move(options), context);
}

}  // namespace

std::unique_ptr<pipeline::Source> make_simulated_camera(SimulatedCameraOptions options,
                                                        const pipeline::Context& context) {
  return std::make_unique<SimulatedCamera>(std::move(options), context);
}

pipeline::Kind<pipeline::Source> simulated_camera_kind() {
  const SimulatedCameraOptions fallback;
  return {.name = "simulated_camera",
          .where = "vision/simulated/simulated_camera.h",
          .summary = "A painted shelf or belt of workpieces instead of a camera, with faults to order.",
          .options = {{"scene", "text", "shelf, or workpiece.", nullptr, true},
                      {"seed", "integer", "Another seed, other goods, workpieces and noise.", fallback.seed},
                      {"width", "integer", "Pixels, 160..1920.", fallback.width},
                      {"height", "integer", "Pixels, 120..1920.", fallback.height},
                      {"fps", "number", "Pictures per second, 0.001..60.", fallback.fps},
                      {"paced", "flag", "In real time; false: as fast as the pipeline takes them.", fallback.is_paced},
                      {"pictures", "integer", "Ends after so many; 0: never.", fallback.pictures},
                      {"stock", "text", "Of the shelf: changing, full (a third to all of the goods) or empty.",
                       simulated::kStocks.front()},
                      {"defects", "number", "Share of workpieces with a defect, 0..1.", fallback.defects},
                      {"triggered", "flag", "One picture of each workpiece as it stands; false: the belt is filmed.",
                       fallback.is_triggered},
                      {"truth", "path", "A file for what each picture shows, one JSON object per line.", ""}},
          .make = make_from_options};
}

}  // namespace verge::vision
