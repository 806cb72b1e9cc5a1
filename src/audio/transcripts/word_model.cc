#include "audio/transcripts/word_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <set>

#include "audio/transcripts/word_errors.h"
#include "base/bytes.h"

namespace verge::audio {
namespace {

constexpr std::uint32_t kUnknownId = 0, kBeginId = 1, kEndId = 2;
constexpr std::string_view kNamedWords[] = {"<unk>", "<s>", "</s>"};
constexpr double kLn10 = 2.302585092994046;
constexpr double kNever = -99;  ///< What ARPA writes for a probability of 0.

using Ids = std::vector<std::uint32_t>;
using Counts = std::map<Ids, double>;

/// What modified Kneser-Ney takes off a count of 1, 2, and 3 or more.
struct Discounts {
  std::array<double, 3> of{0.5, 0.75, 0.9};
  double at(double count) const { return count <= 0 ? 0 : of[static_cast<std::size_t>(std::min(count, 3.0)) - 1]; }
};

/// From the counts of counts; small samples have none of some, then the fixed values above stay.
Discounts discounts_of(const Counts& counts) {
  std::array<double, 5> with{};
  for (const auto& [ids, count] : counts) {
    if (count >= 1 && count <= 4) ++with[static_cast<std::size_t>(count)];
  }
  Discounts discounts;
  if (with[1] == 0 || with[2] == 0) return discounts;
  const double y = with[1] / (with[1] + 2 * with[2]);
  for (std::size_t k = 1; k <= 3; ++k) {
    if (with[k] == 0) continue;
    const double found = static_cast<double>(k) - static_cast<double>(k + 1) * y * with[k + 1] / with[k];
    if (found > 0 && found < static_cast<double>(k)) discounts.of[k - 1] = found;
  }
  return discounts;
}

/// Of every history: how much it was seen, and how much the discounts took off.
struct HistoryMass {
  double total = 0, taken = 0;
};
std::map<Ids, HistoryMass> masses_of(const Counts& counts, const Discounts& discounts) {
  std::map<Ids, HistoryMass> masses;
  for (const auto& [ids, count] : counts) {
    auto& mass = masses[Ids(ids.begin(), ids.end() - 1)];
    mass.total += count;
    mass.taken += discounts.at(count);
  }
  return masses;
}

/// Raw counts of the highest order; below it, before how many different words each sequence stood. A sequence that
/// begins a sentence keeps its raw count: nothing can stand before it.
std::vector<Counts> kneser_ney_counts(const std::vector<Counts>& raw) {
  std::vector<Counts> counts(raw.size());
  counts.back() = raw.back();
  for (std::size_t order = 0; order + 1 < raw.size(); ++order) {
    for (const auto& [ids, count] : raw[order + 1]) ++counts[order][Ids(ids.begin() + 1, ids.end())];
    for (const auto& [ids, count] : raw[order]) {
      if (ids.front() == kBeginId && order > 0) counts[order][ids] = count;
    }
  }
  return counts;
}

Error arpa_error(std::string_view name, std::size_t line, std::string_view what) {
  return {ErrorCode::invalid_argument, fmt::format("{}:{}: {}", name, line, what)};
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return fields;
    line.remove_prefix(begin);
    const auto end = std::min(line.size(), line.find_first_of(" \t\r"));
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

}  // namespace

Result<WordModel> WordModel::learn(std::span<const std::string> texts, int order) {
  VERGE_ASSERT(order >= 1 && order <= kOrderMax);
  WordModel model;
  model.order_ = order;
  for (const auto name : kNamedWords) {
    model.ids_.emplace(name, static_cast<WordId>(model.words_.size()));
    model.words_.emplace_back(name);
  }
  std::vector<Counts> raw(static_cast<std::size_t>(order));
  std::size_t entries = 0, words_seen = 0;
  for (const auto& text : texts) {
    const auto words = counted_words(text);
    if (words.empty()) continue;
    words_seen += words.size();
    Ids sentence{kBeginId};
    for (const auto& word : words) {
      const auto [found, is_new] = model.ids_.try_emplace(word, static_cast<WordId>(model.words_.size()));
      if (is_new) model.words_.push_back(word);
      sentence.push_back(found->second);
    }
    sentence.push_back(kEndId);
    for (std::size_t end = 1; end < sentence.size(); ++end) {
      for (std::size_t length = 1; length <= static_cast<std::size_t>(order) && length <= end + 1; ++length) {
        const Ids ids(sentence.begin() + static_cast<std::ptrdiff_t>(end + 1 - length),
                      sentence.begin() + static_cast<std::ptrdiff_t>(end + 1));
        auto& count = raw[length - 1][ids];
        if (count == 0) ++entries;
        ++count;
      }
    }
    if (model.words_.size() > kVocabularyMax || entries > kEntriesMax)
      return Error{ErrorCode::limit, fmt::format("learn a word model: more than {} words or {} sequences; give fewer "
                                                 "texts",
                                                 kVocabularyMax, kEntriesMax)};
  }
  if (words_seen == 0) return Error{ErrorCode::invalid_argument, "learn a word model: the texts have no words"};

  const auto counts = kneser_ney_counts(raw);
  model.entries_.resize(counts.size());
  for (std::size_t at = 0; at < counts.size(); ++at) {
    const auto discounts = discounts_of(counts[at]);
    const auto masses = masses_of(counts[at], discounts);
    for (const auto& [ids, count] : counts[at]) {
      const Ids history(ids.begin(), ids.end() - 1);
      const auto& mass = masses.at(history);
      const double left = mass.taken / mass.total;
      const double lower =
          at == 0 ? 1 / kUnknownWords
                  : std::exp(model.log_probability_of_ids({history.data() + 1, history.size() - 1}, ids.back()));
      const double own = (count - discounts.at(count)) / mass.total;
      model.entries_[at][ids].log_probability = std::log(own + left * lower);
    }
    if (at == 0) {
      const auto& mass = masses.at({});
      model.entries_[0][{kUnknownId}].log_probability = std::log(mass.taken / mass.total / kUnknownWords);
      model.entries_[0].try_emplace({kBeginId}, Entry{kNever * kLn10, 0});
      continue;
    }
    for (const auto& [history, mass] : masses)
      model.entries_[at - 1][history].log_backoff = std::log(mass.taken / mass.total);
  }
  return model;
}

WordModel::WordId WordModel::id_of(std::string_view word) const {
  const auto found = ids_.find(word);
  return found == ids_.end() ? kUnknownId : found->second;
}

double WordModel::log_probability_of_ids(std::span<const WordId> before, WordId word) const {
  const auto longest = std::min(before.size(), static_cast<std::size_t>(std::max(0, order_ - 1)));
  double backoff = 0;
  for (std::size_t length = longest;; --length) {
    const auto history = before.last(length);
    Key key(history.begin(), history.end());
    key.push_back(word);
    if (length < entries_.size()) {
      const auto found = entries_[length].find(key);
      if (found != entries_[length].end()) return backoff + found->second.log_probability;
    }
    if (length == 0) break;
    key.pop_back();
    const auto known = entries_[length - 1].find(key);
    if (known != entries_[length - 1].end()) backoff += known->second.log_backoff;
  }
  const auto unknown = entries_[0].find({kUnknownId});
  return backoff + (unknown == entries_[0].end() ? kNever * kLn10 : unknown->second.log_probability);
}

double WordModel::log_probability_of(std::span<const std::string> before, const std::string& word) const {
  std::vector<WordId> ids;
  for (const auto& earlier : before) ids.push_back(id_of(earlier));
  return log_probability_of_ids(ids, id_of(word));
}

double WordModel::log_probability(std::string_view text) const {
  std::vector<WordId> ids{kBeginId};
  double sum = 0;
  for (const auto& word : counted_words(text)) {
    const auto id = id_of(word);
    sum += log_probability_of_ids(ids, id);
    ids.push_back(id);
  }
  return sum + log_probability_of_ids(ids, kEndId);
}

double WordModel::perplexity(std::span<const std::string> texts) const {
  double sum = 0;
  std::size_t count = 0;
  for (const auto& text : texts) {
    sum += log_probability(text);
    count += counted_words(text).size() + 1;
  }
  return count == 0 ? 1 : std::exp(-sum / static_cast<double>(count));
}

std::string WordModel::to_arpa() const {
  std::string text = "\\data\\\n";
  for (std::size_t at = 0; at < entries_.size(); ++at)
    text += fmt::format("ngram {}={}\n", at + 1, entries_[at].size());
  for (std::size_t at = 0; at < entries_.size(); ++at) {
    text += fmt::format("\n\\{}-grams:\n", at + 1);
    for (const auto& [key, entry] : entries_[at]) {
      text += fmt::format("{:.6f}\t", entry.log_probability / kLn10);
      for (std::size_t word = 0; word < key.size(); ++word) text += (word == 0 ? "" : " ") + words_[key[word]];
      text += at + 1 < entries_.size() && entry.log_backoff != 0 ? fmt::format("\t{:.6f}\n", entry.log_backoff / kLn10)
                                                                 : "\n";
    }
  }
  return text + "\n\\end\\\n";
}

Result<WordModel> WordModel::from_arpa(std::string_view text, std::string_view name) {
  WordModel model;
  for (const auto word : kNamedWords) {
    model.ids_.emplace(word, static_cast<WordId>(model.words_.size()));
    model.words_.emplace_back(word);
  }
  std::size_t number = 0, order = 0, entries = 0;
  bool has_data = false, has_end = false;
  while (!text.empty() && !has_end) {
    ++number;
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto fields = fields_of(line);
    if (fields.empty() || (has_data && order == 0 && fields[0] == "ngram")) continue;
    if (fields[0] == "\\data\\") {
      has_data = true;
    } else if (fields[0] == "\\end\\") {
      has_end = true;
    } else if (fields[0].starts_with('\\')) {
      if (fields[0] != fmt::format("\\{}-grams:", order + 1) || !has_data)
        return arpa_error(name, number, fmt::format("\\{}-grams: or \\end\\ belongs here", order + 1));
      if (++order > kOrderMax)
        return arpa_error(name, number, fmt::format("orders above {} are not read; make a smaller model", kOrderMax));
      model.entries_.emplace_back();
    } else if (order == 0) {
      if (has_data) return arpa_error(name, number, "\"ngram N=COUNT\" or \\1-grams: belongs here");
    } else {
      const auto probability = number_in(fields[0]);
      const auto backoff = fields.size() == order + 2 ? number_in(fields.back()) : std::optional<double>(0);
      if (!probability || !backoff || fields.size() < order + 1 || fields.size() > order + 2 || *probability > 0)
        return arpa_error(name, number,
                          fmt::format("a line must be: logarithm, {} word(s), and where it is a history a "
                                      "back-off",
                                      order));
      Key key;
      for (std::size_t at = 1; at <= order; ++at) {
        const auto [found, is_new] =
            model.ids_.try_emplace(std::string(fields[at]), static_cast<WordId>(model.words_.size()));
        if (is_new && order > 1)
          return arpa_error(name, number,
                            fmt::format("the word \"{}\" is not among the 1-grams", fields[at].substr(0, 80)));
        if (is_new) model.words_.emplace_back(fields[at]);
        key.push_back(found->second);
      }
      if (++entries > kEntriesMax || model.words_.size() > kVocabularyMax)
        return Error{ErrorCode::limit, fmt::format("{}:{}: more than {} words or {} sequences", name, number,
                                                   kVocabularyMax, kEntriesMax)};
      model.entries_.back()[std::move(key)] = {*probability * kLn10, *backoff * kLn10};
    }
  }
  if (!has_end || order == 0) return arpa_error(name, number, "this is no whole ARPA model: it ends without \\end\\");
  model.order_ = static_cast<int>(order);
  return model;
}

std::size_t rescore(std::span<const Alternative> alternatives, const WordModel& model, double weight,
                    double word_bonus) {
  std::size_t best = 0;
  double best_score = -1e300;
  for (std::size_t at = 0; at < alternatives.size(); ++at) {
    const auto& alternative = alternatives[at];
    const double score = alternative.log_probability + weight * model.log_probability(alternative.text) +
                         word_bonus * static_cast<double>(counted_words(alternative.text).size());
    if (score > best_score) best = at, best_score = score;
  }
  return best;
}

}  // namespace verge::audio
