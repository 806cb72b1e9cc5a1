// connectors/camera/clip_writer.h -- a camera's packets as an MP4 file, never decoded, never compressed again.
//
// Source: ISO/IEC 14496-12; FFmpeg's multiplexer does the format. A whole file has its index at the end; a fragmented
// one can be played up to where it breaks off. Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "connectors/camera/packet_ring.h"
#include "connectors/ffmpeg_library.h"
#include "evidence/store.h"

namespace verge::connectors {

/// What a camera says of its packets.
struct PacketFormat {
  std::shared_ptr<const AVCodecParameters> parameters;
  AVRational time_base{1, 90'000};
};
/// A copy of the parameters. Errors: limit (no memory).
Result<PacketFormat> packet_format(const FfmpegLibrary& ffmpeg, const AVCodecParameters& parameters,
                                   AVRational time_base);

/// "mp4" or "mkv", for files of such packets.
std::string file_ending(const FfmpegLibrary& ffmpeg, const PacketFormat& format);

class ClipWriter {
 public:
  /// `draft` outlives the writer. Errors: invalid_argument for a codec or size that no file can hold; those of the
  /// draft.
  static Result<std::unique_ptr<ClipWriter>> open(const FfmpegLibrary& ffmpeg, const PacketFormat& format,
                                                  evidence::Store::Draft& draft, bool is_fragmented);
  ~ClipWriter();
  ClipWriter(const ClipWriter&) = delete;
  ClipWriter& operator=(const ClipWriter&) = delete;

  /// The first packet is a key picture. Errors: those of the draft; corrupt.
  Status write(const HeldPacket& packet);
  /// Writes the index. Errors: as write.
  Status close();
  /// From the first packet to the newest one.
  std::int64_t duration_us() const;

 private:
  ClipWriter(const FfmpegLibrary& ffmpeg, evidence::Store::Draft& draft, AVRational time_base)
      : ffmpeg_(ffmpeg), draft_(draft), time_base_(time_base) {}
  Status begin(const PacketFormat& format, bool is_fragmented);
  Error failure(int code) const;
  static int take_bytes(void* writer, std::uint8_t* bytes, int count);
  static std::int64_t seek(void* writer, std::int64_t offset, int whence);

  const FfmpegLibrary& ffmpeg_;
  evidence::Store::Draft& draft_;
  const AVRational time_base_;
  AVFormatContext* context_ = nullptr;
  AVIOContext* io_ = nullptr;
  std::uint64_t position_ = 0, end_ = 0;  // Of the file, bytes.
  std::optional<Error> disk_error_;
  std::optional<std::int64_t> first_stamp_;
  std::int64_t last_stamp_ = 0, step_ = 1;
  Arrival first_, newest_;
};

}  // namespace verge::connectors
