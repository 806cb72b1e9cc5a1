// audio/transcripts/word_errors.h -- how far what was heard is from what was said, in words.
//
// Sources: Levenshtein 1966 over words; Bisani and Ney 2004 for the bootstrap over clips. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "training/validation.h"

namespace verge::audio {

/// The words that count: ASCII letters in lower case, digits, apostrophes within, and every byte above ASCII; all else
/// parts words. "Don't stop-now!" gives don't, stop, now.
std::vector<std::string> counted_words(std::string_view text);

enum class WordEdit : std::uint8_t { same, replaced, left_out, added };
struct AlignedWord {
  WordEdit edit = WordEdit::same;
  std::string said, heard;  ///< said is empty when added, heard when left out.
};
/// The alignment with the fewest edits; among equals, replacing before leaving out before adding, from the end.
/// Cost: O(said * heard) time and bytes. Bound: 3,000 words each; longer lists are cut.
std::vector<AlignedWord> align_words(std::span<const std::string> said, std::span<const std::string> heard);

struct WordErrors {
  std::size_t words = 0;  ///< That were said.
  std::size_t replaced = 0, left_out = 0, added = 0;
  std::size_t errors() const { return replaced + left_out + added; }
  /// Errors per word said; above 1 when more was added than said. 0 of nothing.
  double rate() const { return words == 0 ? 0 : static_cast<double>(errors()) / static_cast<double>(words); }
  WordErrors& operator+=(const WordErrors& other);
};
WordErrors count_errors(std::span<const AlignedWord> aligned);
WordErrors word_errors(std::string_view said, std::string_view heard);

/// Where the rate over all clips lies with 95 %, by drawing clips anew 2,000 times; of `after` minus `before` per draw
/// when both are given (paired: the same clips are drawn). Deterministic.
training::Interval rate_interval(std::span<const WordErrors> clips, std::uint64_t seed = 1);
training::Interval difference_interval(std::span<const WordErrors> before, std::span<const WordErrors> after,
                                       std::uint64_t seed = 1);

}  // namespace verge::audio
