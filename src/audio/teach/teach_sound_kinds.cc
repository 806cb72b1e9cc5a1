// The task classify: recordings in folders become a model that names kinds of sound.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <optional>

#include "audio/features/sound_look.h"
#include "audio/sound/sound_model.h"
#include "audio/teach/heard_picture.h"
#include "audio/teach/sound_files.h"
#include "base/disk.h"
#include "training/logistic.h"
#include "training/report.h"
#include "training/validation.h"

namespace verge::audio {
namespace {

constexpr std::size_t kLabelsMax = 50, kClipsMin = 3;
constexpr std::size_t kKindRowsMax = 6000;  ///< Of one fit.
constexpr std::size_t kKindColours = 2;
constexpr int kKindFolds = 5;
constexpr std::size_t kMistakesShown = 9;
constexpr double kPenalties[] = {0.1, 0.01, 0.001};

/// Looks of one recording, as the stage sees them: means of the last `pool`.
struct KindClip {
  int label = 0;
  std::vector<training::Rows> rows;  ///< Per microphone, the first as recorded.
};

class KindTeacher {
 public:
  KindTeacher(const TeachSoundRequest& request, const SoundFolder& folder)
      : request_(request), folder_(folder), time_(request.minutes), classes_(static_cast<int>(folder.labels.size())) {}

  Result<TaughtSound> teach() {
    VERGE_CHECK(cut());
    VERGE_CHECK(validate());
    return finish();
  }

 private:
  Status cut() {
    if (folder_.labels.size() > kLabelsMax)
      return Error{ErrorCode::limit,
                   fmt::format("{} kinds of sound; at most {} can be taught", folder_.labels.size(), kLabelsMax)};
    std::vector<std::size_t> counts(folder_.labels.size());
    std::vector<std::vector<Look>> looks;
    std::vector<std::size_t> lengths;
    for (const TaughtRecording& recording : folder_.recordings) {
      looks.push_back(looks_of(recording.samples));
      lengths.push_back(looks.back().size());
    }
    std::ranges::nth_element(lengths, lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2));
    pool_ = std::clamp<std::size_t>(lengths[lengths.size() / 2] / 2, 1, 5);
    for (std::size_t at = 0; at < looks.size(); ++at) {
      KindClip clip{folder_.recordings[at].label, {}};
      for (std::size_t colour = 0; colour <= kKindColours; ++colour)
        clip.rows.push_back(rows_of(
            looks[at], colour == 0 ? BandColour{} : random_colour(request_.seed * 1'000'003 + at * 31 + colour)));
      if (clip.rows.front().count() > 0) {
        ++counts[static_cast<std::size_t>(clip.label)];
        sources_.push_back(at);
        clips_.push_back(std::move(clip));
      } else {
        notes_.push_back(fmt::format("{} was passed over: it is digital silence.", folder_.recordings[at].name));
      }
    }
    for (std::size_t label = 0; label < counts.size(); ++label) {
      if (counts[label] >= kClipsMin) continue;
      return Error{ErrorCode::invalid_argument,
                   fmt::format("{} has {} recordings that can be used; give at least {}, 20 are good",
                               folder_.labels[label], counts[label], kClipsMin)};
    }
    return Done{};
  }

  training::Rows rows_of(const std::vector<Look>& looks, const BandColour& colour) const {
    RowPool pool(pool_);
    training::Rows rows{kLookNumbers, {}};
    std::vector<float> row(kLookNumbers);
    for (const Look& look : looks)
      if (describe_look(look.energies, colour, row)) rows.add(pool.add(row));
    return rows;
  }

  /// Of all clips but those of a fold (-1: of all), thinned so that every clip keeps some.
  void rows_without(int fold, training::Rows& rows, std::vector<int>& labels) const {
    rows.columns = kLookNumbers;
    std::size_t all = 0;
    for (const KindClip& clip : clips_) all += clip.rows.size() * clip.rows.front().count();
    const std::size_t every = (all + kKindRowsMax - 1) / kKindRowsMax;
    for (std::size_t at = 0; at < clips_.size(); ++at) {
      if (fold >= 0 && folds_[at] == fold) continue;
      std::size_t seen = at;
      for (std::size_t row = 0; row < clips_[at].rows.front().count(); ++row) {
        for (const auto& colour : clips_[at].rows) {
          if (seen++ % every != 0 || row >= colour.count()) continue;
          rows.add(colour.row(row));
          labels.push_back(clips_[at].label);
        }
      }
    }
  }

  /// Mean probability over the clip's looks, [classes].
  std::vector<double> judged(const training::LogisticModel& model, const KindClip& clip) const {
    std::vector<double> mean(static_cast<std::size_t>(classes_), 0.0);
    const auto count = static_cast<double>(clip.rows.front().count());
    for (std::size_t row = 0; row < clip.rows.front().count(); ++row) {
      const auto probabilities = training::soft_max(model.logits(clip.rows.front().row(row)));
      for (std::size_t label = 0; label < mean.size(); ++label) mean[label] += probabilities[label] / count;
    }
    return mean;
  }

  Status validate() {
    std::vector<int> labels, groups;
    for (std::size_t at = 0; at < clips_.size(); ++at) {
      labels.push_back(clips_[at].label);
      groups.push_back(static_cast<int>(at));
    }
    folds_ = training::assign_folds(labels, groups, kKindFolds, request_.seed);
    constexpr std::size_t kTried = std::size(kPenalties);
    std::vector<std::vector<double>> said(kTried,
                                          std::vector<double>(clips_.size() * static_cast<std::size_t>(classes_)));
    for (int fold = 0; fold < kKindFolds; ++fold) {
      training::Rows rows;
      std::vector<int> truths;
      rows_without(fold, rows, truths);
      VERGE_TRY(const auto models,
                training::fit_logistic(rows, truths, classes_, kPenalties, {.tolerance = 1e-3, .iterations_max = 100}));
      for (std::size_t at = 0; at < clips_.size(); ++at) {
        if (folds_[at] != fold) continue;
        for (std::size_t tried = 0; tried < kTried; ++tried) {
          const auto probabilities = judged(models[tried], clips_[at]);
          std::ranges::copy(probabilities, said[tried].begin() + static_cast<std::ptrdiff_t>(at) * classes_);
        }
      }
      if (request_.tell) request_.tell(fmt::format("fold {} of {}", fold + 1, kKindFolds));
      if (time_.is_over() && fold + 1 < kKindFolds)
        return Error{ErrorCode::timeout,
                     "teach kinds of sound: the time is over; give more --minutes, or fewer recordings"};
    }
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t tried = 0; tried < kTried; ++tried) {
      double loss = 0;
      for (std::size_t at = 0; at < clips_.size(); ++at)
        loss -= std::log(std::max(
            1e-9, said[tried][at * static_cast<std::size_t>(classes_) + static_cast<std::size_t>(labels[at])]));
      if (loss >= least) continue;
      least = loss;
      penalty_ = kPenalties[tried];
      said_ = said[tried];
    }
    return Done{};
  }

  double probability(std::size_t clip, int label) const {
    return said_[clip * static_cast<std::size_t>(classes_) + static_cast<std::size_t>(label)];
  }
  int said_of(std::size_t clip) const {
    int best = 0;
    for (int label = 1; label < classes_; ++label)
      if (probability(clip, label) > probability(clip, best)) best = label;
    return best;
  }

  Result<TaughtSound> finish() {
    training::Confusion confusion(classes_);
    for (std::size_t at = 0; at < clips_.size(); ++at) confusion.add(clips_[at].label, said_of(at));
    for (int label = 0; label < classes_; ++label)
      confusion.independent[static_cast<std::size_t>(label)] = confusion.total(label);
    const double accuracy = confusion.balanced_accuracy();
    const training::Interval interval = confusion.balanced_interval();
    TaughtSound taught;
    taught.is_learned = interval.low > 1.0 / classes_;
    taught.verdict = fmt::format(
        "{} {:.0f} % of recordings that were not learned from are named rightly ({:.0f} to {:.0f} %); guessing gives "
        "{:.0f} %",
        taught.is_learned ? "Learned:" : "I cannot learn this from these data:", 100 * accuracy, 100 * interval.low,
        100 * interval.high, 100.0 / classes_);
    notes_.insert(notes_.end(), folder_.passed_over.begin(), folder_.passed_over.end());
    if (std::ranges::find(folder_.labels, "background") == folder_.labels.end())
      notes_.push_back(
          "There is no folder \"background\": every sound will be given one of the names. Record what is usually heard "
          "there, too.");
    taught.notes = notes_;
    taught.headings = {"KIND", "RECORDINGS", "FOUND", "RIGHT WHEN SAID"};
    Json kinds = Json::array();
    for (int label = 0; label < classes_; ++label) {
      const auto& name = folder_.labels[static_cast<std::size_t>(label)];
      const double precision = confusion.precision(label);
      taught.rows.push_back({name, std::to_string(confusion.total(label)),
                             fmt::format("{:.0f} %", 100 * confusion.recall(label)),
                             std::isnan(precision) ? "-" : fmt::format("{:.0f} %", 100 * precision)});
      kinds.push_back({{"label", name}, {"recordings", confusion.total(label)}, {"recall", confusion.recall(label)}});
    }
    taught.summary = {{"is_learned", taught.is_learned},
                      {"verdict", taught.verdict},
                      {"task", "classify"},
                      {"accuracy", accuracy},
                      {"accuracy_low", interval.low},
                      {"accuracy_high", interval.high},
                      {"kinds", kinds},
                      {"notes", taught.notes}};
    VERGE_CHECK(write_file(request_.target / "report.html", report(taught, confusion)));
    forget_sound_model(request_);
    if (taught.is_learned) VERGE_CHECK(save(accuracy));
    return taught;
  }

  std::string report(const TaughtSound& taught, const training::Confusion& confusion) const {
    training::Report page("Kinds of sound");
    page.verdict(taught.verdict, taught.is_learned);
    page.list(taught.notes);
    page.heading("What was said of what");
    page.paragraph("Each recording was judged by a model that had not learned from it.");
    std::vector<std::string> headings{"is \\ said"};
    headings.insert(headings.end(), folder_.labels.begin(), folder_.labels.end());
    std::vector<std::vector<training::HeatCell>> cells;
    for (int truth = 0; truth < classes_; ++truth) {
      cells.emplace_back();
      for (int said = 0; said < classes_; ++said) {
        const int count = confusion.at(truth, said);
        cells.back().push_back({count == 0 ? "" : std::to_string(count),
                                static_cast<double>(count) / std::max(1, confusion.total(truth)), truth == said});
      }
    }
    page.heat_table(headings, folder_.labels, cells);
    page.heading("The worst mistakes");
    page.paragraph("Listen: if the folder is wrong, move the recording and teach again; else record more of its kind.");
    page.gallery(worst(), training::GallerySize::wide);
    return page.to_html();
  }

  std::vector<training::ReportPicture> worst() const {
    std::vector<std::size_t> order;
    for (std::size_t at = 0; at < clips_.size(); ++at)
      if (said_of(at) != clips_[at].label) order.push_back(at);
    std::ranges::stable_sort(order, std::less<>(), [&](std::size_t at) { return probability(at, clips_[at].label); });
    std::vector<training::ReportPicture> shown;
    for (const std::size_t at : order) {
      if (shown.size() == kMistakesShown) break;
      const TaughtRecording& recording = folder_.recordings[sources_[at]];
      const auto part =
          std::span(recording.samples).first(std::min<std::size_t>(recording.samples.size(), 5 * kLookRateHz));
      const int said = said_of(at);
      shown.push_back({spectrogram_png(part, kLookRateHz),
                       {recording.name,
                        fmt::format("said: {}, {:.0f} %", folder_.labels[static_cast<std::size_t>(said)],
                                    100 * probability(at, said)),
                        fmt::format("{}: {:.0f} %", folder_.labels[static_cast<std::size_t>(clips_[at].label)],
                                    100 * probability(at, clips_[at].label))},
                       true,
                       audible_wav(part, kLookRateHz)});
    }
    return shown;
  }

  Status save(double accuracy) const {
    training::Rows rows;
    std::vector<int> labels;
    rows_without(-1, rows, labels);
    VERGE_TRY(const auto fitted, training::fit_logistic(rows, labels, classes_, std::span(&penalty_, 1),
                                                        {.tolerance = 1e-3, .iterations_max = 200}));
    const training::LogisticModel& best = fitted.front();
    const auto classes = static_cast<std::size_t>(classes_);
    std::vector<float> weights(kLookNumbers * classes), offsets(best.offsets.begin(), best.offsets.end());
    for (std::size_t label = 0; label < classes; ++label)
      for (std::size_t at = 0; at < kLookNumbers; ++at)
        weights[at * classes + label] = static_cast<float>(best.weights[label * kLookNumbers + at]);
    models::GraphBuilder graph("sound_kinds");
    const auto look = graph.input("look", models::ElementType::float32, {-1, static_cast<std::int64_t>(kLookNumbers)});
    const auto product =
        graph.add("MatMul", {look, graph.floats({static_cast<std::int64_t>(kLookNumbers), classes_}, weights)});
    const auto logits = graph.add("Add", {product, graph.floats({1, classes_}, offsets)});
    graph.output("probabilities", graph.add("Softmax", {logits}, {{"axis", 1}}), models::ElementType::float32,
                 {-1, classes_});
    VERGE_TRY(const auto model, graph.finish());
    models::ModelCard card = sound_card(kClassTask, pool_, folder_.labels);
    card.metrics = {{"accuracy", accuracy}, {"recordings", clips_.size()}};
    card.tolerance = 1e-3;
    return write_sound_model(request_, model, std::move(card));
  }

  const TeachSoundRequest& request_;
  const SoundFolder& folder_;
  const SoundTime time_;
  const int classes_;
  std::size_t pool_ = 1;
  std::vector<KindClip> clips_;
  std::vector<std::size_t> sources_;  ///< Recording of each clip.
  std::vector<int> folds_;
  std::vector<double> said_;  ///< [clips, classes], by models that have not learned the clip.
  double penalty_ = 0.01;
  std::vector<std::string> notes_;
};

}  // namespace

Result<TaughtSound> teach_sound_kinds(const TeachSoundRequest& request, const SoundFolder& folder) {
  return KindTeacher(request, folder).teach();
}

}  // namespace verge::audio
