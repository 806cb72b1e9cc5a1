// connectors/film.h -- a film file played as a camera.
//
// Decodes with FFmpeg on one thread, straight to yuv420 frames that the decoder's own pool lends: nothing is copied.
// With `pace` it plays at the film's own speed and behaves like a live camera (late pictures are dropped, never
// queued); without, pictures come as fast as they are taken and their times are the film's, counted from the start.
// With `loop` it begins again at the end; Frame::take counts the rounds. With `pace`, method `restart` begins a new
// round at once and answers {"captured_us": n}: nothing captured before that time belongs to it. Threads: as
// pipeline::Source.
#pragma once

#include <memory>

#include "base/time.h"
#include "pipeline/stage.h"

namespace verge::connectors {

struct FilmOptions {
  std::filesystem::path path;
  double fps_max = 0;  ///< Pictures per second taken, evenly; 0: all.
  bool loop = false;
  bool pace = true;
};

/// Reads frames one by one; for whoever needs pictures without a pipeline (the bench).
/// Threads: used by one thread at a time.
class FilmReader {
 public:
  /// Errors: not_found, invalid_argument (no video in it, no decoder), corrupt. FFmpeg missing is not_found, too.
  static Result<std::unique_ptr<FilmReader>> open(const std::filesystem::path& path);
  virtual ~FilmReader() = default;
  struct Picture {
    std::shared_ptr<pipeline::Frame> frame;
    std::int64_t time_us = 0;  ///< Since the film's beginning.
  };
  /// Nothing at the end. Errors: corrupt; a single broken picture is skipped.
  virtual Result<std::optional<Picture>> next() = 0;
  /// Back to the beginning. Errors: corrupt.
  virtual Status rewind() = 0;
};

pipeline::Kind<pipeline::Source> camera_kind();

}  // namespace verge::connectors
