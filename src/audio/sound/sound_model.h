// audio/sound/sound_model.h -- a model of what a place sounds like, as `verge train audio` writes it.
//
// Two tasks: sound-anomaly (rows to a score; 1 is the threshold) and sound-classification (rows to probabilities of the
// card's labels). A row is a look (features/sound_look.h), or the mean of the last `pool` looks.
// Threads: one judge per stream; judges of one model may run at once.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "audio/features/sound_look.h"
#include "models/model_card.h"

namespace verge::audio {

inline constexpr const char* kAnomalyTask = "sound-anomaly";
inline constexpr const char* kClassTask = "sound-classification";

class SoundModel {
 public:
  /// Errors: those of models::open_model; invalid_argument when the card is of another task.
  static Result<std::shared_ptr<const SoundModel>> load(const std::filesystem::path& folder);
  /// Errors: invalid_argument when the card is not what `verge train audio` writes.
  static Result<std::shared_ptr<const SoundModel>> make(models::LoadedModel model);

  bool is_classifier() const { return model_.card.task == kClassTask; }
  const std::vector<std::string>& labels() const { return model_.card.labels; }
  const models::ModelCard& card() const { return model_.card; }
  std::size_t pool() const { return pool_; }
  /// row [160] to one score, or one probability per label. Errors: those of the engine.
  Result<std::vector<float>> run(std::span<const float> row) const;

 private:
  models::LoadedModel model_;
  std::size_t pool_ = 1;
};

/// Mean of the last rows of a stream.
class RowPool {
 public:
  explicit RowPool(std::size_t count) : count_(count) {}
  std::vector<float> add(std::span<const float> row);
  bool is_full() const { return rows_.size() == count_; }
  void reset() { rows_.clear(); }

 private:
  std::size_t count_;
  std::deque<std::vector<float>> rows_;
};

/// What was heard at the end of a look.
struct Heard {
  std::int64_t end_sample = 0;
  std::vector<float> values;  ///< Anomaly: one score. Classifier: a probability per label.
};

/// Follows one stream. Digital silence gives nothing, and an anomaly model nothing before it has heard all that one
/// mean is of.
class SoundJudge {
 public:
  explicit SoundJudge(std::shared_ptr<const SoundModel> model) : model_(std::move(model)), pool_(model_->pool()) {}
  /// samples: 16 kHz, in pieces of any length. Errors: those of the engine.
  Result<std::vector<Heard>> add(std::span<const float> samples);
  void reset();

 private:
  std::shared_ptr<const SoundModel> model_;
  Looks looks_;
  RowPool pool_;
};

}  // namespace verge::audio
