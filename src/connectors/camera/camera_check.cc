#include "connectors/camera/camera_check.h"

#include <fmt/format.h>

#include "connectors/camera/http_camera.h"
#include "connectors/camera/live_camera.h"
#include "connectors/camera/onvif_camera.h"
#include "connectors/camera/rtsp_camera.h"
#include "connectors/camera/v4l2_camera.h"

namespace verge::connectors {
namespace {

class CheckWatch final : public CameraWatch {
 public:
  CheckWatch(const CameraCheckOptions& options, const Clock& clock)
      : clock_(clock),
        begin_us_(clock.monotonic_us()),
        end_us_(begin_us_ + static_cast<std::int64_t>(options.patience_s * 1e6)),
        look_us_(static_cast<std::int64_t>(options.seconds * 1e6)) {}

  bool has_to_end() const override { return clock_.monotonic_us() >= end_us_; }
  bool is_stopping() const override { return report_.frame != nullptr && has_to_end(); }
  void hear() override {}
  Arrival now() const override { return {clock_.now_us(), clock_.monotonic_us()}; }
  CameraCounters& counters() override { return counters_; }
  void note_codec(const char* name) override { report_.codec = name; }

  void note_picture(bool is_key, const Arrival& arrival) override {
    if (report_.pictures++ == 0) first_us_ = arrival.monotonic_us;
    last_us_ = arrival.monotonic_us;
    if (!is_key) return;
    if (keys_++ == 0) first_key_us_ = arrival.monotonic_us;
    last_key_us_ = arrival.monotonic_us;
  }

  void show(std::shared_ptr<pipeline::Frame> frame, const Arrival&) override {
    if (report_.frame == nullptr) {
      report_.first_picture_s = seconds_between(begin_us_, clock_.monotonic_us());
      end_us_ = clock_.monotonic_us() + look_us_;
    }
    report_.frame = std::move(frame);
  }

  CameraReport report() const {
    CameraReport report = report_;
    report.width = report.frame->width;
    report.height = report.frame->height;
    report.broken = counters_.broken.value();
    if (report.pictures > 1 && last_us_ > first_us_) {
      report.fps = static_cast<double>(report.pictures - 1) / seconds_between(first_us_, last_us_);
    }
    if (keys_ > 1) report.key_every_s = seconds_between(first_key_us_, last_key_us_) / static_cast<double>(keys_ - 1);
    return report;
  }
  bool has_seen() const { return report_.frame != nullptr; }

 private:
  static double seconds_between(std::int64_t from_us, std::int64_t to_us) {
    return static_cast<double>(to_us - from_us) / 1e6;
  }

  const Clock& clock_;
  const std::int64_t begin_us_;
  std::int64_t end_us_;  ///< Of patience, then of looking.
  const std::int64_t look_us_;
  Metrics metrics_;
  CameraCounters counters_{metrics_, "check"};
  CameraReport report_;
  std::int64_t first_us_ = 0, last_us_ = 0, first_key_us_ = 0, last_key_us_ = 0;
  std::uint64_t keys_ = 0;
};

Result<std::unique_ptr<CameraLink>> link_to(const CameraUrl& url, const CameraCheckOptions& options,
                                            const Clock& clock) {
  switch (url.sort) {
    case CameraSort::rtsp:
      return make_rtsp_link({url.url, {}, options.is_udp, false, options.trust});
    case CameraSort::onvif: {
      VERGE_TRY(auto address, read_onvif_address(url.url));
      return make_onvif_link({std::move(address), OnvifUse::analysed, {{}, {}, options.is_udp, false, options.trust}},
                             onvif_world(clock));
    }
    case CameraSort::http:
      return make_http_link({url.url, {}, options.trust});
    case CameraSort::device: {
      V4l2Options device;
      device.path = url.url;
      return make_v4l2_link(std::move(device), make_video_device());
    }
    case CameraSort::path:
      break;
  }
  return Error{ErrorCode::invalid_argument,
               "a path is no camera; give rtsp://, rtsps://, onvif://, http://, https:// or /dev/videoN"};
}

}  // namespace

Result<CameraReport> check_camera(const CameraUrl& url, const CameraCheckOptions& options, const Clock& clock) {
  const std::string doing = "check camera " + url.shown;
  auto link = link_to(url, options, clock);
  if (!link) return std::move(link).error().within(doing);
  CheckWatch watch(options, clock);
  Status ended = (*link)->prepare();
  if (ended) ended = (*link)->watch(watch);
  if (watch.has_seen()) return watch.report();
  if (ended) ended = Error{ErrorCode::unavailable, "it ended the stream before the first picture"};
  if (ended.error().code == ErrorCode::timeout) {
    ended = Error{ErrorCode::timeout, fmt::format("no picture came within {:.0f} s", options.patience_s)};
  }
  return std::move(ended).error().within(doing);
}

}  // namespace verge::connectors
