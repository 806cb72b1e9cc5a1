#include "connectors/camera/http_camera.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>
#include <thread>

#include "connectors/camera/multipart_reader.h"
#include "connectors/camera/tls_tunnel.h"
#include "connectors/network_errors.h"

namespace verge::connectors {
namespace {

constexpr auto kPollStopCheck = std::chrono::milliseconds(50);
constexpr std::int64_t kPollDefault_us = 1'000'000;
constexpr std::string_view kJpegBegin = "\xFF\xD8";

class HttpLink final : public CameraLink {
 public:
  explicit HttpLink(HttpCameraOptions options) : options_(std::move(options)) {}

  Status prepare() override {
    VERGE_TRY(ffmpeg_, open_ffmpeg());
    return Done{};
  }

  Status watch(CameraWatch& watch) override {
    VERGE_CHECK(open_tunnel(options_.url, options_.trust, tunnel_));
    decoder_.reset();
    const double fps = options_.wish.fps_max;
    const std::int64_t step_us = fps > 0 ? static_cast<std::int64_t>(1e6 / fps) : kPollDefault_us;
    for (std::int64_t due_us = watch.now().monotonic_us;;) {
      watch.hear();
      VERGE_TRY(const bool was_snapshot, ask(watch));
      if (!was_snapshot) return Done{};
      // A camera that is slower than asked is asked at its own pace, not in bursts.
      due_us = std::max(due_us + step_us, watch.now().monotonic_us);
      while (watch.now().monotonic_us < due_us && !watch.is_stopping()) std::this_thread::sleep_for(kPollStopCheck);
      if (watch.is_stopping()) return Done{};
    }
  }

 private:
  /// One request: true after a single picture, false when a stream ended.
  Result<bool> ask(CameraWatch& watch) {
    AVIOContext* io = nullptr;
    AVDictionary* settings = nullptr;
    ffmpeg_->av_dict_set(&settings, "seekable", "0", 0);  // Else it asks for a range, which some cameras refuse.
    ffmpeg_->av_dict_set(&settings, "icy", "0", 0);
    ffmpeg_->av_dict_set(&settings, "user_agent", "verge", 0);
    ffmpeg_->av_dict_set(&settings, "protocol_whitelist", "http,tcp", 0);
    const std::string host = tunnel_ ? "Host: " + tunnel_->host() + "\r\n" : "";
    if (tunnel_) ffmpeg_->av_dict_set(&settings, "headers", host.c_str(), 0);
    const std::string url = tunnel_ ? tunnel_->url() : options_.url;
    const AVIOInterruptCB interrupt = interrupt_by(watch);
    const int code = ffmpeg_->avio_open2(&io, url.c_str(), AVIO_FLAG_READ, &interrupt, &settings);
    ffmpeg_->av_dict_free(&settings);
    if (code < 0) {
      VERGE_CHECK(connection_error(*ffmpeg_, code, watch, "connect", tunnel_.get()));
      return false;
    }
    const auto answer = own(*ffmpeg_, io);
    watch.hear();
    const std::string type = content_type(*answer);
    if (type.starts_with("multipart/")) {
      VERGE_CHECK(play_stream(watch, *answer));
      return false;
    }
    if (type.starts_with("image/")) {
      VERGE_CHECK(take_snapshot(watch, *answer));
      return true;
    }
    return Error{ErrorCode::unavailable,
                 fmt::format("it answers with \"{}\"; a camera sends multipart/x-mixed-replace or image/jpeg", type)};
  }

  /// In lower case but for the boundary, whose case counts.
  std::string content_type(AVIOContext& answer) {
    std::uint8_t* words = nullptr;
    if (ffmpeg_->av_opt_get(&answer, "mime_type", AV_OPT_SEARCH_CHILDREN, &words) < 0 || words == nullptr) return {};
    content_type_ = reinterpret_cast<const char*>(words);
    ffmpeg_->av_free(words);
    std::string type = content_type_.substr(0, content_type_.find(';'));
    std::ranges::transform(type, type.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return type;
  }

  /// The bytes that are there; empty at the end.
  Result<std::string_view> read(CameraWatch& watch, AVIOContext& answer) {
    const int count = ffmpeg_->avio_read_partial(&answer, reinterpret_cast<unsigned char*>(piece_.data()),
                                                 static_cast<int>(piece_.size()));
    if (count > 0 && !watch.has_to_end()) return std::string_view(piece_.data(), static_cast<std::size_t>(count));
    if (count == AVERROR_EOF || count == 0) return std::string_view();
    VERGE_CHECK(connection_error(*ffmpeg_, count > 0 ? AVERROR_EXIT : count, watch, "read"));
    return std::string_view();
  }

  Status play_stream(CameraWatch& watch, AVIOContext& answer) {
    MultipartReader parts(content_type_);
    for (;;) {
      VERGE_TRY(const std::string_view bytes, read(watch, answer));
      if (bytes.empty()) return Done{};
      VERGE_CHECK(parts.put(bytes, [&](std::string_view picture) {
        watch.hear();
        return decode(watch, picture, options_.wish);
      }));
    }
  }

  Status take_snapshot(CameraWatch& watch, AVIOContext& answer) {
    std::string picture;
    for (;;) {
      VERGE_TRY(const std::string_view bytes, read(watch, answer));
      if (bytes.empty()) break;
      picture += bytes;
      if (picture.size() > MultipartReader::kPartBytesMax) return Error{ErrorCode::limit, "a picture is over 32 MiB"};
    }
    if (watch.is_stopping()) return Done{};
    return decode(watch, picture, {});  // Each one was asked for because it is due.
  }

  Status decode(CameraWatch& watch, std::string_view picture, const PictureWish& wish) {
    // PNG is what a few cameras and many test servers send.
    const AVCodecID codec = picture.starts_with(kJpegBegin) ? AV_CODEC_ID_MJPEG : AV_CODEC_ID_PNG;
    if (!decoder_ || codec != codec_) {
      PictureDecoder::Format format;
      format.codec = codec;
      VERGE_TRY(decoder_, PictureDecoder::open(*ffmpeg_, format, wish, watch.counters()));
      watch.note_codec(codec_name(*ffmpeg_, codec));
      codec_ = codec;
    }
    const Arrival arrival = watch.now();
    watch.note_picture(true, arrival);
    if (CameraRecorder* recorder = watch.recorder()) recorder->put_whole(*ffmpeg_, codec, picture, arrival);
    decoder_->put_whole(picture, arrival.monotonic_us, arrival);
    for (;;) {
      VERGE_TRY(auto found, decoder_->next());
      if (!found) return Done{};
      watch.show(std::move(found->frame), found->arrival);
    }
  }

  const HttpCameraOptions options_;
  const FfmpegLibrary* ffmpeg_ = nullptr;
  std::unique_ptr<TlsTunnel> tunnel_;  ///< Of https.
  std::string content_type_;
  std::unique_ptr<PictureDecoder> decoder_;
  AVCodecID codec_ = AV_CODEC_ID_NONE;
  std::array<char, 65'536> piece_{};
};

}  // namespace

std::unique_ptr<CameraLink> make_http_link(HttpCameraOptions options) {
  return std::make_unique<HttpLink>(std::move(options));
}

}  // namespace verge::connectors
