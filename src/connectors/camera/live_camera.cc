#include "connectors/camera/live_camera.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <limits>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace verge::connectors {
namespace {

using std::chrono::milliseconds;

constexpr auto kLiveStopCheck = milliseconds(50);
constexpr int kReportsMax = 2;  // Of one outage to the executor, which waits longer after each.

class LiveCamera final : public pipeline::Source, private CameraWatch {
 public:
  LiveCamera(LiveCameraOptions options, std::unique_ptr<CameraLink> link, const pipeline::Context& context)
      : options_(std::move(options)),
        silence_us_(static_cast<std::int64_t>(options_.silence_s * 1e6)),
        link_(std::move(link)),
        stream_(context.stream),
        context_(context),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        counters_(*context.metrics, context.stream) {}

  Status open() override {
    // By now all stages have said whether they want clips.
    if (!recorder_ && options_.is_kept) recorder_ = CameraRecorder::make(context_, options_.record);
    return link_->prepare();
  }

  /// Comes back with an error once or twice per outage, so that everybody sees it, and goes on trying when called
  /// again.
  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    emit_ = &emit;
    should_stop_ = &should_stop;
    if (options_.is_only_kept && !recorder_) {
      wait_until(std::numeric_limits<std::int64_t>::max());
      return Done{};
    }
    while (!should_stop()) {
      const Error ending = connect_once();
      if (should_stop()) break;
      if (ending.message != reported_ && reports_ < kReportsMax) {
        ++reports_;
        reported_ = ending.message;
        return ending;
      }
      if (ending.message != reported_) log_warning("camera", ending.message, {{"source", stream_}});
      reported_ = ending.message;
    }
    if (recorder_) recorder_->finish();
    tell_evidence();
    return Done{};
  }

 private:
  /// Connects, shows what comes, and says why it ended.
  Error connect_once() {
    // The executor may have waited a little since the last attempt: that counts.
    wait_until(again_at_us_);
    has_shown_ = false;
    hear();
    Status ended = link_->watch(*this);
    if (is_stopping()) return {};
    Error error = ended ? Error{ErrorCode::unavailable, "it ended the stream"} : std::move(ended).error();
    const bool is_refused = error.code == ErrorCode::invalid_argument;
    if (has_shown_) delay_ = kAgainMin;
    again_at_us_ = clock_.monotonic_us() + 1000 * (is_refused ? kRefusedDelay : delay_).count();
    delay_ = std::min(delay_ * 2, kAgainMax);
    counters_.reconnects.add();
    // Trying again mends what the executor would take for final.
    error.code = error.code == ErrorCode::timeout ? ErrorCode::timeout : ErrorCode::unavailable;
    return std::move(error).within("camera " + options_.shown);
  }

  void wait_until(std::int64_t monotonic_us) {
    while (!is_stopping() && clock_.monotonic_us() < monotonic_us) {
      std::this_thread::sleep_for(kLiveStopCheck);
      if (recorder_) recorder_->tick(clock_.monotonic_us());
      tell_evidence();
    }
  }

  bool has_to_end() const override { return is_stopping() || clock_.monotonic_us() - heard_us_ > silence_us_; }
  bool is_stopping() const override { return (*should_stop_)(); }
  void hear() override {
    heard_us_ = clock_.monotonic_us();
    tell_evidence();
  }
  Arrival now() const override { return {clock_.now_us(), clock_.monotonic_us()}; }
  CameraCounters& counters() override { return counters_; }
  CameraRecorder* recorder() override { return recorder_.get(); }

  void tell_evidence() {
    if (!recorder_) return;
    for (contract::Event& event : recorder_->take_events()) (*emit_)(evidence_packet(std::move(event)));
  }

  void show(std::shared_ptr<pipeline::Frame> frame, const Arrival& arrival) override {
    if (!has_shown_) {
      if (shown_before_) ++take_;
      if (reports_ > 0) log_info("camera", "pictures come again", {{"source", stream_}, {"camera", options_.shown}});
      has_shown_ = shown_before_ = true;
      reports_ = 0;
      reported_.clear();
    }
    if (recorder_) recorder_->note_size(frame->width, frame->height);
    frame->take = take_;
    last_.captured_us = std::max(last_.captured_us + 1, arrival.captured_us);
    last_.monotonic_us = std::max(last_.monotonic_us + 1, arrival.monotonic_us);
    (*emit_)(scene_packet(std::move(frame), last_));
  }

  const LiveCameraOptions options_;
  const std::int64_t silence_us_;
  const std::unique_ptr<CameraLink> link_;
  const std::string stream_;
  const pipeline::Context context_;
  const Clock& clock_;
  CameraCounters counters_;
  std::unique_ptr<CameraRecorder> recorder_;
  const pipeline::Emit* emit_ = nullptr;  // Both while run() is on the stack.
  const std::function<bool()>* should_stop_ = nullptr;
  std::int64_t heard_us_ = 0, again_at_us_ = 0;
  milliseconds delay_ = kAgainMin;
  bool has_shown_ = false, shown_before_ = false;  // A picture: on this connection, on any.
  std::uint32_t take_ = 0;
  int reports_ = 0;
  std::string reported_;
  Arrival last_;
};

class KeptStream final : public pipeline::Source {
 public:
  KeptStream(std::unique_ptr<pipeline::Source> source, std::unique_ptr<pipeline::Source> kept)
      : source_(std::move(source)), kept_(std::move(kept)) {}

  Status open() override {
    VERGE_CHECK(kept_->open());
    return source_->open();
  }
  bool is_live() const override { return source_->is_live(); }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    std::mutex mutex;
    const pipeline::Emit one_at_a_time = [&](pipeline::Packet packet) {
      const std::lock_guard lock(mutex);
      emit(std::move(packet));
    };
    std::atomic<bool> has_ended{false};
    std::thread keeping([&] {
      const auto is_over = [&] { return has_ended || should_stop(); };
      while (!is_over()) {
        if (auto ran = kept_->run(one_at_a_time, is_over); !ran) log_error("camera", ran.error());
      }
    });
    Status ended = source_->run(one_at_a_time, should_stop);
    has_ended = true;
    keeping.join();
    return ended;
  }

 private:
  const std::unique_ptr<pipeline::Source> source_, kept_;
};

}  // namespace

std::unique_ptr<pipeline::Source> with_kept_stream(std::unique_ptr<pipeline::Source> source,
                                                   std::unique_ptr<pipeline::Source> kept) {
  return std::make_unique<KeptStream>(std::move(source), std::move(kept));
}

std::unique_ptr<pipeline::Source> make_live_camera(LiveCameraOptions options, std::unique_ptr<CameraLink> link,
                                                   const pipeline::Context& context) {
  return std::make_unique<LiveCamera>(std::move(options), std::move(link), context);
}

}  // namespace verge::connectors
