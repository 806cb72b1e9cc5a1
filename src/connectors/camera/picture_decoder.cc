#include "connectors/camera/picture_decoder.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "connectors/camera/frame_pool.h"

namespace verge::connectors {
namespace {

using pipeline::Frame;

constexpr std::size_t kPendingMax = 64;                     // Four times what H.264 and H.265 may hold back.
constexpr std::int64_t kPixelsMax = std::int64_t{1} << 26;  // 8192 x 8192: no sender makes us reserve more.

bool is_yuv420(const AVFrame& frame) {
  return (frame.format == AV_PIX_FMT_YUV420P || frame.format == AV_PIX_FMT_YUVJ420P) && frame.linesize[0] > 0;
}

bool is_full_range_yuv(int format) {
  return format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUVJ422P || format == AV_PIX_FMT_YUVJ444P ||
         format == AV_PIX_FMT_YUVJ440P || format == AV_PIX_FMT_YUVJ411P;
}

std::shared_ptr<Frame> view_of(std::shared_ptr<AVFrame> picture, bool is_full_range) {
  auto frame = std::make_shared<Frame>();
  frame->width = picture->width;
  frame->height = picture->height;
  frame->is_full_range = is_full_range;
  for (int p = 0; p < 3; ++p) {
    frame->planes[p] = picture->data[p];
    frame->strides[p] = picture->linesize[p];
  }
  frame->storage = std::move(picture);
  return frame;
}

constexpr int kLineAlign = 128;               // Bytes; chroma lines have half of it, which is what vector code wants.
constexpr std::size_t kPlaneSlack = 16 + 64;  // FFmpeg's vector code reads over the end of a plane.

std::size_t round_up(std::size_t size, std::size_t step) { return (size + step - 1) / step * step; }

/// FFmpeg asks for the memory of a picture: as avcodec_default_get_buffer2 for yuv420, but from the shared pool.
int get_pooled_buffer(AVCodecContext* decoder, AVFrame* frame, int flags) {
  const auto& ffmpeg = *static_cast<const FfmpegLibrary*>(decoder->opaque);
  const bool may_choose = (decoder->codec->capabilities & AV_CODEC_CAP_DR1) != 0;
  if (!may_choose || (frame->format != AV_PIX_FMT_YUV420P && frame->format != AV_PIX_FMT_YUVJ420P)) {
    return ffmpeg.avcodec_default_get_buffer2(decoder, frame, flags);
  }
  int width = frame->width, height = frame->height, line_align[AV_NUM_DATA_POINTERS] = {};
  ffmpeg.avcodec_align_dimensions2(decoder, &width, &height, line_align);
  const std::size_t stride = round_up(static_cast<std::size_t>(width), kLineAlign);
  const std::size_t lines = round_up(static_cast<std::size_t>(height), 2);
  const std::size_t luma = round_up(stride * lines + kPlaneSlack, kLineAlign);
  const std::size_t chroma = round_up(stride / 2 * (lines / 2) + kPlaneSlack, kLineAlign);
  const std::size_t bytes = luma + 2 * chroma;
  std::uint8_t* begin = shared_frame_pool().take(bytes);
  if (begin == nullptr) return AVERROR(ENOMEM);
  const auto give_back = [](void* size, std::uint8_t* data) {
    shared_frame_pool().give_back(data, reinterpret_cast<std::uintptr_t>(size));
  };
  frame->buf[0] = ffmpeg.av_buffer_create(begin, bytes, give_back, reinterpret_cast<void*>(bytes), 0);
  if (frame->buf[0] == nullptr) {
    shared_frame_pool().give_back(begin, bytes);
    return AVERROR(ENOMEM);
  }
  const std::size_t begins[3] = {0, luma, luma + chroma};
  for (int plane = 0; plane < 3; ++plane) {
    frame->data[plane] = begin + begins[plane];
    frame->linesize[plane] = static_cast<int>(plane == 0 ? stride : stride / 2);
  }
  frame->extended_data = frame->data;
  return 0;
}

Error out_of_memory() { return Error{ErrorCode::limit, "decode pictures: no memory"}; }

}  // namespace

pipeline::Packet scene_packet(std::shared_ptr<const Frame> frame, const Arrival& arrival) {
  auto scene = std::make_shared<pipeline::Scene>();
  scene->frame = std::move(frame);
  pipeline::Packet packet;
  packet.captured_us = arrival.captured_us;
  packet.monotonic_us = arrival.monotonic_us;
  packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
  return packet;
}

Result<std::unique_ptr<PictureDecoder>> PictureDecoder::open(const FfmpegLibrary& ffmpeg, const Format& format,
                                                             const PictureWish& wish, CameraCounters& counters) {
  std::unique_ptr<PictureDecoder> decoder(new PictureDecoder(ffmpeg, format, wish, counters));
  VERGE_CHECK(decoder->prepare());
  return decoder;
}

Status PictureDecoder::prepare() {
  const AVCodecID id = format_.parameters != nullptr ? format_.parameters->codec_id : format_.codec;
  const AVCodec* codec = ffmpeg_.avcodec_find_decoder(id);
  const AVCodecDescriptor* description = ffmpeg_.avcodec_descriptor_get(id);
  if (codec == nullptr) {
    return Error{ErrorCode::invalid_argument, fmt::format("decode pictures: there is no decoder for {}",
                                                          description == nullptr ? "them" : description->name)};
  }
  is_intra_only_ = description != nullptr && (description->props & AV_CODEC_PROP_INTRA_ONLY) != 0;
  decoder_ = own(ffmpeg_, ffmpeg_.avcodec_alloc_context3(codec));
  whole_ = own(ffmpeg_, ffmpeg_.av_packet_alloc());
  if (!decoder_ || !whole_) return out_of_memory();
  decoder_->thread_count = 1;  // Frame threads would hold pictures back.
  decoder_->opaque = const_cast<FfmpegLibrary*>(&ffmpeg_);
  decoder_->get_buffer2 = get_pooled_buffer;
  decoder_->max_pixels = kPixelsMax;
  decoder_->pkt_timebase = format_.time_base;
  if (format_.parameters != nullptr) {
    const int code = ffmpeg_.avcodec_parameters_to_context(decoder_.get(), format_.parameters);
    if (code < 0) return Error{ErrorCode::corrupt, "decode pictures: " + words_for(ffmpeg_, code)};
    format_.parameters = nullptr;  // They are the caller's.
  } else if (format_.raw_pixels != AV_PIX_FMT_NONE) {
    decoder_->width = format_.raw_width;
    decoder_->height = format_.raw_height;
    decoder_->pix_fmt = format_.raw_pixels;
  }
  const int code = ffmpeg_.avcodec_open2(decoder_.get(), codec, nullptr);
  if (code < 0) return Error{ErrorCode::invalid_argument, "decode pictures: " + words_for(ffmpeg_, code)};
  if (id == AV_CODEC_ID_MJPEG) jpeg_.emplace();
  return Done{};
}

std::int64_t PictureDecoder::time_of_stamp(std::int64_t stamp) const {
  return ffmpeg_.av_rescale_q(stamp, format_.time_base, AVRational{1, 1'000'000});
}

/// Also tells the decoder what to pass over.
bool PictureDecoder::has_to_be_decoded(const AVPacket& packet) {
  const bool is_wanted = is_due(packet);
  if (!is_wanted && (is_intra_only_ || wish_.keyframes_only)) return false;
  decoder_->skip_frame = wish_.keyframes_only ? AVDISCARD_NONKEY : is_wanted ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
  return true;
}

bool PictureDecoder::is_due(const AVPacket& packet) const {
  return packet.pts == AV_NOPTS_VALUE || pick_.is_due(time_of_stamp(packet.pts));
}

bool PictureDecoder::is_pending(std::int64_t stamp) const {
  return std::ranges::find(pending_, stamp, &Pending::stamp) != pending_.end();
}

std::size_t PictureDecoder::jump() {
  ffmpeg_.avcodec_flush_buffers(decoder_.get());
  return std::exchange(pending_, {}).size();
}

void PictureDecoder::count_broken() {
  counters_.broken.add();
  ++broken_in_a_row_;
}

bool PictureDecoder::put(const AVPacket* packet, const Arrival& arrival) {
  if (packet == nullptr) return ffmpeg_.avcodec_send_packet(decoder_.get(), nullptr) == 0;
  counters_.received.add();
  return decode(*packet, arrival);
}

bool PictureDecoder::decode(const AVPacket& packet, const Arrival& arrival) {
  ++packets_since_;
  newest_ = arrival;
  if (!has_to_be_decoded(packet)) {
    counters_.skipped.add();
    return true;
  }
  if (jpeg_ && put_jpeg(packet)) return true;
  if (ffmpeg_.avcodec_send_packet(decoder_.get(), &packet) != 0) {
    count_broken();
    return false;
  }
  if (packet.pts == AV_NOPTS_VALUE) return true;
  if (pending_.size() >= kPendingMax) {
    pending_.erase(std::ranges::min_element(pending_, {}, &Pending::stamp));
    counters_.skipped.add();
  }
  pending_.push_back({packet.pts, arrival});
  return true;
}

/// False when FFmpeg has to look at it.
bool PictureDecoder::put_jpeg(const AVPacket& packet) {
  // Not before FFmpeg has given what it holds: the order stays.
  if (!pending_.empty() || ready_ || packet.pts == AV_NOPTS_VALUE) return false;
  auto frame = jpeg_->decode({reinterpret_cast<const char*>(packet.data), static_cast<std::size_t>(packet.size)});
  if (!frame) return false;
  last_us_ = time_of_stamp(packet.pts);
  has_last_ = true;
  packets_since_ = 0;
  ready_ = Picture{std::move(frame), last_us_, newest_};
  return true;
}

bool PictureDecoder::put_whole(std::string_view bytes, std::int64_t time_us, const Arrival& arrival) {
  if (bytes.empty()) {  // To the decoder it would be the end.
    counters_.received.add();
    count_broken();
    return false;
  }
  // Without a buffer of its own the decoder copies the bytes, with the padding that it wants.
  whole_->data = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  whole_->size = static_cast<int>(bytes.size());
  whole_->pts = whole_->dts = time_us;
  whole_->flags = AV_PKT_FLAG_KEY;
  const bool is_good = put(whole_.get(), arrival);
  whole_->data = nullptr;
  whole_->size = 0;
  return is_good;
}

/// Pictures leave in the order of their stamps: what is older than this one never comes.
Arrival PictureDecoder::settle(std::int64_t stamp) {
  Arrival arrival = newest_;
  std::erase_if(pending_, [&](const Pending& pending) {
    if (pending.stamp == stamp) arrival = pending.arrival;
    if (pending.stamp < stamp) counters_.skipped.add();
    return pending.stamp <= stamp;
  });
  return arrival;
}

std::int64_t PictureDecoder::time_of(const AVFrame& frame) {
  if (frame.best_effort_timestamp != AV_NOPTS_VALUE) {
    last_us_ = time_of_stamp(frame.best_effort_timestamp);
  } else if (has_last_) {
    last_us_ += format_.step_us * std::max<std::int64_t>(1, packets_since_);
  }
  has_last_ = true;
  packets_since_ = 0;
  return last_us_;
}

void PictureDecoder::count_decoded() {
  counters_.decoded.add();
  broken_in_a_row_ = 0;
}

PictureDecoder::Picture PictureDecoder::shown(Picture picture) {
  counters_.shown.add();
  counters_.width.set(picture.frame->width);
  counters_.height.set(picture.frame->height);
  return picture;
}

Result<std::optional<PictureDecoder::Picture>> PictureDecoder::next() {
  if (ready_) {
    count_decoded();
    Picture picture = *std::exchange(ready_, std::nullopt);
    if (pick_.take(picture.time_us)) return std::optional(shown(std::move(picture)));
  }
  for (;;) {
    if (broken_in_a_row_ >= kBrokenInARowMax) {
      return Error{ErrorCode::corrupt, fmt::format("decode pictures: {} broken ones in a row", broken_in_a_row_)};
    }
    auto picture = own(ffmpeg_, ffmpeg_.av_frame_alloc());
    if (!picture) return out_of_memory();
    const int code = ffmpeg_.avcodec_receive_frame(decoder_.get(), picture.get());
    if (code == AVERROR(EAGAIN)) return std::optional<Picture>();
    if (code == AVERROR_EOF) {
      is_at_end_ = true;
      counters_.skipped.add(pending_.size());
      pending_.clear();
      return std::optional<Picture>();
    }
    if (code == AVERROR(ENOMEM)) return out_of_memory();
    if (code < 0) {
      count_broken();
      if (!pending_.empty()) pending_.pop_back();  // It is not skipped, too.
      continue;
    }
    Picture found;
    found.time_us = time_of(*picture);
    found.arrival = picture->pts == AV_NOPTS_VALUE ? newest_ : settle(picture->pts);
    if ((picture->flags & AV_FRAME_FLAG_CORRUPT) != 0 || picture->decode_error_flags != 0) {
      count_broken();
      continue;
    }
    count_decoded();
    if (!pick_.take(found.time_us)) continue;
    VERGE_TRY(found.frame, frame_of(std::move(picture)));
    return std::optional(shown(std::move(found)));
  }
}

void PictureDecoder::flush() {
  ffmpeg_.avcodec_flush_buffers(decoder_.get());
  counters_.skipped.add(pending_.size());
  pending_.clear();
  ready_.reset();
  pick_.restart();
  is_at_end_ = has_last_ = false;
  broken_in_a_row_ = 0;
  last_us_ = packets_since_ = 0;
}

Result<std::shared_ptr<Frame>> PictureDecoder::frame_of(FfmpegOwned<AVFrame> picture) {
  const bool is_marked_full = picture->color_range == AVCOL_RANGE_JPEG;
  if (is_yuv420(*picture)) {
    const bool is_full = is_marked_full || picture->format == AV_PIX_FMT_YUVJ420P;
    return view_of(std::shared_ptr<AVFrame>(std::move(picture)), is_full);
  }
  const AVPixFmtDescriptor* pixels = ffmpeg_.av_pix_fmt_desc_get(static_cast<AVPixelFormat>(picture->format));
  if (pixels == nullptr) return Error{ErrorCode::invalid_argument, "decode pictures: unknown pixels"};
  // Colours and greys become the full range; other yuv keeps the range that it has.
  const bool has_no_chroma = pixels->nb_components < 3;
  const bool to_full =
      is_full_range_yuv(picture->format) || has_no_chroma || (pixels->flags & AV_PIX_FMT_FLAG_RGB) != 0;
  VERGE_TRY(auto converted, convert(*picture, to_full ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P));
  return view_of(std::shared_ptr<AVFrame>(std::move(converted)), to_full || is_marked_full);
}

Result<FfmpegOwned<AVFrame>> PictureDecoder::convert(const AVFrame& picture, AVPixelFormat target) {
  auto converted = own(ffmpeg_, ffmpeg_.av_frame_alloc());
  if (!converted) return out_of_memory();
  converted->width = picture.width;
  converted->height = picture.height;
  converted->format = target;
  if (ffmpeg_.av_frame_get_buffer(converted.get(), 64) < 0) return out_of_memory();
  const auto source = static_cast<AVPixelFormat>(picture.format);
  scaler_ =
      own(ffmpeg_, ffmpeg_.sws_getCachedContext(scaler_.release(), picture.width, picture.height, source, picture.width,
                                                picture.height, target, SWS_BILINEAR, nullptr, nullptr, nullptr));
  if (!scaler_) {
    return Error{ErrorCode::invalid_argument, "decode pictures: their pixels cannot be converted"};
  }
  ffmpeg_.sws_scale(scaler_.get(), picture.data, picture.linesize, 0, picture.height, converted->data,
                    converted->linesize);
  return converted;
}

}  // namespace verge::connectors
