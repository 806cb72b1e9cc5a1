// connectors/camera/camera_recorder.h -- what a camera sends, kept as it came: a ring for clips, and a recording.
//
// The source hands every compressed picture over; a clip is a part of the ring and what follows it, written by the
// keeper's thread when its last second is there. A clip ends early when the camera goes, changes its format, or when
// the clip grows over kClipBytesMax. A recording is cut into segments, at key pictures. Events about finished clips are
// fetched by the source (take_events), which emits them. docs/evidence.md.
// Threads: order() from any; everything else on the source's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "connectors/camera/clip_writer.h"
#include "connectors/camera/packet_ring.h"
#include "evidence/keeper.h"
#include "pipeline/stage.h"

namespace verge::connectors {

struct RecordWish {
  double days = 7;
  double megabytes = 10'000;
  double segment_s = 60;
};

class CameraRecorder final : public evidence::ClipMaker {
 public:
  static constexpr std::size_t kRingBytesMax = 48U << 20U;
  static constexpr std::size_t kClipBytesMax = 96U << 20U;
  static constexpr std::size_t kClipsMax = 4;  ///< Of one camera at a time.

  /// Null when nobody wants clips or a recording, or when a mask covers a part of the picture: compressed pictures
  /// cannot be masked. Call when the source opens: stages have said by then what they want.
  static std::unique_ptr<CameraRecorder> make(const pipeline::Context& context,
                                              const std::optional<RecordWish>& record);
  ~CameraRecorder() override;
  CameraRecorder(const CameraRecorder&) = delete;
  CameraRecorder& operator=(const CameraRecorder&) = delete;

  /// What comes next has this format. The ring is empty then, and clips under way end.
  void begin(const FfmpegLibrary& ffmpeg, const AVCodecParameters& parameters, AVRational time_base);
  /// Width and height in pixels, where begin() did not know them.
  void note_size(int width, int height);
  void put(const AVPacket& packet, const Arrival& arrival);
  /// One whole JPEG or PNG.
  void put_whole(const FfmpegLibrary& ffmpeg, AVCodecID codec, std::string_view bytes, const Arrival& arrival);
  /// Clips whose time is over end, although nothing comes.
  void tick(std::int64_t monotonic_us);
  /// Everything under way ends and is stored; waits for that, at most 10 s.
  void finish();
  std::vector<contract::Event> take_events();

  Status order(evidence::ClipOrder order) override;

 private:
  struct Clip {
    evidence::ClipOrder order;
    PacketFormat format;
    std::vector<HeldPacket> packets;
    std::size_t bytes = 0;
  };
  struct Segment {
    std::unique_ptr<evidence::Store::Draft> draft;  // Outlives the writer.
    std::unique_ptr<ClipWriter> writer;
    std::int64_t begin_us = 0;  // Monotonic.
  };
  /// What the keeper's thread and the source share.
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<evidence::ClipOrder> orders;
    std::vector<contract::Event> events;
    std::size_t open_count = 0;  // Ordered and not yet stored.
    std::size_t jobs = 0;        // Submitted and not yet done.
  };

  CameraRecorder(const pipeline::Context& context, double ring_s, std::optional<RecordWish> record);
  void keep(HeldPacket held);
  void take_orders();
  void end_clip(Clip clip);
  void submit(std::function<void()> job);
  void record(const HeldPacket& held);
  void end_segment();
  bool has_size() const { return format_.parameters && format_.parameters->width > 0; }

  const std::string stream_;
  evidence::Keeper& keeper_;
  const std::optional<RecordWish> record_;
  const std::string shelf_;
  Counter& segments_lost_;
  const FfmpegLibrary* ffmpeg_ = nullptr;
  PacketFormat format_;
  PacketRing ring_;
  std::list<Clip> clips_;
  std::unique_ptr<Segment> segment_;
  std::int64_t record_again_us_ = 0;
  std::int64_t newest_us_ = 0;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

/// The event as a packet of the source's stream.
pipeline::Packet evidence_packet(contract::Event event);

}  // namespace verge::connectors
