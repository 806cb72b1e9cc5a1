// audio/transcripts/word_model.h -- which words follow which: a small language model from corrected texts.
//
// Interpolated modified Kneser-Ney over words, orders 1 to 3. Sources: Kneser and Ney 1995; Chen and Goodman 1999,
// section 3 (three discounts per order, from the counts of counts). Words are those of counted_words(); a word that the
// model has not seen gets an equal share of what the lowest order leaves over a vocabulary of kUnknownWords words.
// Threads: immutable after it is made; share it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audio/transcripts/clip.h"
#include "base/result.h"

namespace verge::audio {

class WordModel {
 public:
  static constexpr int kOrderMax = 3;
  static constexpr std::size_t kVocabularyMax = 200'000;
  static constexpr std::size_t kEntriesMax = 2'000'000;  ///< Of all orders together.
  static constexpr double kUnknownWords = 50'000;        ///< As many unseen words share what is left for them.

  /// From texts, each with its weight 1. Errors: invalid_argument without a word, limit.
  static Result<WordModel> learn(std::span<const std::string> texts, int order = kOrderMax);

  /// Natural logarithm of the probability of the text with its end, a sentence of its own.
  double log_probability(std::string_view text) const;
  /// Of `word` after `before` (the last two count); beyond the model's order the rest is ignored.
  double log_probability_of(std::span<const std::string> before, const std::string& word) const;
  /// exp of minus the mean log probability per word and end; how many words it hesitates between.
  double perplexity(std::span<const std::string> texts) const;
  bool knows(std::string_view word) const { return ids_.contains(word); }
  std::size_t vocabulary() const { return ids_.size(); }
  int order() const { return order_; }

  /// ARPA text, base-10 logarithms, as SRILM writes and other decoders read. docs/formats/word-model.md.
  std::string to_arpa() const;
  /// Errors: invalid_argument "NAME:LINE: …", limit.
  static Result<WordModel> from_arpa(std::string_view text, std::string_view name);

 private:
  using WordId = std::uint32_t;
  using Key = std::vector<WordId>;
  struct Entry {
    double log_probability = 0;  ///< Natural.
    double log_backoff = 0;      ///< Of the words of this entry as a history.
  };
  WordId id_of(std::string_view word) const;
  double log_probability_of_ids(std::span<const WordId> before, WordId word) const;

  int order_ = 1;
  std::map<std::string, WordId, std::less<>> ids_;
  std::vector<std::string> words_;             ///< By id; the first three are <unk>, <s>, </s>.
  std::vector<std::map<Key, Entry>> entries_;  ///< By order - 1.
};

/// The index of the best alternative when the model's log probability times `weight` is added to the recogniser's, and
/// `word_bonus` per word against its leaning to short texts. Equals keep their order. Errors none; empty gives 0.
std::size_t rescore(std::span<const Alternative> alternatives, const WordModel& model, double weight,
                    double word_bonus = 0);

}  // namespace verge::audio
