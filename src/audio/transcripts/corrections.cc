#include "audio/transcripts/corrections.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "audio/transcripts/word_errors.h"
#include "base/disk.h"
#include "training/validation.h"

namespace verge::audio {
namespace {

constexpr double kWeightsTried[] = {0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5};
constexpr int kFolds = 5;
constexpr std::size_t kFileBytesMax = 256U << 20U;
constexpr std::size_t kPairsMax = 100'000;
constexpr double kSurest = 0.999;  ///< A recogniser that says 1 is wrong sometimes, too.

/// The letters that count of one written word; a word like "well-known" counts as two and is left alone.
std::string bare_word(const std::string& written) {
  auto words = counted_words(written);
  return words.size() == 1 ? std::move(words.front()) : std::string();
}

/// `said` in place of what was written: its punctuation and its capital stay.
std::string in_place_of(const std::string& written, const std::string& said) {
  const auto is_letter = [](char letter) { return !counted_words(std::string(1, letter)).empty(); };
  const auto first = std::ranges::find_if(written, is_letter);
  const auto last = std::find_if(written.rbegin(), written.rend(), is_letter);
  std::string word = said;
  if (first != written.end() && *first >= 'A' && *first <= 'Z' && word.front() >= 'a' && word.front() <= 'z')
    word.front() = static_cast<char>(word.front() - 'a' + 'A');
  return std::string(written.begin(), first) + word + std::string(last.base(), written.end());
}

struct Hypothesis {
  std::vector<std::string> words;
  double log_probability = 0;
};

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string group_of(const Clip& clip) {
  if (!clip.speaker.empty()) return "s" + clip.speaker;
  return clip.source.empty() ? "m" + clip.media : "f" + clip.source;
}

WordErrors errors_after(const Corrections& corrections, const Clip& clip, const CorrectionOptions& options) {
  return word_errors(clip.text, corrections.corrected(clip, options));
}

/// Word error rate of each weight, every clip corrected by what was learned from other groups.
std::vector<std::pair<double, double>> try_weights(const std::vector<Clip>& train, std::uint64_t seed) {
  std::map<std::string, int> group_ids;
  std::vector<int> groups, labels(train.size(), 0);
  for (const auto& clip : train)
    groups.push_back(group_ids.try_emplace(group_of(clip), static_cast<int>(group_ids.size())).first->second);
  const int folds = std::min(kFolds, static_cast<int>(group_ids.size()));
  std::vector<std::pair<double, double>> tried;
  if (folds < 2) return tried;
  const auto fold_of = training::assign_folds(labels, groups, folds, seed);
  std::vector<WordErrors> sums(std::size(kWeightsTried));
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<Clip> others;
    for (std::size_t at = 0; at < train.size(); ++at) {
      if (fold_of[at] != fold) others.push_back(train[at]);
    }
    const auto corrections = Corrections::learn(others);
    for (std::size_t at = 0; at < train.size(); ++at) {
      if (fold_of[at] != fold) continue;
      for (std::size_t weight = 0; weight < sums.size(); ++weight) {
        sums[weight] += corrections ? errors_after(*corrections, train[at], {.weight = kWeightsTried[weight]})
                                    : word_errors(train[at].text, train[at].heard);
      }
    }
  }
  for (std::size_t weight = 0; weight < sums.size(); ++weight)
    tried.emplace_back(kWeightsTried[weight], sums[weight].rate());
  return tried;
}

}  // namespace

Result<Corrections> Corrections::learn(std::span<const Clip> clips) {
  std::vector<std::string> texts;
  for (const auto& clip : clips) {
    if (clip.is_reviewed) texts.push_back(clip.text);
  }
  auto model = WordModel::learn(texts);
  if (!model) return std::move(model).error().within("learn from corrections (are clips reviewed?)");
  Corrections learned(*std::move(model));
  for (const auto& clip : clips) {
    if (!clip.is_reviewed || clip.heard.empty()) continue;
    for (const auto& [edit, said, heard] : align_words(counted_words(clip.text), counted_words(clip.heard))) {
      if (edit == WordEdit::same) ++learned.right_[heard];
      if (edit == WordEdit::replaced && learned.said_for_.size() < kPairsMax) ++learned.said_for_[heard][said];
      if (edit == WordEdit::replaced || edit == WordEdit::left_out) ++learned.missed_[said];
    }
  }
  return learned;
}

std::vector<std::pair<std::string, double>> Corrections::replacements(const std::string& heard) const {
  std::vector<std::pair<std::string, double>> found;
  const auto known = said_for_.find(heard);
  if (known == said_for_.end()) return found;
  const auto right = right_.find(heard);
  // One more that nobody has seen yet: a single correction is no law.
  double all = 1 + (right == right_.end() ? 0 : right->second);
  for (const auto& [said, count] : known->second) all += count;
  for (const auto& [said, count] : known->second) found.emplace_back(said, count / all);
  return found;
}

std::string Corrections::corrected(const Clip& clip, const CorrectionOptions& options) const {
  std::vector<Hypothesis> hypotheses{{{}, 0}};
  for (const auto& word : clip.words) {
    const double sure = std::clamp(word.confidence, 1 - kSurest, kSurest);
    const auto others = replacements(bare_word(word.text));
    std::vector<Hypothesis> longer;
    for (auto& hypothesis : hypotheses) {
      for (const auto& [said, share] : others) {
        auto other = hypothesis;
        other.words.push_back(in_place_of(word.text, said));
        other.log_probability += std::log((1 - sure) * share);
        longer.push_back(std::move(other));
      }
      hypothesis.words.push_back(word.text);
      hypothesis.log_probability += std::log(sure);
      longer.push_back(std::move(hypothesis));
    }
    std::ranges::stable_sort(longer, std::ranges::greater{}, &Hypothesis::log_probability);
    longer.resize(std::min(longer.size(), options.hypotheses_max));
    hypotheses = std::move(longer);
  }
  std::vector<Alternative> texts{{clip.heard, hypotheses.front().log_probability}};
  // What was heard comes first, so that equals stay as they are.
  for (const auto& hypothesis : hypotheses) {
    auto text = joined(hypothesis.words);
    if (counted_words(text) == counted_words(clip.heard)) texts.front().log_probability = hypothesis.log_probability;
    texts.push_back({std::move(text), hypothesis.log_probability});
  }
  texts.insert(texts.end(), clip.alternatives.begin(), clip.alternatives.end());
  return texts[rescore(texts, model_, options.weight)].text;
}

std::vector<std::string> Corrections::phrases(std::size_t count_max) const {
  std::vector<std::pair<std::string, double>> found(missed_.begin(), missed_.end());
  std::ranges::stable_sort(found, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> words;
  for (const auto& [word, count] : found) {
    if (words.size() < count_max) words.push_back(word);
  }
  return words;
}

Json Corrections::to_json() const { return {{"corrections", said_for_}, {"right", right_}, {"missed", missed_}}; }

Result<Corrections> Corrections::from_json(const Json& json, WordModel model) {
  Corrections made(std::move(model));
  const auto counts_from = [](const Json& object, std::map<std::string, double>& target) {
    if (!object.is_object() || object.size() > kPairsMax) return false;
    for (const auto& [word, count] : object.items()) {
      if (!count.is_number() || !(count.get<double>() > 0)) return false;
      target[word] = count.get<double>();
    }
    return true;
  };
  const Json pairs = json.is_object() ? json.value("corrections", Json()) : Json();
  bool is_right = pairs.is_object() && pairs.size() <= kPairsMax &&
                  counts_from(json.value("right", Json::object()), made.right_) &&
                  counts_from(json.value("missed", Json::object()), made.missed_);
  for (const auto& [heard, said] : pairs.items()) is_right = is_right && counts_from(said, made.said_for_[heard]);
  if (is_right) return made;
  return Error{
      ErrorCode::invalid_argument,
      "read corrections: \"corrections\" must be {heard: {said: count}}, \"right\" and \"missed\" {word: count}, "
      "counts above 0; make the file with verge data report"};
}

Result<Corrections> Corrections::load(const std::filesystem::path& folder, double& weight) {
  const auto words = folder / "words.arpa", counts = folder / "corrections.json";
  VERGE_TRY(const auto arpa, read_file(words, kFileBytesMax));
  VERGE_TRY(auto model, WordModel::from_arpa(arpa, words.string()));
  VERGE_TRY(const auto text, read_file(counts, kFileBytesMax));
  const auto json = parse_json(text);
  if (!json) return json.error().within(counts.string());
  auto made = from_json(*json, std::move(model));
  if (!made) return std::move(made).error().within(counts.string());
  VERGE_TRY(weight, number_member(*json, "weight", weight));
  if (!(weight >= 0 && weight <= 2))
    return Error{ErrorCode::invalid_argument, fmt::format("{}: weight is {:g}; give 0 to 2", counts.string(), weight)};
  return made;
}

Result<CorrectionStudy> study_corrections(std::span<const Clip> clips, std::uint64_t seed) {
  std::vector<Clip> train, test;
  for (const auto& clip : clips) {
    if (!clip.is_reviewed || clip.heard.empty()) continue;
    if (clip.split == "train") train.push_back(clip);
    if (clip.split == "test") test.push_back(clip);
  }
  if (train.empty() || test.empty()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("measure corrections: {} reviewed clips that a model heard are in train and {} in test; "
                             "review clips (verge data review) and divide them (verge data split)",
                             train.size(), test.size())};
  }
  CorrectionStudy study;
  study.train_clips = train.size();
  study.train_corrected = static_cast<std::size_t>(std::ranges::count_if(
      train, [](const Clip& clip) { return counted_words(clip.text) != counted_words(clip.heard); }));
  study.tried = try_weights(train, seed);
  double best = 1e300;
  for (const auto& [weight, rate] : study.tried) {
    if (rate < best) best = rate, study.options.weight = weight;
  }
  VERGE_TRY(const auto corrections, Corrections::learn(train));
  for (const auto& clip : test) {
    StudiedClip found{clip, corrections.corrected(clip, study.options)};
    const auto before = word_errors(clip.text, clip.heard);
    found.words = before.words;
    found.errors_before = before.errors();
    found.errors_after = word_errors(clip.text, found.after).errors();
    study.held_out.push_back(std::move(found));
  }
  return study;
}

}  // namespace verge::audio
