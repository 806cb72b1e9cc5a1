#include "connectors/microphone/network_microphone.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "connectors/network_errors.h"

namespace verge::connectors {
namespace {

constexpr int kBrokenInARowMax = 100;
constexpr std::int64_t kHoleMax_us = 5'000'000, kHoleMin_us = 5'000;  // By time stamps; more is no loss but a jump.
/// What sound comes in over HTTP. No playlists: they would have us fetch what somebody else names.
constexpr const char* kContainers = "mp3,aac,ogg,wav,flac,mpegts,mov,mp4,matroska,webm";

bool is_http(std::string_view url) { return url.starts_with("http"); }

/// One sample of FFmpeg's as a float; -1..1.
float sample_of(const std::uint8_t* samples, int index, AVSampleFormat packed) {
  switch (packed) {
    case AV_SAMPLE_FMT_U8:
      return (static_cast<float>(samples[index]) - 128.0F) / 128.0F;
    case AV_SAMPLE_FMT_S16:
      return static_cast<float>(reinterpret_cast<const std::int16_t*>(samples)[index]) * 0x1p-15F;
    case AV_SAMPLE_FMT_S32:
      return static_cast<float>(reinterpret_cast<const std::int32_t*>(samples)[index]) * 0x1p-31F;
    case AV_SAMPLE_FMT_FLT:
      return reinterpret_cast<const float*>(samples)[index];
    case AV_SAMPLE_FMT_DBL:
      return static_cast<float>(reinterpret_cast<const double*>(samples)[index]);
    default:
      return 0;
  }
}

struct Layout {
  AVSampleFormat packed = AV_SAMPLE_FMT_NONE;
  bool is_planar = false;
};

std::optional<Layout> layout_of(int format) {
  switch (format) {
    case AV_SAMPLE_FMT_U8:
    case AV_SAMPLE_FMT_S16:
    case AV_SAMPLE_FMT_S32:
    case AV_SAMPLE_FMT_FLT:
    case AV_SAMPLE_FMT_DBL:
      return Layout{static_cast<AVSampleFormat>(format), false};
    case AV_SAMPLE_FMT_U8P:
      return Layout{AV_SAMPLE_FMT_U8, true};
    case AV_SAMPLE_FMT_S16P:
      return Layout{AV_SAMPLE_FMT_S16, true};
    case AV_SAMPLE_FMT_S32P:
      return Layout{AV_SAMPLE_FMT_S32, true};
    case AV_SAMPLE_FMT_FLTP:
      return Layout{AV_SAMPLE_FMT_FLT, true};
    case AV_SAMPLE_FMT_DBLP:
      return Layout{AV_SAMPLE_FMT_DBL, true};
    default:
      return std::nullopt;
  }
}

class NetworkLink final : public SoundLink {
 public:
  explicit NetworkLink(NetworkSoundOptions options) : options_(std::move(options)) {}

  Status prepare() override {
    VERGE_TRY(ffmpeg_, open_ffmpeg());
    return Done{};
  }

  Status watch(SoundWatch& watch) override {
    VERGE_CHECK(open_tunnel(options_.url, options_.trust, tunnel_));
    FfmpegOwned<AVFormatContext> format;
    if (const int code = connect(watch, format); code < 0) {
      return connection_error(*ffmpeg_, code, watch, "connect", tunnel_.get());
    }
    watch.hear();
    if (is_http(options_.url)) ffmpeg_->avformat_find_stream_info(format.get(), nullptr);
    AVStream* const sound = choose_stream(*format);
    if (sound == nullptr) return Error{ErrorCode::unavailable, "it has no sound"};
    VERGE_TRY(const auto decoder, open_decoder(*sound));
    rate_hz_ = 0;
    next_us_.reset();
    return play(watch, *format, *sound, *decoder);
  }

 private:
  int connect(SoundWatch& watch, FfmpegOwned<AVFormatContext>& format) const {
    AVFormatContext* context = ffmpeg_->avformat_alloc_context();
    if (context == nullptr) return AVERROR(ENOMEM);
    context->interrupt_callback = interrupt_by(watch);
    AVDictionary* settings = nullptr;
    const auto set = [&](const char* name, const char* value) { ffmpeg_->av_dict_set(&settings, name, value, 0); };
    const std::string host = tunnel_ ? "Host: " + tunnel_->host() + "\r\n" : "";
    if (is_http(options_.url)) {
      set("protocol_whitelist", "http,tcp");
      set("format_whitelist", kContainers);
      set("seekable", "0");
      set("icy", "0");
      set("user_agent", "verge");
      set("probesize", "65536");
      set("analyzeduration", "1000000");
      if (tunnel_) set("headers", host.c_str());
    } else {
      set("rtsp_transport", options_.is_udp ? "udp" : "tcp");
      set("allowed_media_types", "audio");
      set("protocol_whitelist", "rtsp,rtp,tcp,udp");
    }
    const std::string url = tunnel_ ? tunnel_->url() : options_.url;
    const int code = ffmpeg_->avformat_open_input(&context, url.c_str(), nullptr, &settings);
    ffmpeg_->av_dict_free(&settings);
    if (code == 0) format = own(*ffmpeg_, context);  // Else it is freed already.
    return code;
  }

  static AVStream* choose_stream(AVFormatContext& format) {
    AVStream* chosen = nullptr;
    for (unsigned i = 0; i < format.nb_streams; ++i) {
      const bool is_first = chosen == nullptr && format.streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
      if (is_first) chosen = format.streams[i];
      format.streams[i]->discard = is_first ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    return chosen;
  }

  Result<FfmpegOwned<AVCodecContext>> open_decoder(const AVStream& sound) const {
    const AVCodecParameters& parameters = *sound.codecpar;
    const AVCodec* codec = ffmpeg_->avcodec_find_decoder(parameters.codec_id);
    const char* const name = codec_name(*ffmpeg_, parameters.codec_id);
    if (codec == nullptr)
      return Error{ErrorCode::unavailable, fmt::format("its sound is {}, which is not known", name)};
    auto decoder = own(*ffmpeg_, ffmpeg_->avcodec_alloc_context3(codec));
    if (!decoder) return Error{ErrorCode::limit, "no memory"};
    ffmpeg_->avcodec_parameters_to_context(decoder.get(), &parameters);
    decoder->thread_count = 1;
    if (const int code = ffmpeg_->avcodec_open2(decoder.get(), codec, nullptr); code < 0) {
      return Error{ErrorCode::unavailable, fmt::format("its sound ({}): {}", name, words_for(*ffmpeg_, code))};
    }
    return decoder;
  }

  Status play(SoundWatch& watch, AVFormatContext& format, const AVStream& sound, AVCodecContext& decoder) {
    const auto packet = own(*ffmpeg_, ffmpeg_->av_packet_alloc());
    const auto frame = own(*ffmpeg_, ffmpeg_->av_frame_alloc());
    if (!packet || !frame) return Error{ErrorCode::limit, "no memory"};
    for (int broken = 0; broken < kBrokenInARowMax;) {
      const int code = ffmpeg_->av_read_frame(&format, packet.get());
      if (watch.has_to_end()) {
        ffmpeg_->av_packet_unref(packet.get());
        return connection_error(*ffmpeg_, AVERROR_EXIT, watch, "read");
      }
      if (code < 0 && code != AVERROR_INVALIDDATA) return connection_error(*ffmpeg_, code, watch, "read");
      const bool is_ours = code >= 0 && packet->stream_index == sound.index;
      const bool is_good = is_ours && ffmpeg_->avcodec_send_packet(&decoder, packet.get()) >= 0;
      if (code >= 0) ffmpeg_->av_packet_unref(packet.get());
      if (code >= 0 && !is_ours) continue;
      if (!is_good) {
        watch.counters().broken.add();
        ++broken;
        continue;
      }
      VERGE_TRY(const bool has_sound, take_frames(watch, sound, decoder, *frame));
      if (has_sound) broken = 0;
    }
    return Error{ErrorCode::corrupt, "what it sends is no sound"};
  }

  /// All that the decoder has by now; true when there was some.
  Result<bool> take_frames(SoundWatch& watch, const AVStream& sound, AVCodecContext& decoder, AVFrame& frame) {
    for (bool has_sound = false;; has_sound = true) {
      if (ffmpeg_->avcodec_receive_frame(&decoder, &frame) < 0) return has_sound;
      VERGE_CHECK(put(watch, sound, decoder, frame));
    }
  }

  Status put(SoundWatch& watch, const AVStream& sound, const AVCodecContext& decoder, const AVFrame& frame) {
    const int channels = frame.ch_layout.nb_channels;
    const auto layout = layout_of(frame.format);
    if (!layout) return Error{ErrorCode::unavailable, "its samples come in a form that is not known"};
    if (frame.sample_rate != rate_hz_ || channels != channels_) {
      pipeline::SoundShape shape;
      shape.rate_hz = frame.sample_rate;
      shape.channels = channels;
      VERGE_CHECK(pipeline::check_shape(shape));
      VERGE_CHECK(pipeline::check_channel(options_.channel, channels));
      rate_hz_ = frame.sample_rate;
      channels_ = channels;
      VERGE_CHECK(watch.begin(rate_hz_, sound_note(codec_name(*ffmpeg_, decoder.codec_id), channels)));
    }
    note_hole(watch, sound, frame);
    interleaved_.clear();
    for (int i = 0; i < frame.nb_samples; ++i) {
      for (int channel = 0; channel < channels; ++channel) {
        const std::uint8_t* const plane = frame.extended_data[layout->is_planar ? channel : 0];
        interleaved_.push_back(sample_of(plane, layout->is_planar ? i : i * channels + channel, layout->packed));
      }
    }
    mono_.clear();
    const std::size_t clipped = pipeline::append_mono(interleaved_.data(), static_cast<std::size_t>(frame.nb_samples),
                                                      channels, options_.channel, mono_);
    watch.put(mono_, clipped, watch.monotonic_us());
    return Done{};
  }

  /// Over UDP packets are lost; the next one's time stamp says how much was in between.
  void note_hole(SoundWatch& watch, const AVStream& sound, const AVFrame& frame) {
    if (!options_.is_udp || frame.pts == AV_NOPTS_VALUE) return;
    const std::int64_t begin_us = ffmpeg_->av_rescale_q(frame.pts, sound.time_base, AVRational{1, 1'000'000});
    if (next_us_) {
      const std::int64_t hole_us = begin_us - *next_us_;
      if (hole_us >= kHoleMin_us && hole_us <= kHoleMax_us) {
        watch.miss(static_cast<std::uint64_t>(hole_us * rate_hz_ / 1'000'000));
      }
    }
    next_us_ = begin_us + std::int64_t{frame.nb_samples} * 1'000'000 / rate_hz_;
  }

  const NetworkSoundOptions options_;
  const FfmpegLibrary* ffmpeg_ = nullptr;
  std::unique_ptr<TlsTunnel> tunnel_;  ///< Of rtsps and https.
  int rate_hz_ = 0, channels_ = 0;
  std::optional<std::int64_t> next_us_;  ///< When the next sample is due, by the stream's time stamps.
  std::vector<float> interleaved_, mono_;
};

}  // namespace

std::unique_ptr<SoundLink> make_network_link(NetworkSoundOptions options) {
  return std::make_unique<NetworkLink>(std::move(options));
}

}  // namespace verge::connectors
