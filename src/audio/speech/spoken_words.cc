#include "audio/speech/spoken_words.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace verge::audio {
namespace {

/// One letter more than it has: between words there is a gap.
double share_of(const SpokenWord& word) { return static_cast<double>(word.text.size() + 1); }

void share_out(std::vector<SpokenWord>& words, double duration_s) {
  double all = 0;
  for (const auto& word : words) all += share_of(word);
  double at = 0;
  for (auto& word : words) {
    word.begin_s = at / all * duration_s;
    at += share_of(word);
    word.end_s = at / all * duration_s;
  }
}

}  // namespace

std::vector<SpokenWord> spoken_words(const TokenText& tokens, std::span<const std::int64_t> ids,
                                     std::span<const double> log_probabilities, double duration_s) {
  VERGE_ASSERT(ids.size() == log_probabilities.size());
  std::vector<SpokenWord> words;
  bool begins = true;
  for (std::size_t at = 0; at < ids.size(); ++at) {
    std::string_view piece = tokens.piece(ids[at]);
    const auto blanks = std::min(piece.size(), piece.find_first_not_of(' '));
    begins = begins || blanks > 0;
    piece.remove_prefix(blanks);
    if (piece.empty()) continue;
    const double confidence = std::exp(log_probabilities[at]);
    if (begins) {
      words.push_back({std::string(piece), confidence});
    } else {
      words.back().text += piece;
      words.back().confidence = std::min(words.back().confidence, confidence);
    }
    begins = piece.ends_with(' ');
    if (begins) words.back().text.pop_back();
  }
  share_out(words, duration_s);
  return words;
}

}  // namespace verge::audio
