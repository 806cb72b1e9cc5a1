#include "connectors/camera/clip_writer.h"

#include <algorithm>
#include <cstdio>

namespace verge::connectors {
namespace {

constexpr int kClipBufferBytes = 64 << 10;

}  // namespace

Result<PacketFormat> packet_format(const FfmpegLibrary& ffmpeg, const AVCodecParameters& parameters,
                                   AVRational time_base) {
  auto copy = own(ffmpeg, ffmpeg.avcodec_parameters_alloc());
  if (!copy || ffmpeg.avcodec_parameters_copy(copy.get(), &parameters) < 0) {
    return Error{ErrorCode::limit, "keep packets: no memory"};
  }
  copy->codec_tag = 0;  // Each format has its own.
  return PacketFormat{std::shared_ptr<const AVCodecParameters>(std::move(copy)), time_base};
}

std::string file_ending(const FfmpegLibrary& ffmpeg, const PacketFormat& format) {
  const AVOutputFormat* mp4 = ffmpeg.av_guess_format("mp4", nullptr, nullptr);
  const bool fits = mp4 != nullptr && format.parameters &&
                    ffmpeg.avformat_query_codec(mp4, format.parameters->codec_id, FF_COMPLIANCE_NORMAL) == 1;
  return fits ? "mp4" : "mkv";
}

Result<std::unique_ptr<ClipWriter>> ClipWriter::open(const FfmpegLibrary& ffmpeg, const PacketFormat& format,
                                                     evidence::Store::Draft& draft, bool is_fragmented) {
  std::unique_ptr<ClipWriter> writer(new ClipWriter(ffmpeg, draft, format.time_base));
  VERGE_CHECK(writer->begin(format, is_fragmented));
  return writer;
}

ClipWriter::~ClipWriter() {
  if (context_ != nullptr) ffmpeg_.avformat_free_context(context_);
  if (io_ == nullptr) return;
  ffmpeg_.av_free(io_->buffer);
  ffmpeg_.avio_context_free(&io_);
}

Error ClipWriter::failure(int code) const {
  if (disk_error_) return *disk_error_;
  return Error{ErrorCode::invalid_argument, "write a clip: " + words_for(ffmpeg_, code)};
}

int ClipWriter::take_bytes(void* writer, std::uint8_t* bytes, int count) {
  auto& self = *static_cast<ClipWriter*>(writer);
  const std::string_view piece(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
  if (auto written = self.draft_.write_at(self.position_, piece); !written) {
    if (!self.disk_error_) self.disk_error_ = std::move(written).error();
    return AVERROR(EIO);
  }
  self.position_ += piece.size();
  self.end_ = std::max(self.end_, self.position_);
  return count;
}

std::int64_t ClipWriter::seek(void* writer, std::int64_t offset, int whence) {
  auto& self = *static_cast<ClipWriter*>(writer);
  if (whence == AVSEEK_SIZE) return static_cast<std::int64_t>(self.end_);
  const std::int64_t base = whence == SEEK_CUR   ? static_cast<std::int64_t>(self.position_)
                            : whence == SEEK_END ? static_cast<std::int64_t>(self.end_)
                                                 : 0;
  if (base + offset < 0) return AVERROR(EINVAL);
  self.position_ = static_cast<std::uint64_t>(base + offset);
  return base + offset;
}

Status ClipWriter::begin(const PacketFormat& format, bool is_fragmented) {
  const Error no_memory{ErrorCode::limit, "write a clip: no memory"};
  if (const int code = ffmpeg_.avformat_alloc_output_context2(
          &context_, nullptr, file_ending(ffmpeg_, format) == "mp4" ? "mp4" : "matroska", nullptr);
      code < 0) {
    return failure(code);
  }
  auto* buffer = static_cast<unsigned char*>(ffmpeg_.av_malloc(kClipBufferBytes));
  if (buffer == nullptr) return no_memory;
  io_ = ffmpeg_.avio_alloc_context(buffer, kClipBufferBytes, 1, this, nullptr, take_bytes, seek);
  if (io_ == nullptr) {
    ffmpeg_.av_free(buffer);
    return no_memory;
  }
  context_->pb = io_;
  context_->flags |= AVFMT_FLAG_CUSTOM_IO;
  AVStream* stream = ffmpeg_.avformat_new_stream(context_, nullptr);
  if (stream == nullptr || ffmpeg_.avcodec_parameters_copy(stream->codecpar, format.parameters.get()) < 0) {
    return no_memory;
  }
  stream->time_base = format.time_base;
  step_ = std::max<std::int64_t>(1, ffmpeg_.av_rescale_q(40'000, AVRational{1, 1'000'000}, format.time_base));
  AVDictionary* settings = nullptr;
  if (is_fragmented) {
    ffmpeg_.av_dict_set(&settings, "movflags", "frag_keyframe+empty_moov+default_base_moof", 0);
  }
  const int code = ffmpeg_.avformat_write_header(context_, &settings);
  ffmpeg_.av_dict_free(&settings);
  if (code < 0) return failure(code);
  return Done{};
}

Status ClipWriter::write(const HeldPacket& held) {
  auto packet = own(ffmpeg_, ffmpeg_.av_packet_clone(held.packet.get()));
  if (!packet) return Error{ErrorCode::limit, "write a clip: no memory"};
  if (!first_stamp_) first_ = held.arrival;
  newest_ = held.arrival;
  // Where a camera gives no stamps, the times of arrival have to do.
  const std::int64_t arrival =
      ffmpeg_.av_rescale_q(held.arrival.monotonic_us - first_.monotonic_us, AVRational{1, 1'000'000}, time_base_);
  const bool has_stamps = packet->dts != AV_NOPTS_VALUE || packet->pts != AV_NOPTS_VALUE;
  if (packet->dts == AV_NOPTS_VALUE) packet->dts = packet->pts;
  if (packet->pts == AV_NOPTS_VALUE) packet->pts = packet->dts;
  if (!has_stamps) packet->dts = packet->pts = arrival + first_stamp_.value_or(0);
  if (!first_stamp_) first_stamp_ = packet->dts;
  packet->dts -= *first_stamp_;
  packet->pts -= *first_stamp_;
  const bool is_first = packet->dts == 0 && last_stamp_ == 0;
  if (!is_first) packet->dts = std::max(packet->dts, last_stamp_ + 1);
  packet->pts = std::max(packet->pts, packet->dts);
  // Only the last one's counts; without it players leave that picture out.
  if (packet->duration <= 0) packet->duration = is_first ? step_ : packet->dts - last_stamp_;
  last_stamp_ = packet->dts;
  const AVRational target = context_->streams[0]->time_base;
  packet->dts = ffmpeg_.av_rescale_q(packet->dts, time_base_, target);
  packet->pts = ffmpeg_.av_rescale_q(packet->pts, time_base_, target);
  packet->duration = ffmpeg_.av_rescale_q(packet->duration, time_base_, target);
  packet->stream_index = 0;
  packet->pos = -1;
  if (const int code = ffmpeg_.av_write_frame(context_, packet.get()); code < 0) return failure(code);
  return Done{};
}

Status ClipWriter::close() {
  if (const int code = ffmpeg_.av_write_trailer(context_); code < 0 || disk_error_) return failure(code);
  return Done{};
}

std::int64_t ClipWriter::duration_us() const { return newest_.monotonic_us - first_.monotonic_us; }

}  // namespace verge::connectors
