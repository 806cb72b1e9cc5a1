// The task anomaly: ordinary sound becomes a model that says what is not.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <optional>

#include "audio/features/sound_look.h"
#include "audio/sound/detectors.h"
#include "audio/sound/sound_model.h"
#include "audio/teach/heard_picture.h"
#include "audio/teach/sound_files.h"
#include "base/disk.h"
#include "training/report.h"
#include "training/tail.h"
#include "training/validation.h"

namespace verge::audio {
namespace {

constexpr std::size_t kLooksMin = 110;  ///< Of training/tail.h, and a minute of sound.
constexpr std::size_t kStretches = 5;
constexpr std::size_t kRowsMax = 12'000;  ///< Rows of one fit, so that hours of sound take minutes.
constexpr std::size_t kColours = 3;       ///< Microphones that each look is also heard through.
constexpr std::size_t kPretendedMax = 600;
constexpr double kHeardApartMin = 0.65;  ///< Area under ROC of pretended faults; below it nothing was learned.
constexpr std::size_t kShownSounds = 6;
constexpr double kLooksPerDay = 86'400 / kLookHopSeconds;
constexpr std::size_t kPools[] = {10, 1};  ///< 5.5 s and 1 s.
constexpr double kBetter = 0.02,
                 kQuickerBetter = 0.05;  ///< What a less plain, or a quicker, detector must hear apart more.

/// One look of ordinary sound.
struct OrdinaryLook {
  std::size_t recording = 0;
  double end_s = 0;
  std::vector<float> energies;  ///< [50, 64]
};

/// A fault that a machine might have, put into the bands of a look: louder or missing bands, a tone, knocks, a hiss.
std::vector<float> pretended_fault(std::span<const float> energies, training::SeededNumbers& numbers) {
  std::vector<float> changed(energies.begin(), energies.end());
  const float mean = std::accumulate(energies.begin(), energies.end(), 0.0F) / static_cast<float>(energies.size());
  const std::size_t width = 4 + numbers.below(12), from = numbers.below(kLookMels - width);
  const auto strength = static_cast<float>(std::pow(10.0, 0.3 + 0.9 * numbers.part()));  // 3 to 12 dB.
  const std::size_t kind = numbers.below(5), period = 3 + numbers.below(12), phase = numbers.below(period);
  for (std::size_t frame = 0; frame < kLookFrames; ++frame) {
    float* bands = changed.data() + frame * kLookMels;
    for (std::size_t band = 0; band < kLookMels; ++band) {
      const bool is_within = band >= from && band < from + width;
      if (kind == 0 && is_within) bands[band] *= strength;
      if (kind == 1 && is_within) bands[band] /= strength;
      if (kind == 2 && band == from) bands[band] += mean * strength * 4;
      if (kind == 3 && frame % period == phase && band > from) bands[band] += mean * strength;
      if (kind == 4) bands[band] += mean * strength * 0.1F * static_cast<float>(band) / kLookMels;
    }
  }
  return changed;
}

/// One detector, or the mean of two, each in parts of its middle score of ordinary sound.
struct Candidate {
  std::vector<DetectorKind> kinds;
  std::size_t pool = 1;
  double heard_apart = 0;       ///< Area under ROC, pretended faults against held-out ordinary sound.
  std::vector<float> held_out;  ///< Score of each look by a detector that has not learned its stretch of time.
  std::vector<float> ordinary;  ///< The same without looks that no mean ends with.
  std::vector<float> strange;   ///< Of pretended faults.
  std::vector<double> scales;   ///< Per detector, its middle score.

  std::string name() const {
    std::string words;
    for (const DetectorKind kind : kinds) {
      words += words.empty() ? "" : " and ";
      words += kDetectorKinds[static_cast<std::size_t>(kind)];
    }
    return words;
  }
  std::string text() const {
    return fmt::format("{}, {}: {:.3f}", name(), pool == 1 ? "single looks" : fmt::format("mean of {} looks", pool),
                       heard_apart);
  }
};

/// Where which faults come is not known, detectors that see them differently hear more together than the best guess of
/// one. Source: Aggarwal and Sathe 2017, "Outlier Ensembles", averaging.
Candidate together(const Candidate& a, const Candidate& b) {
  Candidate both{{a.kinds.front(), b.kinds.front()}, a.pool, 0, {}, {}, {}, {a.scales.front(), b.scales.front()}};
  const auto mean = [&](const std::vector<float>& of_a, const std::vector<float>& of_b, std::vector<float>& target) {
    for (std::size_t at = 0; at < of_a.size(); ++at)
      target.push_back(static_cast<float>((of_a[at] / a.scales.front() + of_b[at] / b.scales.front()) / 2));
  };
  mean(a.held_out, b.held_out, both.held_out);
  mean(a.ordinary, b.ordinary, both.ordinary);
  mean(a.strange, b.strange, both.strange);
  both.heard_apart = area_under_roc(both.ordinary, both.strange);
  return both;
}

class NormalTeacher {
 public:
  NormalTeacher(const TeachSoundRequest& request, const SoundFolder& folder)
      : request_(request), folder_(folder), time_(request.minutes) {}

  Result<TaughtSound> teach() {
    VERGE_CHECK(cut());
    make_rows();
    for (const std::size_t pool : kPools) {
      for (const DetectorKind kind : {DetectorKind::nearest, DetectorKind::mahalanobis, DetectorKind::residual,
                                      DetectorKind::encoder, DetectorKind::in_domain}) {
        if (!candidates_.empty() && time_.is_over()) {
          notes_.push_back(fmt::format("The time was over after {} of 12 detectors; more time may find a better one.",
                                       candidates_.size()));
          return finish();
        }
        VERGE_TRY(auto judged, judge(kind, pool));
        if (request_.tell) request_.tell(judged.text());
        candidates_.push_back(std::move(judged));
        if (kind != DetectorKind::mahalanobis) continue;
        candidates_.push_back(together(candidates_[candidates_.size() - 2], candidates_.back()));
        std::rotate(candidates_.end() - 3, candidates_.end() - 1, candidates_.end());  // The first choice.
        if (request_.tell) request_.tell((candidates_.end() - 3)->text());
      }
    }
    return finish();
  }

 private:
  Status cut() {
    std::size_t silent = 0;
    for (std::size_t at = 0; at < folder_.recordings.size(); ++at) {
      std::vector<float> row(kLookNumbers);
      for (Look& look : looks_of(folder_.recordings[at].samples)) {
        if (describe_look(look.energies, {}, row)) {
          looks_.push_back({at, static_cast<double>(look.end_sample) / kLookRateHz, std::move(look.energies)});
        } else {
          ++silent;
        }
      }
    }
    if (silent > 0)
      notes_.push_back(
          fmt::format("{:.0f} s of digital silence were passed over.", static_cast<double>(silent) * kLookHopSeconds));
    if (looks_.size() >= kLooksMin) return Done{};
    return Error{
        ErrorCode::invalid_argument,
        fmt::format(
            "there are {:.0f} s of sound in {}; at least {:.0f} s of normal sound are needed, 5 to 30 minutes are good",
            static_cast<double>(looks_.size()) * kLookHopSeconds, request_.folder.string(),
            static_cast<double>(kLooksMin) * kLookHopSeconds)};
  }

  /// As heard through this microphone (0: as it was recorded), [looks, 160].
  void make_rows() {
    const std::size_t colours = looks_.size() * (1 + kColours) <= 4 * kRowsMax ? kColours : 1;
    for (std::size_t colour = 0; colour <= colours; ++colour) {
      training::Rows rows{kLookNumbers, {}};
      std::vector<float> row(kLookNumbers);
      for (std::size_t at = 0; at < looks_.size(); ++at) {
        // A microphone stays one for a stretch of time, so that means over looks keep its colour.
        const std::uint64_t microphone =
            request_.seed * 1'000'003 + colour * 7919 + stretch_of(at) * 31 + looks_[at].recording;
        describe_look(looks_[at].energies, colour == 0 ? BandColour{} : random_colour(microphone), row);
        rows.add(row);
      }
      rows_.push_back(std::move(rows));
    }
  }

  std::size_t stretch_of(std::size_t look) const { return look * kStretches / looks_.size(); }

  bool is_beside(std::size_t at, std::size_t other) const {
    return other < looks_.size() && looks_[at].recording == looks_[other].recording &&
           stretch_of(at) == stretch_of(other);
  }

  /// Looks that the mean at this one is of: `pool`, or all when its recording is shorter and ends here; 0: none ends
  /// here.
  std::size_t looks_in_mean(std::size_t at, std::size_t pool) const {
    std::size_t count = 1;
    while (count < pool && count <= at && is_beside(at, at - count)) ++count;
    return count == pool || !is_beside(at, at + 1) ? count : 0;
  }

  /// Mean of so many looks that end with this one.
  std::vector<float> pooled(const training::Rows& rows, std::size_t at, std::size_t count) const {
    std::vector<float> mean(kLookNumbers, 0.0F);
    for (std::size_t back = 0; back < count; ++back)
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += rows.row(at - back)[i] / static_cast<float>(count);
    return mean;
  }

  /// Of all looks but those of a stretch (kStretches: of all), through all microphones, evenly thinned.
  training::Rows rows_without(std::size_t stretch, std::size_t pool) const {
    std::size_t all = 0;
    for (std::size_t at = 0; at < looks_.size(); ++at) all += stretch_of(at) != stretch ? rows_.size() : 0;
    training::Rows kept{kLookNumbers, {}};
    std::size_t seen = 0;
    for (std::size_t at = 0; at < looks_.size(); ++at) {
      const std::size_t count = looks_in_mean(at, pool);
      if (stretch_of(at) == stretch || count == 0) continue;
      for (const auto& rows : rows_) {
        if (all <= kRowsMax || seen * kRowsMax / all != (seen + 1) * kRowsMax / all) kept.add(pooled(rows, at, count));
        ++seen;
      }
    }
    return kept;
  }

  Result<Candidate> judge(DetectorKind kind, std::size_t pool) const {
    constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
    Candidate candidate{{kind}, pool, 0, std::vector<float>(looks_.size(), kNothing), {}, {}, {}};
    std::vector<float> row(kLookNumbers);
    const std::size_t every = std::max<std::size_t>(1, looks_.size() / kPretendedMax);
    const training::Rows& plain = rows_.front();
    for (std::size_t stretch = 0; stretch < kStretches; ++stretch) {
      VERGE_TRY(const Detector detector,
                Detector::fit(rows_without(stretch, pool), {.kind = kind, .seed = request_.seed}));
      for (std::size_t at = 0; at < looks_.size(); ++at) {
        const std::size_t count = looks_in_mean(at, pool);
        if (stretch_of(at) != stretch || count == 0) continue;
        std::vector<float> mean = pooled(plain, at, count);
        candidate.ordinary.push_back(candidate.held_out[at] = static_cast<float>(detector.score(mean)));
        if (at % every != 0) continue;
        training::SeededNumbers numbers(request_.seed * 7 + at);
        describe_look(pretended_fault(looks_[at].energies, numbers), {}, row);
        // A fault stays: the looks before it are changed as this one is.
        for (std::size_t i = 0; i < row.size(); ++i) mean[i] += row[i] - plain.row(at)[i];
        candidate.strange.push_back(static_cast<float>(detector.score(mean)));
      }
    }
    candidate.heard_apart = area_under_roc(candidate.ordinary, candidate.strange);
    std::vector<float> sorted = candidate.ordinary;
    std::ranges::sort(sorted);
    candidate.scales = {std::max(1e-6, static_cast<double>(sorted[sorted.size() / 2]))};
    // Looks that no mean ends with count as the next one that one does.
    for (std::size_t at = looks_.size() - 1; at-- > 0;)
      if (std::isnan(candidate.held_out[at])) candidate.held_out[at] = candidate.held_out[at + 1];
    return candidate;
  }

  /// What stage sound compares with the threshold: two looks in a row are at least so strange.
  std::vector<float> alarm_scores(const Candidate& candidate) const {
    std::vector<float> scores;
    for (std::size_t at = 1; at < candidate.held_out.size(); ++at)
      if (looks_[at].recording == looks_[at - 1].recording)
        scores.push_back(std::min(candidate.held_out[at], candidate.held_out[at - 1]));
    return scores.size() >= 100 ? scores : candidate.held_out;
  }

  Result<TaughtSound> finish() {
    // Pretended faults are not real ones: the plain and the steady go first, others must be clearly better.
    auto best = candidates_.begin();
    for (auto other = best; other != candidates_.end(); ++other) {
      const double better = other->pool == best->pool ? kBetter : kQuickerBetter;
      if (other->heard_apart > best->heard_apart + better) best = other;
    }
    const std::vector<float> scores = alarm_scores(*best);
    const double probability = request_.false_alarms_per_day / kLooksPerDay;
    const double threshold =
        training::threshold_for(training::fit_tail(scores, 0.9), probability, std::ranges::max(scores));
    notes_.push_back(fmt::format("Chosen of {}: {}.", candidates_.size(), best->text()));
    if (static_cast<double>(scores.size()) * probability < 1) {
      notes_.push_back(fmt::format(
          "{:g} false alarms a day cannot be counted in {:.1f} minutes; the threshold follows from the tail of "
          "the scores. More normal sound, of all that is ordinary there, makes it surer.",
          request_.false_alarms_per_day, static_cast<double>(looks_.size()) * kLookHopSeconds / 60));
    }
    notes_.insert(notes_.end(), folder_.passed_over.begin(), folder_.passed_over.end());
    std::vector<float> shares;
    for (const float score : best->held_out) shares.push_back(static_cast<float>(score / threshold));
    TaughtSound taught = outcome(*best, shares);
    VERGE_CHECK(write_file(request_.target / "report.html", report(taught, shares)));
    forget_sound_model(request_);
    if (taught.is_learned) VERGE_CHECK(save(*best, threshold, shares));
    return taught;
  }

  TaughtSound outcome(const Candidate& best, const std::vector<float>& shares) const {
    TaughtSound taught;
    const double minutes = static_cast<double>(looks_.size()) * kLookHopSeconds / 60;
    taught.is_learned = best.heard_apart >= kHeardApartMin;
    taught.verdict =
        taught.is_learned
            ? fmt::format(
                  "Learned what is normal from {:.1f} minutes; a pretended fault sounded stranger than ordinary sound "
                  "{:.0f} times of 100",
                  minutes, 100 * best.heard_apart)
            : fmt::format(
                  "I cannot learn this from these data: {:.1f} minutes of ordinary sound differ more from each other "
                  "than from pretended faults",
                  minutes);
    taught.notes = notes_;
    taught.headings = {"MINUTES", "STRANGEST", "MIDDLE", "THRESHOLD"};
    std::vector<float> sorted = shares;
    std::ranges::sort(sorted);
    taught.rows = {{fmt::format("{:.1f}", minutes), fmt::format("{:.2f}", sorted.back()),
                    fmt::format("{:.2f}", sorted[sorted.size() / 2]), "1"}};
    Json tried = Json::array();
    for (const Candidate& candidate : candidates_) {
      tried.push_back(
          {{"detector", candidate.name()}, {"looks", candidate.pool}, {"heard_apart", candidate.heard_apart}});
    }
    taught.summary = {{"is_learned", taught.is_learned},
                      {"verdict", taught.verdict},
                      {"task", "anomaly"},
                      {"minutes", minutes},
                      {"heard_apart", best.heard_apart},
                      {"tried", tried},
                      {"notes", taught.notes}};
    return taught;
  }

  std::string report(const TaughtSound& taught, const std::vector<float>& shares) const {
    training::Report page("What sounds normal");
    page.verdict(taught.verdict, taught.is_learned);
    page.list(taught.notes);
    page.heading("Ordinary sound and the threshold");
    page.paragraph(
        "Each second was judged by a detector that had not learned its stretch of time; 1 is the threshold, and an "
        "alarm needs "
        "two looks in a row.");
    page.chart("Strangeness over the recordings", {{"ordinary sound", shares}}, 1, "begin", "end");
    page.heading("Where to listen");
    page.paragraph(
        "The strangest moments of what you called normal. If one of them is a fault, take it out and teach again. Low "
        "tones are at the bottom; the player makes quiet sound louder.");
    page.gallery(strangest(shares), training::GallerySize::wide);
    page.heading("Detectors that were tried");
    page.paragraph(
        "How often a pretended fault (a band louder or missing, a tone, knocks, a hiss) sounded stranger than ordinary "
        "sound, "
        "0.5 to 1.");
    std::vector<std::string> lines;
    for (const Candidate& candidate : candidates_) lines.push_back(candidate.text());
    page.list(lines);
    return page.to_html();
  }

  std::vector<training::ReportPicture> strangest(const std::vector<float>& shares) const {
    std::vector<std::size_t> order(shares.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t at) { return shares[at]; });
    std::vector<training::ReportPicture> shown;
    std::vector<std::size_t> taken;
    for (const std::size_t at : order) {
      const bool is_new = std::ranges::none_of(taken, [&](std::size_t other) {
        return looks_[other].recording == looks_[at].recording && std::abs(looks_[other].end_s - looks_[at].end_s) < 5;
      });
      if (!is_new) continue;
      taken.push_back(at);
      const TaughtRecording& recording = folder_.recordings[looks_[at].recording];
      const auto end = static_cast<std::ptrdiff_t>(looks_[at].end_s * kLookRateHz),
                 count = static_cast<std::ptrdiff_t>(recording.samples.size());
      const std::ptrdiff_t from = std::clamp<std::ptrdiff_t>(end - 2 * kLookRateHz, 0, count),
                           to = std::min<std::ptrdiff_t>(count, end + kLookRateHz);
      const auto part =
          std::span(recording.samples)
              .subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(std::max(from, to) - from));
      shown.push_back({spectrogram_png(part, kLookRateHz),
                       {moment_text(recording, std::max(0.0, looks_[at].end_s - 1)),
                        fmt::format("{:.2f} of the threshold", shares[at])},
                       shares[at] >= 1,
                       audible_wav(part, kLookRateHz)});
      if (shown.size() == kShownSounds) break;
    }
    return shown;
  }

  Status save(const Candidate& best, double threshold, const std::vector<float>& shares) const {
    const training::Rows ordinary = rows_without(kStretches, best.pool);
    models::GraphBuilder graph("sound_anomaly");
    const auto rows = graph.input("look", models::ElementType::float32, {-1, static_cast<std::int64_t>(kLookNumbers)});
    models::GraphBuilder::Edge sum;
    const auto count = static_cast<double>(best.kinds.size());
    for (std::size_t at = 0; at < best.kinds.size(); ++at) {
      VERGE_TRY(const Detector detector, Detector::fit(ordinary, {.kind = best.kinds[at], .seed = request_.seed}));
      const double scale = count > 1 ? best.scales[at] * count : 1;
      const auto part =
          graph.add("Mul", {detector.add_to(graph, rows), graph.scalar(static_cast<float>(1 / (scale * threshold)))});
      sum = at == 0 ? part : graph.add("Add", {sum, part});
    }
    graph.output("score", sum, models::ElementType::float32, {-1, 1});
    VERGE_TRY(const auto model, graph.finish());
    models::ModelCard card = sound_card(kAnomalyTask, best.pool, {});
    card.thresholds = {{"score", 1.0}};
    std::vector<float> sorted = shares;
    std::ranges::sort(sorted);
    card.metrics = {{"heard_apart", best.heard_apart},
                    {"detector", best.name()},
                    {"middle", sorted[sorted.size() / 2]},
                    {"high", sorted[sorted.size() * 9 / 10]},
                    {"false_alarms_per_day", request_.false_alarms_per_day}};
    card.tolerance = 1e-2;
    return write_sound_model(request_, model, std::move(card));
  }

  const TeachSoundRequest& request_;
  const SoundFolder& folder_;
  const SoundTime time_;
  std::vector<OrdinaryLook> looks_;
  std::vector<training::Rows> rows_;  ///< Per microphone.
  std::vector<Candidate> candidates_;
  std::vector<std::string> notes_;
};

}  // namespace

Result<TaughtSound> teach_normal_sound(const TeachSoundRequest& request, const SoundFolder& folder) {
  return NormalTeacher(request, folder).teach();
}

}  // namespace verge::audio
