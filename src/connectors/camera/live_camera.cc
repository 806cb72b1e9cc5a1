#include "connectors/camera/live_camera.h"

#include <algorithm>
#include <fmt/format.h>
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
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        counters_(*context.metrics, context.stream) {}

  Status open() override { return link_->prepare(); }

  /// Comes back with an error once or twice per outage, so that everybody sees it, and goes on trying when called
  /// again.
  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    emit_ = &emit;
    should_stop_ = &should_stop;
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

  void wait_until(std::int64_t monotonic_us) const {
    while (!is_stopping() && clock_.monotonic_us() < monotonic_us) std::this_thread::sleep_for(kLiveStopCheck);
  }

  bool has_to_end() const override { return is_stopping() || clock_.monotonic_us() - heard_us_ > silence_us_; }
  bool is_stopping() const override { return (*should_stop_)(); }
  void hear() override { heard_us_ = clock_.monotonic_us(); }
  Arrival now() const override { return {clock_.now_us(), clock_.monotonic_us()}; }
  CameraCounters& counters() override { return counters_; }

  void show(std::shared_ptr<pipeline::Frame> frame, const Arrival& arrival) override {
    if (!has_shown_) {
      if (shown_before_) ++take_;
      if (reports_ > 0) log_info("camera", "pictures come again", {{"source", stream_}, {"camera", options_.shown}});
      has_shown_ = shown_before_ = true;
      reports_ = 0;
      reported_.clear();
    }
    frame->take = take_;
    last_.captured_us = std::max(last_.captured_us + 1, arrival.captured_us);
    last_.monotonic_us = std::max(last_.monotonic_us + 1, arrival.monotonic_us);
    (*emit_)(scene_packet(std::move(frame), last_));
  }

  const LiveCameraOptions options_;
  const std::int64_t silence_us_;
  const std::unique_ptr<CameraLink> link_;
  const std::string stream_;
  const Clock& clock_;
  CameraCounters counters_;
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

}  // namespace

std::unique_ptr<pipeline::Source> make_live_camera(LiveCameraOptions options, std::unique_ptr<CameraLink> link,
                                                   const pipeline::Context& context) {
  return std::make_unique<LiveCamera>(std::move(options), std::move(link), context);
}

}  // namespace verge::connectors
