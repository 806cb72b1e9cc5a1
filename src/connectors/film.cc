#include "connectors/film.h"

#include <atomic>
#include <fmt/format.h>
#include <thread>

#include "base/json.h"
#include "connectors/ffmpeg_library.h"

namespace verge::connectors {
namespace {

using pipeline::Frame;
using pipeline::Packet;
using pipeline::Scene;

constexpr int kBrokenPicturesMax = 100;  // In a row; more means the file is no film.
constexpr auto kStopCheck = std::chrono::milliseconds(100);
constexpr std::int64_t kRestartDelayUs = 200'000;  // Pictures under way get through before a restart.

struct Free {
  const FfmpegLibrary* ffmpeg = nullptr;
  void operator()(AVFormatContext* context) const { ffmpeg->avformat_close_input(&context); }
  void operator()(AVCodecContext* context) const { ffmpeg->avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { ffmpeg->av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { ffmpeg->av_packet_free(&packet); }
  void operator()(SwsContext* context) const { ffmpeg->sws_freeContext(context); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

bool is_yuv420(const AVFrame& frame) {
  return (frame.format == AV_PIX_FMT_YUV420P || frame.format == AV_PIX_FMT_YUVJ420P) && frame.linesize[0] > 0;
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

class FfmpegReader final : public FilmReader {
 public:
  explicit FfmpegReader(const FfmpegLibrary& ffmpeg) : ffmpeg_(ffmpeg) {}

  Status open_file(const std::filesystem::path& path) {
    path_ = path.string();
    AVFormatContext* format = nullptr;
    if (const int code = ffmpeg_.avformat_open_input(&format, path_.c_str(), nullptr, nullptr); code < 0) {
      return failure(code == AVERROR(ENOENT) ? ErrorCode::not_found : ErrorCode::corrupt, words_for(code));
    }
    format_ = own(format);
    if (const int code = ffmpeg_.avformat_find_stream_info(format, nullptr); code < 0) {
      return failure(ErrorCode::corrupt, words_for(code));
    }
    const AVCodec* codec = nullptr;
    stream_ = ffmpeg_.av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (stream_ < 0 || codec == nullptr) return failure(ErrorCode::invalid_argument, "there is no film in it");
    decoder_ = own(ffmpeg_.avcodec_alloc_context3(codec));
    packet_ = own(ffmpeg_.av_packet_alloc());
    if (!decoder_ || !packet_) return failure(ErrorCode::limit, "no memory");
    decoder_->thread_count = 1;  // Frame threads would hold pictures back.
    const AVStream& stream = *format->streams[stream_];
    if (const int code = ffmpeg_.avcodec_parameters_to_context(decoder_.get(), stream.codecpar); code < 0) {
      return failure(ErrorCode::corrupt, words_for(code));
    }
    if (const int code = ffmpeg_.avcodec_open2(decoder_.get(), codec, nullptr); code < 0) {
      return failure(ErrorCode::invalid_argument, words_for(code));
    }
    const AVRational rate = ffmpeg_.av_guess_frame_rate(format, format->streams[stream_], nullptr);
    step_us_ = rate.num > 0 && rate.den > 0 ? ffmpeg_.av_rescale(1'000'000, rate.den, rate.num) : 40'000;
    return Done{};
  }

  Result<std::optional<Picture>> next() override {
    for (int broken = 0; broken < kBrokenPicturesMax;) {
      auto frame = own(ffmpeg_.av_frame_alloc());
      if (!frame) return failure(ErrorCode::limit, "no memory");
      const int code = ffmpeg_.avcodec_receive_frame(decoder_.get(), frame.get());
      if (code == 0) {
        VERGE_TRY(Picture picture, picture_of(std::move(frame)));
        return std::optional(std::move(picture));
      }
      if (code == AVERROR_EOF) return std::optional<Picture>();
      if (code != AVERROR(EAGAIN)) {
        ++broken;
        continue;
      }
      if (!feed()) ++broken;
    }
    return failure(ErrorCode::corrupt, fmt::format("{} broken pictures in a row", kBrokenPicturesMax));
  }

  Status rewind() override {
    const int code = ffmpeg_.av_seek_frame(format_.get(), stream_, 0, AVSEEK_FLAG_BACKWARD);
    if (code < 0) return failure(ErrorCode::corrupt, "begin again: " + words_for(code));
    ffmpeg_.avcodec_flush_buffers(decoder_.get());
    is_at_end_ = false;
    first_us_ = -1;
    last_us_ = -1;
    return Done{};
  }

 private:
  template <class T>
  Owned<T> own(T* object) const {
    return Owned<T>(object, Free{&ffmpeg_});
  }

  std::string words_for(int code) const {
    char words[AV_ERROR_MAX_STRING_SIZE] = {};
    ffmpeg_.av_strerror(code, words, sizeof words);
    return words;
  }

  Error failure(ErrorCode code, std::string_view words) const {
    return Error{code, fmt::format("read film {}: {}", path_, words)};
  }

  /// Gives the decoder the next packet, or the end. False when the packet was broken.
  bool feed() {
    if (is_at_end_) return false;
    for (;;) {
      const int code = ffmpeg_.av_read_frame(format_.get(), packet_.get());
      if (code < 0) {
        is_at_end_ = true;
        return ffmpeg_.avcodec_send_packet(decoder_.get(), nullptr) == 0;
      }
      const bool is_ours = packet_->stream_index == stream_;
      const bool is_taken = is_ours && ffmpeg_.avcodec_send_packet(decoder_.get(), packet_.get()) == 0;
      ffmpeg_.av_packet_unref(packet_.get());
      if (is_ours) return is_taken;
    }
  }

  std::int64_t time_of(const AVFrame& frame) {
    std::int64_t time_us = last_us_ < 0 ? 0 : last_us_ + step_us_;
    if (frame.best_effort_timestamp != AV_NOPTS_VALUE) {
      const AVRational base = format_->streams[stream_]->time_base;
      const std::int64_t stamp_us = ffmpeg_.av_rescale_q(frame.best_effort_timestamp, base, AVRational{1, 1'000'000});
      if (first_us_ < 0) first_us_ = stamp_us;
      time_us = stamp_us - first_us_;
    }
    last_us_ = std::max(time_us, last_us_ + 1);
    return last_us_;
  }

  Result<Picture> picture_of(Owned<AVFrame> frame) {
    const std::int64_t time_us = time_of(*frame);
    const bool is_full = frame->color_range == AVCOL_RANGE_JPEG || frame->format == AV_PIX_FMT_YUVJ420P;
    if (is_yuv420(*frame)) return Picture{view_of(std::shared_ptr<AVFrame>(std::move(frame)), is_full), time_us};
    auto converted = own(ffmpeg_.av_frame_alloc());
    if (!converted) return failure(ErrorCode::limit, "no memory");
    converted->width = frame->width;
    converted->height = frame->height;
    converted->format = AV_PIX_FMT_YUV420P;
    if (ffmpeg_.av_frame_get_buffer(converted.get(), 64) < 0) return failure(ErrorCode::limit, "no memory");
    scaler_ = own(ffmpeg_.sws_getCachedContext(scaler_.release(), frame->width, frame->height,
                                               static_cast<AVPixelFormat>(frame->format), frame->width, frame->height,
                                               AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr, nullptr, nullptr));
    if (!scaler_) return failure(ErrorCode::invalid_argument, "its pixel format cannot be converted");
    ffmpeg_.sws_scale(scaler_.get(), frame->data, frame->linesize, 0, frame->height, converted->data,
                      converted->linesize);
    return Picture{view_of(std::shared_ptr<AVFrame>(std::move(converted)), is_full), time_us};
  }

  const FfmpegLibrary& ffmpeg_;
  std::string path_;
  Owned<AVFormatContext> format_;
  Owned<AVCodecContext> decoder_;
  Owned<AVPacket> packet_;
  Owned<SwsContext> scaler_;
  int stream_ = -1;
  bool is_at_end_ = false;
  std::int64_t step_us_ = 40'000, first_us_ = -1, last_us_ = -1;
};

class FilmSource final : public pipeline::Source {
 public:
  FilmSource(FilmOptions options, const pipeline::Context& context)
      : options_(std::move(options)),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        take_gauge_(
            context.metrics->gauge("verge_film_take", "Rounds of a looped film.", {{"stream", context.stream}})) {
    if (!context.add_method || !options_.pace) return;
    context.add_method("restart", [this](const Json& parameters) {
      if (parameters.value("describe", false)) {
        return pipeline::MethodReply{200, Json{{"title", "Play from the beginning"}, {"parameters", Json::array()}}};
      }
      const std::int64_t at_us = clock_.now_us() + kRestartDelayUs;
      restart_at_us_ = at_us;
      return pipeline::MethodReply{200, Json{{"captured_us", at_us}}};
    });
  }

  Status open() override {
    VERGE_TRY(reader_, FilmReader::open(options_.path));
    return Done{};
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    while (!should_stop()) {
      VERGE_TRY(const bool is_restarted, play_once(emit, should_stop));
      if (!options_.loop && !is_restarted) break;
      VERGE_CHECK(reader_->rewind());
      take_gauge_.set(++take_);
    }
    return Done{};
  }

  bool is_live() const override { return options_.pace; }

 private:
  /// Until the end, or until the film has to begin again: then true.
  Result<bool> play_once(const pipeline::Emit& emit, const std::function<bool()>& should_stop) {
    // Without pace a round begins where the last one ended, so that time goes on.
    const std::int64_t wall_us = options_.pace || next_wall_us_ == 0 ? clock_.now_us() : next_wall_us_;
    const std::int64_t monotonic_us = options_.pace || next_wall_us_ == 0 ? clock_.monotonic_us() : next_monotonic_us_;
    double due = 0;  // The film's time from which the next picture is taken, in pictures of fps_max.
    while (!should_stop()) {
      VERGE_TRY(std::optional<FilmReader::Picture> picture, reader_->next());
      if (!picture) return false;
      next_wall_us_ = wall_us + picture->time_us + 100'000;
      next_monotonic_us_ = monotonic_us + picture->time_us + 100'000;
      if (options_.fps_max > 0) {
        const double at = static_cast<double>(picture->time_us) * options_.fps_max / 1e6;
        if (at + 1e-3 < due) continue;
        due = std::max(due + 1, at);
      }
      if (options_.pace && !wait_until(monotonic_us + picture->time_us, should_stop)) return false;
      if (takes_restart()) return true;
      emit(packet_of(std::move(*picture), wall_us, monotonic_us));
    }
    return false;
  }

  bool takes_restart() {
    const std::int64_t at_us = restart_at_us_;
    if (at_us == 0 || clock_.now_us() < at_us) return false;
    restart_at_us_ = 0;
    return true;
  }

  bool wait_until(std::int64_t monotonic_us, const std::function<bool()>& should_stop) const {
    for (;;) {
      const std::int64_t left_us = monotonic_us - clock_.monotonic_us();
      if (left_us <= 0) return true;
      if (should_stop()) return false;
      std::this_thread::sleep_for(std::min<std::chrono::microseconds>(kStopCheck, std::chrono::microseconds(left_us)));
    }
  }

  Packet packet_of(FilmReader::Picture picture, std::int64_t wall_us, std::int64_t monotonic_us) const {
    picture.frame->take = take_;
    auto scene = std::make_shared<Scene>();
    scene->frame = std::move(picture.frame);
    Packet packet;
    packet.captured_us = wall_us + picture.time_us;
    packet.monotonic_us = monotonic_us + picture.time_us;
    packet.payload = std::shared_ptr<const Scene>(std::move(scene));
    return packet;
  }

  FilmOptions options_;
  const Clock& clock_;
  Gauge& take_gauge_;
  std::unique_ptr<FilmReader> reader_;
  std::uint32_t take_ = 0;
  std::int64_t next_wall_us_ = 0, next_monotonic_us_ = 0;
  std::atomic<std::int64_t> restart_at_us_{0};  // Set by the method, on the control thread.
};

}  // namespace

Result<std::unique_ptr<FilmReader>> FilmReader::open(const std::filesystem::path& path) {
  VERGE_TRY(const FfmpegLibrary* ffmpeg, open_ffmpeg());
  auto reader = std::make_unique<FfmpegReader>(*ffmpeg);
  VERGE_CHECK(reader->open_file(path));
  return std::unique_ptr<FilmReader>(std::move(reader));
}

pipeline::Kind<pipeline::Source> camera_kind() {
  return {
      .name = "camera",
      .where = "connectors/film.h",
      .summary = "Pictures of a film file, played as a camera.",
      .options = {{"url", "text", "Path of the film, relative to the pipeline file.", nullptr, true},
                  {"fps", "number", "At most so many pictures a second; 0: all.", 0},
                  {"loop", "flag", "Begin again at the end.", false},
                  {"pace", "flag", "At the film's own speed, dropping late pictures; false: as fast as possible.",
                   true}},
      .make = [](const Json& options, const pipeline::Context& context) -> Result<std::unique_ptr<pipeline::Source>> {
        FilmOptions settings;
        const std::string url = options["url"].get<std::string>();
        if (url.find("://") != std::string::npos) {
          return Error{ErrorCode::invalid_argument, "open camera " + url + ": only paths of film files are supported"};
        }
        settings.path = context.folder / url;
        settings.fps_max = options["fps"].get<double>();
        settings.loop = options["loop"].get<bool>();
        settings.pace = options["pace"].get<bool>();
        if (!(settings.fps_max >= 0 && settings.fps_max <= 1000)) {
          return Error{ErrorCode::invalid_argument, "fps must be 0 to 1000"};
        }
        return std::unique_ptr<pipeline::Source>(std::make_unique<FilmSource>(std::move(settings), context));
      }};
}

}  // namespace verge::connectors
