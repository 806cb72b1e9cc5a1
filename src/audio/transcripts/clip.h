// audio/transcripts/clip.h -- a short recording and what is said in it: one line of a dataset's labels.jsonl.
//
// docs/formats/dataset.md describes the line. Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audio/speech/spoken_words.h"
#include "base/json.h"
#include "base/result.h"

namespace verge::audio {

/// One thing that a recogniser may have heard.
struct Alternative {
  std::string text;
  double log_probability = 0;  ///< Natural, of the whole text, as the recogniser sees it.
};

struct Clip {
  static constexpr std::size_t kTextBytesMax = 16U << 10U;
  static constexpr std::size_t kNameBytesMax = 200;  ///< Of speaker, room, device, split, source.
  static constexpr std::size_t kWordsMax = 2000;
  static constexpr std::size_t kAlternativesMax = 16;

  std::string media;         ///< Its name in the dataset, "media/gate-0001.flac"; unique.
  std::string digest;        ///< "sha256:…" of the file.
  double duration_s = 0;     ///< 0..3600
  std::string text;          ///< What counts now: what a person wrote, else what the model heard.
  bool is_reviewed = false;  ///< A person accepted or wrote the text.

  std::string heard;                      ///< What the model wrote; empty when none looked.
  double confidence = 0;                  ///< Of heard, 0..1.
  std::vector<SpokenWord> words;          ///< Of heard.
  std::vector<Alternative> alternatives;  ///< Other texts the model thought of, the likeliest first.
  std::string model;                      ///< Digest of the model that heard it.

  std::string speaker, room, device;  ///< Who, where, which microphone; empty when not known.
  std::string split;                  ///< "train", "dev", "test" or empty.
  std::string source;                 ///< The recording it was cut from; empty when it is whole.
  double begin_s = 0;                 ///< Where in source.
  std::int64_t captured_us = 0;       ///< When it was said, microseconds since the Unix epoch; 0 when not known.
  std::uint64_t revision = 0;         ///< Grows with every change, so that two who edit notice each other.
};

/// A word below it is marked for whoever reviews.
inline constexpr double kDoubtfulBelow = 0.6;

/// How much a person should look at it, 0..1: 1 minus the confidence of its least sure word; 0 once reviewed.
double doubt_of(const Clip& clip);

/// Empty and zero members are left out.
Json to_json(const Clip& clip);
/// Errors: invalid_argument naming the member: a wrong type or range, a media name that leaves the folder, limit.
Result<Clip> clip_from_json(const Json& json);

/// Whether `name` is a relative path of plain steps, below `media/`: letters, digits, . _ - and blanks.
bool is_media_name(std::string_view name);

}  // namespace verge::audio
