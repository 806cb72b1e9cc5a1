// audio/speech/vocabulary/phrase_bias.h -- makes a recogniser prefer phrases that are known to be said here.
//
// Shallow fusion with a trie (Zhao et al. 2019; Williams et al. 2018): while a hypothesis walks along a phrase, each
// letter earns a bonus; it pays back what it earned when it leaves the phrase before the end. The trie is over letters,
// not tokens, so that any recogniser's vocabulary fits. Capitals and punctuation do not count. Threads: immutable.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::audio {

class PhraseBias {
 public:
  static constexpr std::size_t kPhrasesMax = 5'000;
  static constexpr std::size_t kPhraseBytesMax = 200;

  /// Where a hypothesis is. Copy it with the hypothesis.
  struct State {
    std::uint32_t node = 0;
    double owed = 0;  ///< Earned on the way, not kept yet.
    bool is_word_open = false;
  };

  PhraseBias() = default;
  /// weight: bonus per letter, natural logarithm, 0..5; a phrase of ten letters at 0.3 is preferred e^3 times. Errors:
  /// invalid_argument (weight; a phrase without letters or longer than kPhraseBytesMax), limit (kPhrasesMax).
  static Result<PhraseBias> make(std::span<const std::string> phrases, double weight);

  bool is_empty() const { return nodes_.size() < 2; }
  /// What `text`, appended to the hypothesis, earns (or, negative, pays back).
  double add(std::string_view text, State& state) const;
  /// The end of the hypothesis: what it pays back.
  double finish(State& state) const;

 private:
  struct Node {
    std::map<char, std::uint32_t> next;
    bool is_end = false;
  };
  double leave(State& state) const;

  std::vector<Node> nodes_;
  double weight_ = 0;
};

/// Lower-case letters and digits, words parted by one blank each: what phrases and commands are compared by.
std::string plain_words(std::string_view text);

}  // namespace verge::audio
