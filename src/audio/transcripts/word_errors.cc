#include "audio/transcripts/word_errors.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace verge::audio {
namespace {

constexpr std::size_t kAlignedMax = 3000;
constexpr int kDraws = 2000;

bool is_word_letter(char letter) {
  const auto byte = static_cast<unsigned char>(letter);
  return byte >= 0x80 || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9');
}

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter; }

/// The typographic apostrophe counts as the plain one; other marks above ASCII that only part words become a blank.
std::string with_plain_marks(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size();) {
    const auto three = text.substr(at, 3);
    if (three == "\xE2\x80\x99") {
      plain += '\'';
      at += 3;
    } else if (three.size() == 3 && three.starts_with("\xE2\x80")) {  // Dashes, quotes, the ellipsis.
      plain += ' ';
      at += 3;
    } else {
      plain += text[at++];
    }
  }
  return plain;
}

/// The rate over the clips that were drawn.
double drawn_rate(std::span<const WordErrors> clips, std::span<const std::size_t> drawn) {
  WordErrors sum;
  for (const auto at : drawn) sum += clips[at];
  return sum.rate();
}

training::Interval middle_95(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double part) {
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.025), at(0.975)};
}

template <class Measure>
training::Interval bootstrap(std::size_t count, std::uint64_t seed, const Measure& measure) {
  if (count == 0) return {0, 0};
  training::SeededNumbers random(seed);
  std::vector<std::size_t> drawn(count);
  std::vector<double> values;
  for (int draw = 0; draw < kDraws; ++draw) {
    for (auto& at : drawn) at = random.below(count);
    values.push_back(measure(drawn));
  }
  return middle_95(std::move(values));
}

}  // namespace

std::vector<std::string> counted_words(std::string_view text) {
  const std::string plain = with_plain_marks(text);
  std::vector<std::string> words;
  std::string word;
  for (std::size_t at = 0; at <= plain.size(); ++at) {
    const char letter = at < plain.size() ? plain[at] : ' ';
    if (is_word_letter(letter)) {
      word += lower(letter);
    } else if (letter == '\'' && !word.empty() && at + 1 < plain.size() && is_word_letter(plain[at + 1])) {
      word += letter;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  return words;
}

std::vector<AlignedWord> align_words(std::span<const std::string> said, std::span<const std::string> heard) {
  said = said.first(std::min(said.size(), kAlignedMax));
  heard = heard.first(std::min(heard.size(), kAlignedMax));
  const std::size_t columns = heard.size() + 1;
  std::vector<std::uint16_t> cost((said.size() + 1) * columns);
  for (std::size_t i = 0; i <= said.size(); ++i) {
    for (std::size_t j = 0; j <= heard.size(); ++j) {
      std::size_t best = i + j;
      if (i > 0 && j > 0) {
        best = std::min<std::size_t>({cost[(i - 1) * columns + j - 1] + (said[i - 1] == heard[j - 1] ? 0U : 1U),
                                      cost[(i - 1) * columns + j] + 1U, cost[i * columns + j - 1] + 1U});
      }
      cost[i * columns + j] = static_cast<std::uint16_t>(best);
    }
  }
  std::vector<AlignedWord> aligned;
  for (std::size_t i = said.size(), j = heard.size(); i > 0 || j > 0;) {
    const std::size_t here = cost[i * columns + j];
    if (i > 0 && j > 0 && here == cost[(i - 1) * columns + j - 1] + (said[i - 1] == heard[j - 1] ? 0U : 1U)) {
      --i, --j;
      aligned.push_back({said[i] == heard[j] ? WordEdit::same : WordEdit::replaced, said[i], heard[j]});
    } else if (i > 0 && here == cost[(i - 1) * columns + j] + 1U) {
      aligned.push_back({WordEdit::left_out, said[--i], ""});
    } else {
      aligned.push_back({WordEdit::added, "", heard[--j]});
    }
  }
  std::ranges::reverse(aligned);
  return aligned;
}

WordErrors& WordErrors::operator+=(const WordErrors& other) {
  words += other.words;
  replaced += other.replaced;
  left_out += other.left_out;
  added += other.added;
  return *this;
}

WordErrors count_errors(std::span<const AlignedWord> aligned) {
  WordErrors errors;
  for (const auto& word : aligned) {
    if (word.edit != WordEdit::added) ++errors.words;
    if (word.edit == WordEdit::replaced) ++errors.replaced;
    if (word.edit == WordEdit::left_out) ++errors.left_out;
    if (word.edit == WordEdit::added) ++errors.added;
  }
  return errors;
}

WordErrors word_errors(std::string_view said, std::string_view heard) {
  return count_errors(align_words(counted_words(said), counted_words(heard)));
}

training::Interval rate_interval(std::span<const WordErrors> clips, std::uint64_t seed) {
  return bootstrap(clips.size(), seed, [&](const auto& drawn) { return drawn_rate(clips, drawn); });
}

training::Interval difference_interval(std::span<const WordErrors> before, std::span<const WordErrors> after,
                                       std::uint64_t seed) {
  VERGE_ASSERT(before.size() == after.size());
  return bootstrap(before.size(), seed,
                   [&](const auto& drawn) { return drawn_rate(after, drawn) - drawn_rate(before, drawn); });
}

}  // namespace verge::audio
