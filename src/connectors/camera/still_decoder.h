// connectors/camera/still_decoder.h -- decodes only the key pictures of a stream while nothing moves in it, and catches
// up when something does.
//
// What the stages at the camera say (pipeline/stillness.h) rules. While all of them say that nothing moves, packets
// after a key picture are held, compressed. Everything is decoded again, what is held first and in its order, as soon
// as
//   - a stage says that something moves: it saw that in a key picture, whose successors are held;
//   - packets have grown (packet_sizes.h): what moves then is held from its beginning;
//   - a stage needs a picture before the next key picture comes: then what is held is decoded, and all rests again.
// With the next key picture what is held is left out for good, counted as `still`. So what begins and ends between two
// key pictures, and is too small to make packets grow, is not seen; nor is the beginning of what packets do not tell.
//
// Pictures that are caught up come at the pace at which the pipeline has room, so that none is lost by their haste,
// with the times of their arrival; meanwhile what comes is held behind them. When more is held than kHeldBytesMax or
// kHeldPacketsMax it is decoded, whatever else.
// Streams of pictures that need no others (JPEG) pass as they are. Threads: one at a time.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "connectors/camera/packet_sizes.h"
#include "connectors/camera/picture_decoder.h"
#include "pipeline/stillness.h"

namespace verge::connectors {

/// What decides over rest; all from the camera's context.
struct StillWish {
  bool is_resting = false;                                 ///< False: everything is decoded at once.
  std::shared_ptr<const pipeline::Stillness> stillness{};  ///< Null: as false.
  std::function<bool()> has_room{};                        ///< Null: always.
};

class StillDecoder {
 public:
  static constexpr std::size_t kHeldBytesMax = 8U << 20U;  ///< 16 s of 4 Mbit/s; what is still is far smaller.
  static constexpr std::size_t kHeldPacketsMax = 1024;

  StillDecoder(const FfmpegLibrary& ffmpeg, std::unique_ptr<PictureDecoder> decoder, const PictureWish& wish,
               StillWish still, CameraCounters& counters);
  ~StillDecoder() { leave_out(); }
  StillDecoder(const StillDecoder&) = delete;
  StillDecoder& operator=(const StillDecoder&) = delete;

  /// Call next() until it has nothing before the next put().
  void put(const AVPacket& packet, const Arrival& arrival);
  /// The next wanted picture, or nothing: it needs more, rests, or waits for room. Errors: as PictureDecoder::next.
  Result<std::optional<PictureDecoder::Picture>> next();
  bool is_resting() const { return is_resting_; }

 private:
  struct Held {
    FfmpegOwned<AVPacket> packet;
    Arrival arrival;
  };

  void follow(const AVPacket& packet, std::int64_t now_us);
  void hold(const AVPacket& packet, const Arrival& arrival);
  bool has_to_decode() const;
  void decode_first();
  void decode(const AVPacket& packet, const Arrival& arrival);
  void leave_out();

  const FfmpegLibrary& ffmpeg_;
  const std::unique_ptr<PictureDecoder> decoder_;
  const StillWish wish_;
  CameraCounters& counters_;
  const bool may_rest_;
  PacketSizes sizes_;
  pipeline::StillWord word_;
  bool is_resting_ = false;
  std::optional<std::int64_t> woken_us_;  ///< The word counts when what came after that was looked at.
  std::int64_t newest_us_ = 0;
  std::int64_t key_stamp_ = AV_NOPTS_VALUE;  ///< Of the newest key picture that was given to the decoder.
  std::deque<Held> held_;                    ///< Follows what was decoded last, or begins with a key picture.
  std::size_t held_bytes_ = 0;
};

}  // namespace verge::connectors
