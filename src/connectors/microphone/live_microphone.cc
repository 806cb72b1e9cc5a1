#include "connectors/microphone/live_microphone.h"

#include <fmt/format.h>

namespace verge::connectors {
namespace {

class LiveMicrophone final : public pipeline::Source, private SoundWatch {
 public:
  LiveMicrophone(LiveMicrophoneOptions options, std::unique_ptr<SoundLink> link, const pipeline::Context& context)
      : options_(std::move(options)),
        link_(std::move(link)),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        counters_(*context.metrics, context.stream),
        line_(options_.line, counters_, clock_),
        retry_({"microphone", options_.shown, context.stream, "sound comes again"}, clock_, counters_.reconnects) {}

  Status open() override { return link_->prepare(); }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    emit_ = &emit;
    should_stop_ = &should_stop;
    return retry_.run(
        [this] {
          hear();
          return link_->watch(*this);
        },
        should_stop);
  }

 private:
  bool has_to_end() const override {
    return is_stopping() || static_cast<double>(clock_.monotonic_us() - heard_us_) > options_.silence_s * 1e6;
  }
  bool is_stopping() const override { return (*should_stop_)(); }
  void hear() override { heard_us_ = clock_.monotonic_us(); }
  std::int64_t monotonic_us() const override { return clock_.monotonic_us(); }
  MicrophoneCounters& counters() override { return counters_; }
  Status begin(int rate_hz, const std::string&) override { return line_.begin(rate_hz); }
  void put(const std::vector<float>& samples, std::size_t clipped, std::int64_t now_us) override {
    hear();
    if (samples.empty()) return;
    retry_.note_work();
    counters_.clipped.add(clipped);
    line_.put(samples, now_us, *emit_);
  }
  void miss(std::uint64_t count) override { line_.miss(count); }
  void expect_hole() override { line_.expect_hole(); }

  const LiveMicrophoneOptions options_;
  const std::unique_ptr<SoundLink> link_;
  const Clock& clock_;
  MicrophoneCounters counters_;
  SoundLine line_;
  LiveRetry retry_;
  const pipeline::Emit* emit_ = nullptr;  // Both while run() is on the stack.
  const std::function<bool()>* should_stop_ = nullptr;
  std::int64_t heard_us_ = 0;
};

}  // namespace

std::string sound_note(std::string_view coding, int channels) {
  return fmt::format("{}, {} channel{}", coding, channels, channels == 1 ? "" : "s");
}

Status silence_error(const SoundWatch& watch) {
  if (watch.is_stopping()) return Done{};
  return Error{ErrorCode::timeout, "nothing came for too long (silence_s)"};
}

std::unique_ptr<pipeline::Source> make_live_microphone(LiveMicrophoneOptions options, std::unique_ptr<SoundLink> link,
                                                       const pipeline::Context& context) {
  return std::make_unique<LiveMicrophone>(std::move(options), std::move(link), context);
}

}  // namespace verge::connectors
