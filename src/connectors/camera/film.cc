#include "connectors/camera/film.h"

#include <fmt/format.h>
#include <thread>

#include "connectors/ffmpeg_library.h"
#include "pipeline/restart.h"

namespace verge::connectors {
namespace {

constexpr auto kFilmStopCheck = std::chrono::milliseconds(100);

class FfmpegReader final : public FilmReader {
 public:
  FfmpegReader(const FfmpegLibrary& ffmpeg, CameraCounters* counters) : ffmpeg_(ffmpeg) {
    if (counters == nullptr) {
      unread_ = std::make_unique<Metrics>();
      own_counters_.emplace(*unread_, "");
      counters = &*own_counters_;
    }
    counters_ = counters;
  }

  Status open_file(const std::filesystem::path& path, const PictureWish& wish) {
    path_ = path.string();
    AVFormatContext* format = nullptr;
    if (const int code = ffmpeg_.avformat_open_input(&format, path_.c_str(), nullptr, nullptr); code < 0) {
      return failure(code == AVERROR(ENOENT) ? ErrorCode::not_found : ErrorCode::corrupt, words_for(ffmpeg_, code));
    }
    format_ = own(ffmpeg_, format);
    if (const int code = ffmpeg_.avformat_find_stream_info(format, nullptr); code < 0) {
      return failure(ErrorCode::corrupt, words_for(ffmpeg_, code));
    }
    const AVCodec* codec = nullptr;
    stream_ = ffmpeg_.av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (stream_ < 0 || codec == nullptr) return failure(ErrorCode::invalid_argument, "there is no film in it");
    packet_ = own(ffmpeg_, ffmpeg_.av_packet_alloc());
    if (!packet_) return failure(ErrorCode::limit, "no memory");
    for (unsigned i = 0; i < format->nb_streams; ++i) {
      if (i != static_cast<unsigned>(stream_)) format->streams[i]->discard = AVDISCARD_ALL;
    }
    AVStream& stream = *format->streams[stream_];
    PictureDecoder::Format pictures;
    pictures.parameters = stream.codecpar;
    pictures.time_base = stream.time_base;
    const AVRational rate = ffmpeg_.av_guess_frame_rate(format, &stream, nullptr);
    if (rate.num > 0 && rate.den > 0) step_us_ = ffmpeg_.av_rescale(1'000'000, rate.den, rate.num);
    pictures.step_us = step_us_;
    auto decoder = PictureDecoder::open(ffmpeg_, pictures, wish, *counters_);
    if (!decoder) return std::move(decoder).error().within("read film " + path_);
    decoder_ = *std::move(decoder);
    return Done{};
  }

  Result<std::optional<Picture>> next() override {
    for (;;) {
      auto picture = decoder_->next();
      if (!picture) return std::move(picture).error().within("read film " + path_);
      if (*picture) return std::optional(Picture{std::move((*picture)->frame), film_time((*picture)->time_us)});
      if (decoder_->is_at_end()) return std::optional<Picture>();
      feed();
    }
  }

  std::int64_t end_us() const override { return std::max(stream_end_us_ - first_us_.value_or(0), last_us_ + step_us_); }

  Status rewind() override {
    const int code = ffmpeg_.av_seek_frame(format_.get(), stream_, 0, AVSEEK_FLAG_BACKWARD);
    if (code < 0) return failure(ErrorCode::corrupt, "begin again: " + words_for(ffmpeg_, code));
    decoder_->flush();
    first_us_.reset();
    last_us_ = -1;
    stream_end_us_ = 0;
    tap_first_us_.reset();
    return Done{};
  }

  void set_tap(PacketTap tap) override { tap_ = std::move(tap); }
  const AVCodecParameters& parameters() const override { return *format_->streams[stream_]->codecpar; }
  AVRational time_base() const override { return format_->streams[stream_]->time_base; }

 private:
  Error failure(ErrorCode code, std::string_view words) const {
    return Error{code, fmt::format("read film {}: {}", path_, words)};
  }

  /// Gives the decoder the next packet, or the end.
  void feed() {
    for (;;) {
      if (ffmpeg_.av_read_frame(format_.get(), packet_.get()) < 0) {
        decoder_->put(nullptr);
        return;
      }
      const bool is_ours = packet_->stream_index == stream_;
      if (is_ours) {
        note_end(*packet_);
        if (tap_) show_packet(*packet_);
        decoder_->put(packet_.get());
      }
      ffmpeg_.av_packet_unref(packet_.get());
      if (is_ours) return;
    }
  }

  void show_packet(const AVPacket& packet) {
    const std::int64_t stamp = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
    const std::int64_t stream_us = stamp == AV_NOPTS_VALUE
                                       ? tap_us_ + step_us_
                                       : ffmpeg_.av_rescale_q(stamp, time_base(), AVRational{1, 1'000'000});
    if (!tap_first_us_) tap_first_us_ = stream_us;
    tap_us_ = stream_us;
    tap_(packet, stream_us - *tap_first_us_);
  }

  void note_end(const AVPacket& packet) {
    if (packet.pts == AV_NOPTS_VALUE) return;
    const AVRational base = format_->streams[stream_]->time_base;
    const std::int64_t begin_us = ffmpeg_.av_rescale_q(packet.pts, base, AVRational{1, 1'000'000});
    stream_end_us_ = std::max(stream_end_us_, begin_us + step_us_);
  }

  /// From 0, growing.
  std::int64_t film_time(std::int64_t stream_us) {
    if (!first_us_) first_us_ = stream_us;
    last_us_ = std::max(stream_us - *first_us_, last_us_ + 1);
    return last_us_;
  }

  const FfmpegLibrary& ffmpeg_;
  std::string path_;
  std::unique_ptr<Metrics> unread_;
  std::optional<CameraCounters> own_counters_;
  CameraCounters* counters_ = nullptr;
  FfmpegOwned<AVFormatContext> format_;
  FfmpegOwned<AVPacket> packet_;
  std::unique_ptr<PictureDecoder> decoder_;
  int stream_ = -1;
  PacketTap tap_;
  std::optional<std::int64_t> tap_first_us_;
  std::int64_t tap_us_ = 0;
  std::optional<std::int64_t> first_us_;
  std::int64_t last_us_ = -1, stream_end_us_ = 0, step_us_ = 40'000;
};

class FilmSource final : public pipeline::Source {
 public:
  FilmSource(FilmOptions options, const pipeline::Context& context)
      : options_(std::move(options)),
        context_(context),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        restart_(clock_),
        counters_(*context.metrics, context.stream),
        take_gauge_(
            context.metrics->gauge("verge_film_take", "Rounds of a looped film.", {{"stream", context.stream}})) {
    if (options_.pace) restart_.offer(context);
  }

  Status open() override {
    VERGE_TRY(reader_, FilmReader::open(options_.path, options_.wish, &counters_));
    if (!recorder_) recorder_ = CameraRecorder::make(context_, options_.record);
    return Done{};
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    while (!should_stop()) {
      VERGE_TRY(const bool is_restarted, play_once(emit, should_stop));
      if (!options_.loop && !is_restarted) break;
      VERGE_CHECK(reader_->rewind());
      take_gauge_.set(++take_);
    }
    if (recorder_) recorder_->finish();
    tell_evidence(emit);
    return Done{};
  }

  bool is_live() const override { return options_.pace; }

 private:
  /// Until the end, or until the film has to begin again: then true.
  Result<bool> play_once(const pipeline::Emit& emit, const std::function<bool()>& should_stop) {
    // Without pace a round begins where the last one ended, so that time goes on.
    const std::int64_t wall_us = options_.pace || next_wall_us_ == 0 ? clock_.now_us() : next_wall_us_;
    const std::int64_t monotonic_us = options_.pace || next_wall_us_ == 0 ? clock_.monotonic_us() : next_monotonic_us_;
    if (recorder_) keep_packets(wall_us, monotonic_us);
    while (!should_stop()) {
      tell_evidence(emit);
      VERGE_TRY(std::optional<FilmReader::Picture> picture, reader_->next());
      if (!picture) {
        next_wall_us_ = wall_us + reader_->end_us();
        next_monotonic_us_ = monotonic_us + reader_->end_us();
        if (options_.pace && !wait_until(next_monotonic_us_, should_stop)) return false;
        return restart_.take();
      }
      if (options_.pace && !wait_until(monotonic_us + picture->time_us, should_stop)) return false;
      if (restart_.take()) return true;
      picture->frame->take = take_;
      emit(scene_packet(std::move(picture->frame), {wall_us + picture->time_us, monotonic_us + picture->time_us}));
    }
    return false;
  }

  void keep_packets(std::int64_t wall_us, std::int64_t monotonic_us) {
    VERGE_ASSERT(open_ffmpeg());  // The reader has it.
    recorder_->begin(**open_ffmpeg(), reader_->parameters(), reader_->time_base());
    reader_->set_tap([this, wall_us, monotonic_us](const AVPacket& packet, std::int64_t time_us) {
      recorder_->put(packet, {wall_us + time_us, monotonic_us + time_us});
    });
  }

  void tell_evidence(const pipeline::Emit& emit) {
    if (!recorder_) return;
    for (contract::Event& event : recorder_->take_events()) emit(evidence_packet(std::move(event)));
  }

  /// False when it has to stop.
  bool wait_until(std::int64_t monotonic_us, const std::function<bool()>& should_stop) const {
    for (;;) {
      const std::int64_t left_us = monotonic_us - clock_.monotonic_us();
      if (left_us <= 0 || restart_.is_due()) return true;
      if (should_stop()) return false;
      std::this_thread::sleep_for(
          std::min<std::chrono::microseconds>(kFilmStopCheck, std::chrono::microseconds(left_us)));
    }
  }

  FilmOptions options_;
  const pipeline::Context context_;
  const Clock& clock_;
  pipeline::Restart restart_;
  CameraCounters counters_;
  Gauge& take_gauge_;
  std::unique_ptr<FilmReader> reader_;
  std::unique_ptr<CameraRecorder> recorder_;
  std::uint32_t take_ = 0;
  std::int64_t next_wall_us_ = 0, next_monotonic_us_ = 0;
};

}  // namespace

Result<std::unique_ptr<FilmReader>> FilmReader::open(const std::filesystem::path& path, const PictureWish& wish,
                                                     CameraCounters* counters) {
  VERGE_TRY(const FfmpegLibrary* ffmpeg, open_ffmpeg());
  auto reader = std::make_unique<FfmpegReader>(*ffmpeg, counters);
  VERGE_CHECK(reader->open_file(path, wish));
  return std::unique_ptr<FilmReader>(std::move(reader));
}

std::unique_ptr<pipeline::Source> make_film(FilmOptions options, const pipeline::Context& context) {
  return std::make_unique<FilmSource>(std::move(options), context);
}

}  // namespace verge::connectors
