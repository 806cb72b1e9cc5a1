// The task anomaly: pictures of good parts become a model that marks what is not normal.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/disk.h"
#include "training/report.h"
#include "vision/recognition/anomaly.h"
#include "vision/teach/anomaly.h"
#include "vision/teach/labelled_folder.h"
#include "vision/teach/marked_folder.h"
#include "vision/teach/shown_picture.h"
#include "vision/teach/taught_files.h"
#include "vision/teach/teach.h"

namespace verge::vision {
namespace {

constexpr std::size_t kGoodPicturesMax = 400;  ///< They are held in memory.
constexpr std::size_t kShownMax = 6;
constexpr int kShownWidth = 320;
constexpr double kSeparatedMin = 0.6;  ///< Area under ROC of pretended defects; below it nothing was learned.

/// The picture, redder where the map is higher.
std::string heated(const pipeline::Frame& frame, std::span<const float> map, std::size_t rows, std::size_t columns) {
  auto shown = ShownPicture::make(frame, std::min(frame.width, kShownWidth));
  if (!shown) return {};
  const auto width = static_cast<std::size_t>(shown->width()), height = static_cast<std::size_t>(shown->height());
  shown->heat([&](int x, int y) {
    const std::size_t row = static_cast<std::size_t>(y) * rows / height;
    const float value = map[row * columns + static_cast<std::size_t>(x) * columns / width];
    return std::clamp(value - 0.4F, 0.0F, 0.6F);
  });
  return shown->to_jpeg();
}

std::string verdict_on(const AnomalyFindings& findings) {
  if (findings.separated < kSeparatedMin) {
    return fmt::format(
        "I cannot learn this from these data: the {} good pictures differ more from each other than from pretended "
        "defects",
        findings.pictures);
  }
  return fmt::format(
      "Learned what is normal from {} good pictures; a pretended defect looked stranger than a good picture {:.0f} "
      "times of 100",
      findings.pictures, 100 * findings.separated);
}

std::vector<std::string> notes_on(const AnomalyFindings& findings) {
  std::vector<std::string> notes{
      findings.comparing == Comparing::at_its_place
          ? findings.is_aligned
                ? "Each place is compared with the same place of good pictures, after the picture is laid over a good "
                  "one."
                : "Each place is compared with the same place of good pictures: camera and part must stand still."
          : "Each place is compared with all places of good pictures.",
      findings.alignment};
  if (findings.not_found > 0) {
    notes.push_back(fmt::format(
        "{} of the good pictures do not lie over the others and were compared as they lie, which raises the threshold; "
        "look whether they show the same part.",
        findings.not_found));
  }
  if (findings.is_extrapolated) {
    notes.push_back(fmt::format(
        "{:.2g} % false alarms cannot be counted on {} pictures; the threshold follows from the tail of their scores. "
        "More good pictures make it surer.",
        100 * findings.false_alarms, findings.pictures));
  }
  return notes;
}

std::string normal_report(const AnomalyFindings& findings,
                          const std::vector<std::shared_ptr<const pipeline::Frame>>& good,
                          const std::vector<std::string>& names) {
  training::Report report("What is normal");
  report.verdict(verdict_on(findings), findings.separated >= kSeparatedMin);
  report.list(notes_on(findings));
  std::vector<std::size_t> order(findings.good_scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t at) { return findings.good_scores[at]; });
  std::vector<float> sorted;
  for (const std::size_t at : order) sorted.push_back(findings.good_scores[at]);
  report.heading("Good pictures and the threshold");
  report.paragraph("Each good picture was judged without itself; 1 is the threshold.");
  report.chart("Strangeness, the strangest first", {{"good pictures", sorted}}, 1, "strangest", "plainest");
  report.heading("The strangest good pictures");
  report.paragraph("Red is what made them strange. If one shows a defect, take it out and teach again.");
  std::vector<training::ReportPicture> shown;
  const std::size_t cells = findings.rows * findings.columns;
  for (std::size_t i = 0; i < std::min(kShownMax, order.size()); ++i) {
    const auto map = std::span(findings.good_maps).subspan(order[i] * cells, cells);
    const float score = findings.good_scores[order[i]];
    shown.push_back({heated(*good[order[i]], map, findings.rows, findings.columns),
                     {names[order[i]], fmt::format("{:.2f} of the threshold", score)},
                     score >= 1});
  }
  report.gallery(shown);
  report.heading("Ways that were tried");
  report.paragraph("How often a pretended defect was above a good picture, 0.5 to 1.");
  report.list(findings.ways);
  return report.to_html();
}

struct GoodPictures {
  std::vector<std::shared_ptr<const pipeline::Frame>> frames;
  std::vector<std::string> names;
  std::vector<std::string> passed_over;  ///< In sentences.
};

Result<GoodPictures> read_good_pictures(const TeachRequest& request) {
  VERGE_TRY(auto files, picture_files_in(good_folder_of(request.folder)));
  thin_out(files, kGoodPicturesMax);
  GoodPictures good;
  for (const auto& file : files) {
    VERGE_TRY(ReadPicture read, read_picture(request, file));
    if (!read.frame) {
      good.passed_over.push_back(std::move(read.passed_over));
      continue;
    }
    good.frames.push_back(std::move(read.frame));
    good.names.push_back(file.filename().string());
  }
  return good;
}

Result<TaughtAnomaly> learn(const TeachRequest& request, const GoodPictures& good) {
  const TeachTime time(request.minutes);
  VERGE_TRY(const models::ModelCard card, models::load_card(request.backbone / "card.json"));
  VERGE_TRY(const models::OnnxModel network, models::load_model(request.backbone / card.file));
  AnomalyOptions options;
  options.seed = request.seed;
  options.align = request.align;
  int told = -1;
  return teach_anomaly(network, card, good.frames, options, [&](double share) {
    if (const int tenths = static_cast<int>(share * 10); request.tell && tenths > told) {
      told = tenths;
      request.tell(fmt::format("{} %", tenths * 10));
    }
    return !time.is_over();
  });
}

TeachOutcome outcome_of(const AnomalyFindings& findings, const GoodPictures& good) {
  TeachOutcome outcome;
  outcome.is_learned = findings.separated >= kSeparatedMin;
  outcome.verdict = verdict_on(findings);
  outcome.notes = notes_on(findings);
  outcome.notes.insert(outcome.notes.end(), good.passed_over.begin(), good.passed_over.end());
  outcome.headings = {"GOOD PICTURES", "STRANGEST", "MIDDLE", "THRESHOLD"};
  std::vector<float> sorted = findings.good_scores;
  std::ranges::sort(sorted);
  outcome.rows = {{std::to_string(findings.pictures), fmt::format("{:.2f}", sorted.back()),
                   fmt::format("{:.2f}", sorted[sorted.size() / 2]), "1"}};
  outcome.summary = {{"is_learned", outcome.is_learned},  {"verdict", outcome.verdict},      {"task", "anomaly"},
                     {"pictures", findings.pictures},     {"separated", findings.separated}, {"ways", findings.ways},
                     {"is_aligned", findings.is_aligned}, {"alignment", findings.alignment}, {"notes", outcome.notes}};
  return outcome;
}

/// The model's folder, read again as the stage will read it.
Status save(const TeachRequest& request, TaughtAnomaly taught) {
  VERGE_CHECK(write_model(request, taught.model, std::move(taught.card)));
  VERGE_TRY(models::LoadedModel written, models::open_model(request.target));
  VERGE_CHECK(AnomalyFinder::make(std::move(written), {}));
  return Done{};
}

}  // namespace

Result<TeachOutcome> teach_normal(const TeachRequest& request) {
  VERGE_TRY(GoodPictures good, read_good_pictures(request));
  VERGE_TRY(TaughtAnomaly taught, learn(request, good));
  // It passes over evenly what does not fit into memory; the report shows what was used.
  thin_out(good.frames, taught.findings.pictures);
  thin_out(good.names, taught.findings.pictures);
  TeachOutcome outcome = outcome_of(taught.findings, good);
  VERGE_CHECK(write_file(request.target / "report.html", normal_report(taught.findings, good.frames, good.names)));
  forget_model(request);
  if (outcome.is_learned) VERGE_CHECK(save(request, std::move(taught)));
  return outcome;
}

}  // namespace verge::vision
