// connectors/microphone/sound_line.h -- what a microphone sends, as blocks at the pipeline's rate with true times.
//
// Mono samples of any rate go in as they come; blocks of 32 ms (pipeline/sound/audio_block.h) come out, each with the
// time of its first sample by stream_clock.h. Holes up to fill_s_max are filled with silence, so that what listens
// keeps its place; after a longer one the next block begins anew at its own time. Holes are counted exactly where the
// sender numbers its samples, else as long as the clock shows them. Times never go back. Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "connectors/microphone/microphone_counters.h"
#include "connectors/microphone/stream_clock.h"
#include "pipeline/sound/resampler.h"
#include "pipeline/stage.h"

namespace verge::connectors {

struct SoundLineOptions {
  int rate_hz = 16'000;   ///< Of the blocks.
  double fill_s_max = 2;  ///< Longer holes are left as such.
};

class SoundLine {
 public:
  /// Both outlive it.
  SoundLine(SoundLineOptions options, MicrophoneCounters& counters, const Clock& clock)
      : options_(options), counters_(counters), clock_(clock) {}

  /// A new connection; what was between the last one and its first samples counts as missing.
  /// Errors: those of Resampler::make.
  Status begin(int source_rate_hz);
  /// `now_us`: monotonic, when the last of them was complete. At least one.
  void put(const std::vector<float>& samples, std::int64_t now_us, const pipeline::Emit& emit);
  /// So many samples were lost before the next ones.
  void miss(std::uint64_t count) { known_missing_ += count; }
  /// Some were lost before the next ones; the clock shows how many.
  void expect_hole() { stream_->expect_hole(); }

 private:
  void count_pause(std::size_t count, std::int64_t now_us);
  void leave_hole(std::uint64_t count, std::size_t put_count, const pipeline::Emit& emit);
  void begin_blocks(std::int64_t index);
  void emit_blocks(const pipeline::Emit& emit);
  pipeline::Packet packet_of(std::vector<float> samples);

  const SoundLineOptions options_;
  MicrophoneCounters& counters_;
  const Clock& clock_;
  int source_rate_hz_ = 0;
  std::optional<StreamClock> stream_;
  std::optional<pipeline::Resampler> resampler_;
  std::vector<float> waiting_;    // Converted, not yet a block.
  std::int64_t first_index_ = 0;  // Of the source's samples: the first since the blocks began anew.
  std::int64_t emitted_ = 0;      // Samples in blocks since then.
  std::uint64_t known_missing_ = 0;
  std::int64_t last_end_us_ = 0;  // Of the last connection; 0: there was none.
  bool is_new_ = false;
  std::int64_t last_captured_us_ = 0, last_monotonic_us_ = 0;
};

}  // namespace verge::connectors
