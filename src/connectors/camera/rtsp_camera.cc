#include "connectors/camera/rtsp_camera.h"

#include "connectors/camera/tls_tunnel.h"
#include "connectors/network_errors.h"

namespace verge::connectors {
namespace {

constexpr int kBrokenReadsMax = 100;  // In a row.

class RtspLink final : public CameraLink {
 public:
  explicit RtspLink(RtspOptions options) : options_(std::move(options)) {}

  Status prepare() override {
    VERGE_TRY(ffmpeg_, open_ffmpeg());
    return Done{};
  }

  Status watch(CameraWatch& watch) override {
    VERGE_CHECK(open_tunnel(options_.url, options_.trust, tunnel_));
    FfmpegOwned<AVFormatContext> format;
    if (const int code = connect(watch, format); code < 0) {
      return connection_error(*ffmpeg_, code, watch, "connect", tunnel_.get());
    }
    watch.hear();
    int video = -1;
    for (unsigned i = 0; i < format->nb_streams; ++i) {
      const bool is_first = video < 0 && format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
      if (is_first) video = static_cast<int>(i);
      format->streams[i]->discard = is_first ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    if (video < 0) return Error{ErrorCode::unavailable, "it has no video"};
    watch.note_codec(codec_name(*ffmpeg_, format->streams[video]->codecpar->codec_id));
    PictureDecoder::Format pictures;
    pictures.parameters = format->streams[video]->codecpar;
    pictures.time_base = format->streams[video]->time_base;
    VERGE_TRY(auto decoder, PictureDecoder::open(*ffmpeg_, pictures, options_.wish, watch.counters()));
    if (CameraRecorder* recorder = watch.recorder()) {
      recorder->begin(*ffmpeg_, *format->streams[video]->codecpar, format->streams[video]->time_base);
    }
    return play(
        watch, *format, video,
        std::make_unique<StillDecoder>(*ffmpeg_, std::move(decoder), options_.wish, options_.still, watch.counters()));
  }

 private:
  int connect(CameraWatch& watch, FfmpegOwned<AVFormatContext>& format) const {
    AVFormatContext* context = ffmpeg_->avformat_alloc_context();
    if (context == nullptr) return AVERROR(ENOMEM);
    context->interrupt_callback = interrupt_by(watch);
    AVDictionary* settings = nullptr;
    ffmpeg_->av_dict_set(&settings, "rtsp_transport", options_.is_udp ? "udp" : "tcp", 0);
    ffmpeg_->av_dict_set(&settings, "allowed_media_types", "video", 0);
    ffmpeg_->av_dict_set(&settings, "protocol_whitelist", "rtsp,rtp,tcp,udp", 0);
    const std::string url = tunnel_ ? tunnel_->url() : options_.url;
    const int code = ffmpeg_->avformat_open_input(&context, url.c_str(), nullptr, &settings);
    ffmpeg_->av_dict_free(&settings);
    if (code == 0) format = own(*ffmpeg_, context);  // Else it is freed already.
    return code;
  }

  Status play(CameraWatch& watch, AVFormatContext& format, int video, std::unique_ptr<StillDecoder> decoder) const {
    const auto packet = own(*ffmpeg_, ffmpeg_->av_packet_alloc());
    if (!packet) return Error{ErrorCode::limit, "no memory"};
    for (int broken_reads = 0; broken_reads < kBrokenReadsMax;) {
      const int code = ffmpeg_->av_read_frame(&format, packet.get());
      if (watch.has_to_end()) {
        ffmpeg_->av_packet_unref(packet.get());
        return connection_error(*ffmpeg_, AVERROR_EXIT, watch, "read");
      }
      if (code == AVERROR_INVALIDDATA) {
        watch.counters().broken.add();
        ++broken_reads;
        continue;
      }
      if (code < 0) return connection_error(*ffmpeg_, code, watch, "read");
      broken_reads = 0;
      const bool is_ours = packet->stream_index == video;
      if (is_ours) {
        watch.hear();
        const Arrival arrival = watch.now();
        watch.note_picture((packet->flags & AV_PKT_FLAG_KEY) != 0, arrival);
        if (CameraRecorder* recorder = watch.recorder()) recorder->put(*packet, arrival);
        if (decoder != nullptr) decoder->put(*packet, arrival);
      }
      ffmpeg_->av_packet_unref(packet.get());
      if (!is_ours || !decoder) continue;
      VERGE_TRY(const bool has_shown, options_.is_only_kept ? measure(watch, *decoder) : show_all(watch, *decoder));
      if (has_shown && options_.is_only_kept) decoder.reset();
    }
    return Error{ErrorCode::corrupt, "what it sends is no video"};
  }

  static Result<bool> show_all(CameraWatch& watch, StillDecoder& decoder) {
    for (bool has_shown = false;; has_shown = true) {
      VERGE_TRY(auto picture, decoder.next());
      if (!picture) return has_shown;
      watch.show(std::move(picture->frame), picture->arrival);
    }
  }

  /// The first picture tells the recorder how large they are; the others need not be decoded.
  static Result<bool> measure(CameraWatch& watch, StillDecoder& decoder) {
    VERGE_TRY(const auto picture, decoder.next());
    if (!picture || watch.recorder() == nullptr) return picture.has_value();
    watch.recorder()->note_size(picture->frame->width, picture->frame->height);
    return true;
  }

  const RtspOptions options_;
  const FfmpegLibrary* ffmpeg_ = nullptr;
  std::unique_ptr<TlsTunnel> tunnel_;  ///< Of rtsps.
};

}  // namespace

std::unique_ptr<CameraLink> make_rtsp_link(RtspOptions options) {
  return std::make_unique<RtspLink>(std::move(options));
}

}  // namespace verge::connectors
