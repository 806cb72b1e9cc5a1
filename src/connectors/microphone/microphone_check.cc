#include "connectors/microphone/microphone_check.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

#include "pipeline/sound/audio_block.h"

namespace verge::connectors {
namespace {

constexpr double kDead_db = -90, kQuiet_db = -50, kNoisy_db = -35, kApart_db = 10;
constexpr double kClippedShareMax = 1e-4;
constexpr double kLeast_db = -120;

double decibels(double power) { return power <= 0 ? kLeast_db : std::max(kLeast_db, 10 * std::log10(power)); }

double mean_power(const float* samples, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += double{samples[i]} * samples[i];
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

class ListeningWatch final : public SoundWatch {
 public:
  ListeningWatch(const MicrophoneCheckOptions& options, const Clock& clock)
      : clock_(clock),
        begin_us_(clock.monotonic_us()),
        end_us_(begin_us_ + static_cast<std::int64_t>(options.patience_s * 1e6)),
        listen_us_(static_cast<std::int64_t>(options.seconds * 1e6)) {}

  bool has_to_end() const override { return clock_.monotonic_us() >= end_us_; }
  bool is_stopping() const override { return has_heard() && has_to_end(); }
  void hear() override {}
  std::int64_t monotonic_us() const override { return clock_.monotonic_us(); }
  MicrophoneCounters& counters() override { return counters_; }

  Status begin(int rate_hz, const std::string& note) override {
    report_.rate_hz = rate_hz;
    report_.note = note;
    samples_.clear();
    return Done{};
  }
  void put(const std::vector<float>& samples, std::size_t clipped, std::int64_t) override {
    if (samples.empty()) return;
    if (!has_heard()) {
      report_.first_sample_s = static_cast<double>(clock_.monotonic_us() - begin_us_) / 1e6;
      end_us_ = clock_.monotonic_us() + listen_us_;
    }
    // A sender may be faster than time.
    const auto wanted = static_cast<std::size_t>(static_cast<double>(listen_us_) / 1e6 * report_.rate_hz) + 1;
    const std::size_t room = wanted > samples_.size() ? wanted - samples_.size() : 0;
    samples_.insert(samples_.end(), samples.begin(),
                    samples.begin() + static_cast<std::ptrdiff_t>(std::min(room, samples.size())));
    clipped_ += room == 0 ? 0 : clipped;
  }
  void miss(std::uint64_t count) override { report_.missing += count; }
  void expect_hole() override {}

  bool has_heard() const { return !samples_.empty(); }
  MicrophoneReport report() const {
    MicrophoneReport report = report_;
    report.seconds = static_cast<double>(samples_.size()) / report.rate_hz;
    report.broken = counters_.broken.value();
    report.figures = figures_of(samples_, report.rate_hz, clipped_);
    return report;
  }

 private:
  const Clock& clock_;
  const std::int64_t begin_us_;
  std::int64_t end_us_;  // Of patience, then of listening.
  const std::int64_t listen_us_;
  Metrics metrics_;
  MicrophoneCounters counters_{metrics_, "check"};
  MicrophoneReport report_;
  std::vector<float> samples_;
  std::uint64_t clipped_ = 0;
};

}  // namespace

SoundFigures figures_of(const std::vector<float>& samples, int rate_hz, std::uint64_t clipped) {
  SoundFigures figures;
  if (samples.empty()) return figures;
  figures.level_db = decibels(mean_power(samples.data(), samples.size()));
  float peak = 0;
  for (const float sample : samples) peak = std::max(peak, std::abs(sample));
  figures.peak_db = decibels(double{peak} * peak);
  const auto count = static_cast<double>(samples.size());
  figures.offset = std::accumulate(samples.begin(), samples.end(), 0.0) / count;
  figures.clipped_share = static_cast<double>(clipped) / count;

  const std::size_t stretch = pipeline::block_samples(rate_hz);
  std::vector<double> powers;
  for (std::size_t at = 0; at + stretch <= samples.size(); at += stretch) {
    powers.push_back(mean_power(samples.data() + at, stretch));
  }
  if (powers.empty()) powers.push_back(mean_power(samples.data(), samples.size()));
  std::ranges::sort(powers);
  figures.floor_db = decibels(powers[powers.size() / 10]);
  figures.loud_db = decibels(powers[powers.size() - 1 - powers.size() / 10]);
  return figures;
}

SoundVerdict judge_sound(const SoundFigures& figures) {
  if (figures.peak_db < kDead_db) return SoundVerdict::dead;
  if (figures.clipped_share > kClippedShareMax) return SoundVerdict::loud;
  if (figures.loud_db < kQuiet_db) return SoundVerdict::quiet;
  if (figures.floor_db > kNoisy_db && figures.loud_db - figures.floor_db < kApart_db) return SoundVerdict::noisy;
  return SoundVerdict::good;
}

std::string_view name_of(SoundVerdict verdict) {
  constexpr std::string_view kNames[] = {"good", "dead", "quiet", "loud", "noisy"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::string_view advice_for(SoundVerdict verdict) {
  constexpr std::string_view kAdvice[] = {
      "It can be heard well.",
      "It is dead: samples come, but they hold no sound. Look at its mute switch, its plug and the chosen channel.",
      "It is too quiet: turn its gain up, or bring it nearer. If nobody spoke, speak and check again.",
      "It is too loud: parts are cut off. Turn its gain down.",
      "It hears a steady noise and nothing above it. If nobody spoke, speak and check again; else bring it nearer."};
  return kAdvice[static_cast<std::size_t>(verdict)];
}

Result<MicrophoneReport> check_microphone(const std::string& shown, SoundLink& link,
                                          const MicrophoneCheckOptions& options, const Clock& clock) {
  ListeningWatch watch(options, clock);
  Status ended = link.prepare();
  if (ended) ended = link.watch(watch);
  if (watch.has_heard()) return watch.report();
  if (ended) ended = Error{ErrorCode::unavailable, "it ended the stream before the first sample"};
  if (ended.error().code == ErrorCode::timeout) {
    ended = Error{ErrorCode::timeout, fmt::format("no sound came within {:.0f} s", options.patience_s)};
  }
  return std::move(ended).error().within("check microphone " + shown);
}

}  // namespace verge::connectors
