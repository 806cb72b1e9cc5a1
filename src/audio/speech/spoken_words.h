// audio/speech/spoken_words.h -- the words of a token sequence, each with its confidence and about when it was said.
//
// Threads: pure function.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "audio/speech/token_text.h"

namespace verge::audio {

struct SpokenWord {
  std::string text;       ///< As written: "Failed."
  double confidence = 0;  ///< Probability of its least likely token, 0..1.
  /// Seconds from the first sample. Shared out over the utterance by the words' letters: an encoder and decoder say
  /// nothing about time, so a word may be off by half a second, more where somebody pauses.
  double begin_s = 0, end_s = 0;
};

/// A word begins at a token that begins with a blank, and at the first.
/// log_probabilities  natural, one per id; duration_s  of the utterance
std::vector<SpokenWord> spoken_words(const TokenText& tokens, std::span<const std::int64_t> ids,
                                     std::span<const double> log_probabilities, double duration_s);

}  // namespace verge::audio
