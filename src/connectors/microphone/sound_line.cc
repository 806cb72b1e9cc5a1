#include "connectors/microphone/sound_line.h"

#include <algorithm>
#include <utility>

#include "pipeline/sound/audio_block.h"

namespace verge::connectors {

Status SoundLine::begin(int source_rate_hz) {
  VERGE_TRY(resampler_, pipeline::Resampler::make(source_rate_hz, options_.rate_hz));
  if (stream_ && stream_->count() > 0) last_end_us_ = stream_->time_us(stream_->count());
  source_rate_hz_ = source_rate_hz;
  stream_.emplace(source_rate_hz);
  known_missing_ = 0;
  is_new_ = true;
  begin_blocks(0);
  return Done{};
}

void SoundLine::put(const std::vector<float>& samples, std::int64_t now_us, const pipeline::Emit& emit) {
  counters_.received.add(samples.size());
  if (std::exchange(is_new_, false)) count_pause(samples.size(), now_us);
  if (known_missing_ > 0) leave_hole(std::exchange(known_missing_, 0), 0, emit);
  const auto missing = stream_->put(static_cast<std::int64_t>(samples.size()), now_us);
  if (missing > 0) leave_hole(static_cast<std::uint64_t>(missing), samples.size(), emit);
  resampler_->put(samples.data(), samples.size(), waiting_);
  emit_blocks(emit);
  if (const auto drift = stream_->drift_ppm()) counters_.drift_ppm.set(*drift);
}

void SoundLine::count_pause(std::size_t count, std::int64_t now_us) {
  if (last_end_us_ == 0) return;
  const double begin_us = static_cast<double>(now_us) - static_cast<double>(count) * 1e6 / source_rate_hz_;
  const double pause_us = std::max(0.0, begin_us - static_cast<double>(last_end_us_));
  const auto missing = static_cast<std::uint64_t>(pause_us * source_rate_hz_ / 1e6);
  counters_.gaps.add(missing > 0 ? 1 : 0);
  counters_.missing.add(missing);
}

/// put_count: samples that the clock has counted already and that come after the hole.
void SoundLine::leave_hole(std::uint64_t count, std::size_t put_count, const pipeline::Emit& emit) {
  counters_.gaps.add();
  counters_.missing.add(count);
  stream_->skip(static_cast<std::int64_t>(count));
  if (static_cast<double>(count) > options_.fill_s_max * source_rate_hz_) {
    begin_blocks(stream_->count() - static_cast<std::int64_t>(put_count));
    return;
  }
  counters_.filled.add(count);
  const std::vector<float> silence(count, 0.0F);
  resampler_->put(silence.data(), silence.size(), waiting_);
  emit_blocks(emit);
}

void SoundLine::begin_blocks(std::int64_t index) {
  first_index_ = index;
  emitted_ = 0;
  waiting_.clear();
  resampler_->restart();
}

void SoundLine::emit_blocks(const pipeline::Emit& emit) {
  const std::size_t block = pipeline::block_samples(options_.rate_hz);
  std::size_t used = 0;
  for (; waiting_.size() - used >= block; used += block) {
    const auto begin = waiting_.begin() + static_cast<std::ptrdiff_t>(used);
    emit(packet_of({begin, begin + static_cast<std::ptrdiff_t>(block)}));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(used));
}

pipeline::Packet SoundLine::packet_of(std::vector<float> samples) {
  const std::int64_t index = first_index_ + emitted_ * source_rate_hz_ / options_.rate_hz;
  const std::int64_t ago_us = clock_.monotonic_us() - stream_->time_us(index);
  emitted_ += static_cast<std::int64_t>(samples.size());
  last_captured_us_ = std::max(last_captured_us_ + 1, clock_.now_us() - ago_us);
  last_monotonic_us_ = std::max(last_monotonic_us_ + 1, clock_.monotonic_us() - ago_us);
  pipeline::Packet packet;
  packet.captured_us = last_captured_us_;
  packet.monotonic_us = last_monotonic_us_;
  packet.payload = pipeline::make_audio_block(options_.rate_hz, std::move(samples));
  return packet;
}

}  // namespace verge::connectors
