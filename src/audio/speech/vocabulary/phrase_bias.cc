#include "audio/speech/vocabulary/phrase_bias.h"

#include <fmt/format.h>

namespace verge::audio {
namespace {

/// Letters and digits as they count, ' ' for what parts words, 0 for what does not matter (an apostrophe).
char plain_letter(char letter) {
  if (letter >= 'A' && letter <= 'Z') return static_cast<char>(letter - 'A' + 'a');
  const auto byte = static_cast<unsigned char>(letter);
  if ((letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || byte >= 0x80) return letter;
  return letter == '\'' ? '\0' : ' ';
}

}  // namespace

std::string plain_words(std::string_view text) {
  std::string words;
  for (const char written : text) {
    const char letter = plain_letter(written);
    if (letter == '\0' || (letter == ' ' && (words.empty() || words.back() == ' '))) continue;
    words += letter;
  }
  if (words.ends_with(' ')) words.pop_back();
  return words;
}

Result<PhraseBias> PhraseBias::make(std::span<const std::string> phrases, double weight) {
  if (!(weight >= 0 && weight <= 5))
    return Error{ErrorCode::invalid_argument, fmt::format("prefer phrases: weight is {:g}; give 0 to 5", weight)};
  if (phrases.size() > kPhrasesMax) {
    return Error{ErrorCode::limit,
                 fmt::format("prefer phrases: {} phrases; give {} at most", phrases.size(), kPhrasesMax)};
  }
  PhraseBias bias;
  bias.weight_ = weight;
  bias.nodes_.emplace_back();
  for (const auto& phrase : phrases) {
    const std::string words = plain_words(phrase);
    if (words.empty() || phrase.size() > kPhraseBytesMax) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("prefer phrases: \"{}\" has no letters or more than {} bytes", phrase.substr(0, 60),
                               kPhraseBytesMax)};
    }
    std::uint32_t node = 0;
    for (const char letter : words) {
      const auto next = static_cast<std::uint32_t>(bias.nodes_.size());
      const auto [place, is_new] = bias.nodes_[node].next.try_emplace(letter, next);
      node = place->second;
      if (is_new) bias.nodes_.emplace_back();
    }
    bias.nodes_[node].is_end = true;
  }
  return bias;
}

/// Back to the beginning; what a whole phrase earned is kept.
double PhraseBias::leave(State& state) const {
  const double paid = nodes_[state.node].is_end ? 0 : -state.owed;
  state.node = 0;
  state.owed = 0;
  return paid;
}

double PhraseBias::add(std::string_view text, State& state) const {
  if (is_empty()) return 0;
  double earned = 0;
  for (const char written : text) {
    const char letter = plain_letter(written);
    if (letter == '\0') continue;
    if (letter == ' ') {
      if (!state.is_word_open) continue;
      state.is_word_open = false;
      const auto next = nodes_[state.node].next.find(' ');
      if (next == nodes_[state.node].next.end()) {
        earned += leave(state);
      } else {
        if (nodes_[state.node].is_end) state.owed = 0;  // A whole phrase, and perhaps a longer one.
        state.node = next->second;
      }
      continue;
    }
    // Only at the beginning of a word may a phrase begin.
    const bool may_begin = !state.is_word_open;
    state.is_word_open = true;
    auto next = nodes_[state.node].next.find(letter);
    if (next == nodes_[state.node].next.end()) {
      // Within a word even a whole phrase ("stop") was none ("stopping").
      earned -= state.owed;
      state = {0, 0, true};
      if (!may_begin) continue;
      next = nodes_[0].next.find(letter);
      if (next == nodes_[0].next.end()) continue;
    } else if (state.node == 0 && !may_begin) {
      continue;
    }
    state.node = next->second;
    state.owed += weight_;
    earned += weight_;
  }
  return earned;
}

double PhraseBias::finish(State& state) const { return is_empty() ? 0 : leave(state); }

}  // namespace verge::audio
