// connectors/camera/film.h -- a film file played as a camera.
//
// With `pace` it plays at the film's own speed and behaves like a live camera (late pictures are dropped, never
// queued); without, pictures come as fast as they are taken and their times are the film's, counted from the start.
// With `loop` it begins again at the end; Frame::take counts the rounds. With `pace`, method `restart` begins a new
// round at once and answers {"captured_us": n}: nothing captured before that time belongs to it. Threads: as
// pipeline::Source.
#pragma once

#include <memory>

#include "connectors/camera/camera_counters.h"
#include "connectors/camera/camera_recorder.h"
#include "connectors/camera/picture_decoder.h"
#include "pipeline/stage.h"

namespace verge::connectors {

struct FilmOptions {
  std::filesystem::path path;
  PictureWish wish;
  bool loop = false;
  bool pace = true;
  std::optional<RecordWish> record{};
};

/// Reads frames one by one; for whoever needs pictures without a pipeline (the bench).
/// Threads: used by one thread at a time.
class FilmReader {
 public:
  /// `counters` outlives the reader; null: nobody counts. Errors: not_found, invalid_argument (no video in it, no
  /// decoder), corrupt. FFmpeg missing is not_found, too.
  static Result<std::unique_ptr<FilmReader>> open(const std::filesystem::path& path, const PictureWish& wish = {},
                                                  CameraCounters* counters = nullptr);
  virtual ~FilmReader() = default;
  struct Picture {
    std::shared_ptr<pipeline::Frame> frame;
    std::int64_t time_us = 0;  ///< Since the film's beginning.
  };
  /// The next wanted picture; nothing at the end. Errors: corrupt; a single broken picture is skipped.
  virtual Result<std::optional<Picture>> next() = 0;
  /// Where the pictures read so far end, wanted or not; after the last one: how long the film is.
  virtual std::int64_t end_us() const = 0;
  /// Gets every compressed picture before it is decoded, with its time since the film's beginning; null: nobody.
  using PacketTap = std::function<void(const AVPacket& packet, std::int64_t time_us)>;
  virtual void set_tap(PacketTap tap) = 0;
  /// How the compressed pictures are: of the film, valid as long as the reader.
  virtual const AVCodecParameters& parameters() const = 0;
  virtual AVRational time_base() const = 0;
  /// Back to the beginning. Errors: corrupt.
  virtual Status rewind() = 0;
};

std::unique_ptr<pipeline::Source> make_film(FilmOptions options, const pipeline::Context& context);

}  // namespace verge::connectors
