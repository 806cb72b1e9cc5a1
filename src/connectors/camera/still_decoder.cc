#include "connectors/camera/still_decoder.h"

#include <utility>

namespace verge::connectors {
namespace {

bool is_key_picture(const AVPacket& packet) { return (packet.flags & AV_PKT_FLAG_KEY) != 0; }

}  // namespace

StillDecoder::StillDecoder(const FfmpegLibrary& ffmpeg, std::unique_ptr<PictureDecoder> decoder,
                           const PictureWish& wish, StillWish still, CameraCounters& counters)
    : ffmpeg_(ffmpeg),
      decoder_(std::move(decoder)),
      wish_(std::move(still)),
      counters_(counters),
      may_rest_(wish_.is_resting && wish_.stillness && !wish.keyframes_only && !decoder_->is_intra_only()) {}

void StillDecoder::put(const AVPacket& packet, const Arrival& arrival) {
  if (!may_rest_) {
    decoder_->put(&packet, arrival);
    return;
  }
  counters_.received.add();
  follow(packet, arrival.monotonic_us);
  if (is_resting_ && is_key_picture(packet)) leave_out();
  if (!is_resting_ && held_.empty()) {
    decode(packet, arrival);
  } else {
    hold(packet, arrival);
  }
}

/// Rest or not, by what the stages say and by the packet's size.
void StillDecoder::follow(const AVPacket& packet, std::int64_t now_us) {
  if (!woken_us_) woken_us_ = now_us;
  newest_us_ = now_us;
  word_ = wish_.stillness->word();
  const bool is_key = is_key_picture(packet);
  if (is_key) sizes_.begin_group();
  const bool has_grown = !is_key && sizes_.put(static_cast<std::size_t>(packet.size));
  if (is_resting_ && (has_grown || !word_.is_still)) {
    is_resting_ = false;
    woken_us_ = now_us;
    (word_.is_still ? counters_.woken_by_size : counters_.woken_by_picture).add();
    return;
  }
  // After an alarm by size the stages have to look first: until then the sizes may be those of motion.
  if (is_key || !word_.is_still || word_.judged_us < *woken_us_) return;
  sizes_.learn();
  is_resting_ = is_resting_ || (sizes_.knows() && !has_grown && held_.empty());
}

void StillDecoder::hold(const AVPacket& packet, const Arrival& arrival) {
  auto copy = own(ffmpeg_, ffmpeg_.av_packet_clone(&packet));
  if (!copy) {  // No memory for a few bytes.
    counters_.skipped.add();
    return;
  }
  held_bytes_ += static_cast<std::size_t>(packet.size);
  held_.push_back({std::move(copy), arrival});
}

Result<std::optional<PictureDecoder::Picture>> StillDecoder::next() {
  for (;;) {
    VERGE_TRY(auto picture, decoder_->next());
    if (picture || held_.empty() || !has_to_decode()) return picture;
    decode_first();
  }
}

bool StillDecoder::has_to_decode() const {
  if (held_bytes_ > kHeldBytesMax || held_.size() > kHeldPacketsMax) return true;
  const AVPacket& first = *held_.front().packet;
  if (is_resting_) {
    if (is_key_picture(first) && decoder_->is_due(first)) return true;
    // Where pictures are shown in another order than they come, a key picture comes out by what follows it.
    if (key_stamp_ != AV_NOPTS_VALUE && decoder_->is_pending(key_stamp_)) return true;
    if (newest_us_ < word_.needed_by_us) return false;
  }
  return !wish_.has_room || wish_.has_room();
}

void StillDecoder::decode_first() {
  const Held first = std::move(held_.front());
  held_.pop_front();
  held_bytes_ -= static_cast<std::size_t>(first.packet->size);
  decode(*first.packet, first.arrival);
}

void StillDecoder::decode(const AVPacket& packet, const Arrival& arrival) {
  if (is_key_picture(packet)) key_stamp_ = packet.pts;
  decoder_->decode(packet, arrival);
}

/// What is held is not needed: a key picture follows, or nothing does.
void StillDecoder::leave_out() {
  if (held_.empty()) return;
  counters_.still.add(held_.size() + decoder_->jump());
  held_.clear();
  held_bytes_ = 0;
}

}  // namespace verge::connectors
