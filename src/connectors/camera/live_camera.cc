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

constexpr auto kLiveStopCheck = std::chrono::milliseconds(50);

class LiveCamera final : public pipeline::Source, private CameraWatch {
 public:
  LiveCamera(LiveCameraOptions options, std::unique_ptr<CameraLink> link, const pipeline::Context& context)
      : options_(std::move(options)),
        silence_us_(static_cast<std::int64_t>(options_.silence_s * 1e6)),
        link_(std::move(link)),
        stream_(context.stream),
        context_(context),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        counters_(*context.metrics, context.stream),
        retry_({"camera", options_.shown, stream_, "pictures come again"}, clock_, counters_.reconnects) {}

  Status open() override {
    // By now all stages have said whether they want clips.
    if (!recorder_ && options_.is_kept) recorder_ = CameraRecorder::make(context_, options_.record);
    return link_->prepare();
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    emit_ = &emit;
    should_stop_ = &should_stop;
    if (options_.is_only_kept && !recorder_) {
      while (!should_stop()) std::this_thread::sleep_for(kLiveStopCheck);
      return Done{};
    }
    VERGE_CHECK(retry_.run([this] { return watch_once(); }, should_stop, [this] { keep_recording(); }));
    if (recorder_) recorder_->finish();
    tell_evidence();
    return Done{};
  }

 private:
  Status watch_once() {
    hear();
    return link_->watch(*this);
  }

  void keep_recording() {
    if (recorder_) recorder_->tick(clock_.monotonic_us());
    tell_evidence();
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
    if (retry_.note_work()) {
      if (shown_before_) ++take_;
      shown_before_ = true;
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
  LiveRetry retry_;
  std::unique_ptr<CameraRecorder> recorder_;
  const pipeline::Emit* emit_ = nullptr;  // Both while run() is on the stack.
  const std::function<bool()>* should_stop_ = nullptr;
  std::int64_t heard_us_ = 0;
  bool shown_before_ = false;
  std::uint32_t take_ = 0;
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
