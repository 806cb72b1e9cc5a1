#include "audio/speech/voice_segmenter.h"

#include <algorithm>
#include <cmath>

namespace verge::audio {

VoiceSegmenter::VoiceSegmenter(SegmenterOptions options, int rate_hz, std::size_t block_samples)
    : options_(options), rate_hz_(rate_hz), block_samples_(block_samples) {}

std::int64_t VoiceSegmenter::blocks_in(double seconds) const {
  return static_cast<std::int64_t>(std::ceil(seconds * rate_hz_ / static_cast<double>(block_samples_)));
}

std::optional<Utterance> VoiceSegmenter::add(std::span<const float> samples, float probability) {
  blocks_.push_back({{samples.begin(), samples.end()}, probability});
  const std::int64_t block = next_block_++;

  if (!begin_block_) {
    if (probability < options_.begin_probability) {
      forget_before(next_block_ - blocks_in(options_.pad_s));
      return std::nullopt;
    }
    begin_block_ = block;
  }
  if (probability >= options_.end_probability) last_speech_block_ = block;

  const std::int64_t quiet = block - last_speech_block_;
  if (quiet >= blocks_in(std::max(options_.silence_s, options_.join_s)))
    return cut(*begin_block_, last_speech_block_ + 1);
  const std::int64_t length_max = blocks_in(options_.length_s_max - 2 * options_.pad_s);
  if (next_block_ - *begin_block_ >= length_max) {
    return cut(*begin_block_, least_speech_block(*begin_block_ + length_max / 2, next_block_));
  }
  return std::nullopt;
}

std::optional<Utterance> VoiceSegmenter::flush() {
  if (!begin_block_) return std::nullopt;
  return cut(*begin_block_, last_speech_block_ + 1);
}

std::optional<Utterance> VoiceSegmenter::cut(std::int64_t begin_block, std::int64_t end_block) {
  // After a cut for length speech goes on in the very next block; what lies on both sides of it is heard once.
  const bool goes_on = end_block <= last_speech_block_;
  const std::int64_t pad = blocks_in(options_.pad_s);
  const std::int64_t from = std::max(first_block_, begin_block - pad);
  const std::int64_t to = goes_on ? end_block : std::min(next_block_, end_block + pad);

  std::optional<Utterance> utterance;
  if (end_block - begin_block >= blocks_in(options_.speech_s_min)) {
    utterance.emplace();
    utterance->begin_sample = from * static_cast<std::int64_t>(block_samples_);
    double sum = 0;
    for (std::int64_t block = from; block < to; ++block) {
      const auto& kept = blocks_[static_cast<std::size_t>(block - first_block_)];
      utterance->samples.insert(utterance->samples.end(), kept.samples.begin(), kept.samples.end());
      if (block >= begin_block && block < end_block) sum += kept.probability;
    }
    utterance->probability = static_cast<float>(sum / static_cast<double>(end_block - begin_block));
  }

  begin_block_ = goes_on ? std::optional(end_block) : std::nullopt;
  forget_before(goes_on ? end_block : next_block_ - pad);
  return utterance;
}

std::int64_t VoiceSegmenter::least_speech_block(std::int64_t from, std::int64_t to) const {
  std::int64_t least = from;
  for (std::int64_t block = from; block < to; ++block) {
    if (blocks_[static_cast<std::size_t>(block - first_block_)].probability <
        blocks_[static_cast<std::size_t>(least - first_block_)].probability) {
      least = block;
    }
  }
  return least;
}

void VoiceSegmenter::forget_before(std::int64_t block) {
  while (first_block_ < block && !blocks_.empty()) {
    blocks_.pop_front();
    ++first_block_;
  }
}

}  // namespace verge::audio
