// connectors/camera/picture_decoder.h -- compressed pictures in, frames out; one decoder for films and cameras.
//
// Frames are lent by the pool of all cameras (frame_pool.h): yuv420, which cameras send, is never copied; other layouts
// are converted.
// JPEG goes the quicker way of jpeg_decoder.h where that can be gone.
// Work that nobody wants is left out: with fps_max a picture that is not due is not decoded when no other needs it, and
// never converted; with keyframes_only the others never are. The size may change from picture to picture.
// Threads: one at a time; decodes on the caller's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/camera/camera_counters.h"
#include "connectors/camera/even_pick.h"
#include "connectors/camera/jpeg_decoder.h"
#include "connectors/ffmpeg_library.h"
#include "pipeline/packet.h"

namespace verge::connectors {

/// Which pictures of a stream are wanted.
struct PictureWish {
  double fps_max = 0;           ///< Pictures per second, evenly; 0: all.
  bool keyframes_only = false;  ///< Only pictures that need no other; how often they come is the camera's choice.
};

/// When a compressed picture came in.
struct Arrival {
  std::int64_t captured_us = 0;   ///< Wall clock.
  std::int64_t monotonic_us = 0;  ///< Since boot.
};

/// A packet with a scene that holds only the picture.
pipeline::Packet scene_packet(std::shared_ptr<const pipeline::Frame> frame, const Arrival& arrival);

class PictureDecoder {
 public:
  static constexpr std::size_t kBrokenInARowMax = 100;  ///< More means that these are no pictures.
  struct Picture {
    std::shared_ptr<pipeline::Frame> frame;
    std::int64_t time_us = 0;  ///< By the stream's own clock, which may begin anywhere and jump.
    Arrival arrival;           ///< Of its packet.
  };
  struct Format {
    AVCodecID codec = AV_CODEC_ID_NONE;
    const AVCodecParameters* parameters = nullptr;  ///< Null for pictures that describe themselves (JPEG, PNG).
    AVRational time_base{1, 1'000'000};             ///< Of the packets' stamps.
    std::int64_t step_us = 40'000;                  ///< From picture to picture, where packets have no stamps.
    int raw_width = 0, raw_height = 0;              ///< Of AV_CODEC_ID_RAWVIDEO.
    AVPixelFormat raw_pixels = AV_PIX_FMT_NONE;
  };
  /// `counters` outlives the decoder. Errors: invalid_argument (no decoder for it), limit.
  static Result<std::unique_ptr<PictureDecoder>> open(const FfmpegLibrary& ffmpeg, const Format& format,
                                                      const PictureWish& wish, CameraCounters& counters);

  /// Takes a packet; null: there are no more. False when it was broken, which is counted. Call next() until it has
  /// nothing before the next put().
  bool put(const AVPacket* packet, const Arrival& arrival = {});
  /// The same for a packet that was counted as received when it came.
  bool decode(const AVPacket& packet, const Arrival& arrival);
  /// Whether the picture of this stamp is in the decoder and has not come out.
  bool is_pending(std::int64_t stamp) const;
  /// Whether the rate wants a picture of this packet's time.
  bool is_due(const AVPacket& packet) const;
  /// Packets were left out; what comes next is a key picture. What it still holds never comes; returns how many.
  std::size_t jump();
  bool is_intra_only() const { return is_intra_only_; }
  /// Takes one whole picture (JPEG, PNG, raw) with its time.
  bool put_whole(std::string_view bytes, std::int64_t time_us, const Arrival& arrival = {});
  /// The next wanted picture, or nothing: it needs more, or is_at_end(). Errors: corrupt (kBrokenInARowMax), limit (no
  /// memory), invalid_argument (pixels that cannot be converted).
  Result<std::optional<Picture>> next();
  bool is_at_end() const { return is_at_end_; }
  /// Forgets what it holds: the stream goes on somewhere else.
  void flush();

 private:
  struct Pending {
    std::int64_t stamp;
    Arrival arrival;
  };
  PictureDecoder(const FfmpegLibrary& ffmpeg, const Format& format, const PictureWish& wish, CameraCounters& counters)
      : ffmpeg_(ffmpeg), format_(format), wish_(wish), pick_(wish.fps_max), counters_(counters) {}

  Status prepare();
  bool has_to_be_decoded(const AVPacket& packet);
  std::int64_t time_of_stamp(std::int64_t stamp) const;
  std::int64_t time_of(const AVFrame& frame);
  Arrival settle(std::int64_t stamp);
  void count_broken();
  bool put_jpeg(const AVPacket& packet);
  void count_decoded();
  Picture shown(Picture picture);
  Result<std::shared_ptr<pipeline::Frame>> frame_of(FfmpegOwned<AVFrame> picture);
  Result<FfmpegOwned<AVFrame>> convert(const AVFrame& picture, AVPixelFormat target);

  const FfmpegLibrary& ffmpeg_;
  Format format_;
  const PictureWish wish_;
  EvenPick pick_;
  CameraCounters& counters_;
  FfmpegOwned<AVCodecContext> decoder_;
  FfmpegOwned<AVPacket> whole_;
  FfmpegOwned<SwsContext> scaler_;
  std::optional<JpegDecoder> jpeg_;  // Of motion JPEG.
  std::optional<Picture> ready_;     // What it gave, until next().
  bool is_intra_only_ = false, is_at_end_ = false;
  std::size_t broken_in_a_row_ = 0;
  std::vector<Pending> pending_;  // Given to the decoder, neither come out nor passed over.
  Arrival newest_;
  std::int64_t last_us_ = 0, packets_since_ = 0;  // For packets without stamps.
  bool has_last_ = false;
};

}  // namespace verge::connectors
