// audio/transcripts/corrections.h -- what people corrected, used on what is heard next: a noisy channel and a word
// model.
//
// From reviewed clips it learns which words were said where the model heard others, and how words follow one another. A
// doubtful word is then replaced where a correction fits and the word model agrees. Sources: Shannon 1948; Ringger and
// Allen 1996 for correcting a recogniser's words after it; word_model.h. Threads: immutable; share it.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "audio/transcripts/clip.h"
#include "audio/transcripts/word_model.h"

namespace verge::audio {

struct CorrectionOptions {
  double weight = 0.5;              ///< Of the word model against the recogniser, 0..2; 0: the recogniser alone.
  std::size_t hypotheses_max = 32;  ///< Kept while going through a text.
};

class Corrections {
 public:
  /// From the reviewed clips among `clips`; unreviewed ones say nothing. Errors: invalid_argument when there is no
  /// reviewed word.
  static Result<Corrections> learn(std::span<const Clip> clips);

  /// What a clip says after the corrections; its words' punctuation stays. Without doubtful words, or without a better
  /// text, it is clip.heard. Cost: O(words * hypotheses_max).
  std::string corrected(const Clip& clip, const CorrectionOptions& options) const;

  /// Words that people wrote and the model did not hear, the most frequent first: a phrase list for a recogniser.
  std::vector<std::string> phrases(std::size_t count_max = 500) const;
  const WordModel& model() const { return model_; }
  std::size_t pairs() const { return said_for_.size(); }

  /// Beside words.arpa: {"corrections": {heard: {said: count}}, "heard_right": {…}}. docs/formats/word-model.md.
  Json to_json() const;
  static Result<Corrections> from_json(const Json& json, WordModel model);
  /// words.arpa and corrections.json of a folder that verge data report wrote; `weight` gets that of the file. Errors:
  /// not_found, invalid_argument naming file and line or member.
  static Result<Corrections> load(const std::filesystem::path& folder, double& weight);

 private:
  explicit Corrections(WordModel model) : model_(std::move(model)) {}
  /// How probable it is that `said` was said where `heard` was heard, among all that was ever said there.
  std::vector<std::pair<std::string, double>> replacements(const std::string& heard) const;

  WordModel model_;
  std::map<std::string, std::map<std::string, double>> said_for_;  ///< heard -> said -> how often; never heard == said.
  std::map<std::string, double> right_;                            ///< heard -> how often it was right.
  std::map<std::string, double> missed_;                           ///< said -> how often it was not heard.
};

/// A clip that was held out, as it was heard and as it is after the corrections.
struct StudiedClip {
  Clip clip;
  std::string after;
  std::size_t words = 0, errors_before = 0, errors_after = 0;
};

struct CorrectionStudy {
  std::size_t train_clips = 0, train_corrected = 0;  ///< Of which somebody changed words.
  CorrectionOptions options;                         ///< With the weight that was best on the training part.
  std::vector<std::pair<double, double>> tried;      ///< Weight, word error rate in the training part's folds.
  std::vector<StudiedClip> held_out;
};

/// Learns from reviewed clips of split "train" and applies it to those of split "test". The weight is chosen by folds
/// of the training part (clips of one recording and of one speaker lie together); ties take the smaller. Errors:
/// invalid_argument when a part has no reviewed clip.
Result<CorrectionStudy> study_corrections(std::span<const Clip> clips, std::uint64_t seed = 1);

}  // namespace verge::audio
