// audio/speech/voice_segmenter.h -- cuts utterances out of a stream of sound, from per-block speech probabilities.
//
// Hysteresis: speech begins at `begin_probability`, ends after `silence_s` below end_probability. Neighbours closer
// than join_s are one utterance while it stays below length_s_max (a recogniser does better on one long piece than on
// two short ones); a longer one is cut at its least speech-like block in the second half, without overlap, so that no
// word is heard twice. Padding by pad_s of real sound at both ends. Threads: one stream; a pure state machine.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace verge::audio {

struct SegmenterOptions {
  float begin_probability = 0.5F;  ///< 0..1
  float end_probability = 0.35F;   ///< 0..1, below begin_probability.
  double silence_s = 0.3;          ///< So much non-speech ends an utterance.
  double join_s = 0.6;             ///< Pauses up to this stay inside; it also delays every result by this much.
  double speech_s_min = 0.25;      ///< Shorter ones are dropped.
  double pad_s = 0.2;
  double length_s_max = 12;  ///< 2..30
};

struct Utterance {
  std::int64_t begin_sample = 0;  ///< Counted from the stream's first sample.
  std::vector<float> samples;
  float probability = 0;  ///< Mean over its blocks.
};

class VoiceSegmenter {
 public:
  VoiceSegmenter(SegmenterOptions options, int rate_hz, std::size_t block_samples);

  /// Takes the next block with its speech probability; returns an utterance when one is complete.
  std::optional<Utterance> add(std::span<const float> samples, float probability);
  /// The end of the stream: what is still open.
  std::optional<Utterance> flush();
  bool is_speaking() const { return begin_block_.has_value(); }

 private:
  struct Block {
    std::vector<float> samples;
    float probability = 0;
  };
  std::optional<Utterance> cut(std::int64_t begin_block, std::int64_t end_block);
  std::int64_t least_speech_block(std::int64_t from, std::int64_t to) const;
  void forget_before(std::int64_t block);
  std::int64_t blocks_in(double seconds) const;

  const SegmenterOptions options_;
  const int rate_hz_;
  const std::size_t block_samples_;
  std::deque<Block> blocks_;      ///< Kept sound: pre-roll and the open utterance.
  std::int64_t first_block_ = 0;  ///< Index of blocks_.front().
  std::int64_t next_block_ = 0;
  std::optional<std::int64_t> begin_block_;
  std::int64_t last_speech_block_ = 0;
};

}  // namespace verge::audio
