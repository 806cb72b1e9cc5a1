// audio/conditioning/faults.h -- notices a microphone that gives nothing and one that is overdriven.
//
// Dead: the samples do not move (digital silence, or a converter stuck at one value) by more than one step of 16 bit.
// Clipping: runs of samples cut at the same height, at full scale or below (a stage before us may be what is
// overdriven). Both are debounced: a moment says nothing, and a fault is over only when it stayed away.
// Threads: one stream.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace verge::audio {

struct FaultOptions {
  double dead_s = 10;           ///< So long without movement: dead. 0: not looked for.
  double alive_s = 1;           ///< So long with movement: alive again.
  float clipped_share = 0.15F;  ///< Of the blocks of the last seconds that are cut: clipping.
  double clipping_s = 3;        ///< Those seconds.
};

enum class MicrophoneFault : std::uint8_t { dead, clipping };

struct FaultChange {
  MicrophoneFault fault = MicrophoneFault::dead;
  bool is_over = false;
  double lasted_s = 0;      ///< Until now.
  float stuck_at = 0;       ///< Dead: the value.
  float clipped_share = 0;  ///< Clipping: of the blocks.
};

/// How many samples lie in runs of three or more at the block's largest magnitude; 0 for quiet sound (below -26 dB).
std::size_t clipped_samples(std::span<const float> samples);
/// Largest minus smallest.
float range_of(std::span<const float> samples);
/// What a microphone that is alive exceeds: two steps of 16 bit.
constexpr float kDeadRange = 2.0F / 32'768;

class FaultWatch {
 public:
  FaultWatch(FaultOptions options, double block_s) : options_(options), block_s_(block_s) {}
  /// Looks at the next block, as the microphone gave it; tells each change once.
  void add(std::span<const float> samples, const std::function<void(const FaultChange&)>& tell);
  bool is_dead() const { return is_dead_; }
  bool is_clipping() const { return is_clipping_; }

 private:
  void watch_dead(std::span<const float> samples, const std::function<void(const FaultChange&)>& tell);
  void watch_clipping(std::span<const float> samples, const std::function<void(const FaultChange&)>& tell);

  const FaultOptions options_;
  const double block_s_;
  bool is_dead_ = false, is_clipping_ = false;
  double still_s_ = 0, moving_s_ = 0, dead_s_ = 0, clipping_s_ = 0;
  float clipped_share_ = 0;
};

}  // namespace verge::audio
