#include "vision/teach/classifier_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "training/report.h"

namespace verge::vision {
namespace {

constexpr std::size_t kShownMax = 12;
constexpr int kFewPictures = 10;
constexpr double kGainWorthwhile = 0.02;

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::vector<std::size_t> mistakes_of(const FewShotResult& result, const ClassifierStory& story) {
  std::vector<std::size_t> wrong;
  for (std::size_t at = 0; at < story.truths.size(); ++at)
    if (result.answers[at].said != story.truths[at]) wrong.push_back(at);
  std::ranges::stable_sort(wrong, {}, [&](std::size_t at) {
    return result.answers[at].chances[static_cast<std::size_t>(story.truths[at])];
  });
  return wrong;
}

double best_chance(const FewShotAnswer& answer) { return answer.chances[static_cast<std::size_t>(answer.said)]; }

training::ReportPicture shown(const FewShotResult& result, const ClassifierStory& story, std::size_t at) {
  const auto& answer = result.answers[at];
  const auto& truth = story.labels[static_cast<std::size_t>(story.truths[at])];
  const auto& said = story.labels[static_cast<std::size_t>(answer.said)];
  return {
      story.thumbnail ? story.thumbnail(at) : std::string(),
      {story.names[at], fmt::format("is: {}", truth), fmt::format("said: {}, {}", said, percent(best_chance(answer)))},
      answer.said != story.truths[at]};
}

void add_confusion(const FewShotResult& result, const ClassifierStory& story, training::Report& report) {
  report.heading("What was said, and what it was");
  report.paragraph(
      "Each picture was judged by a model that had seen neither it nor any that is nearly the same. Rows: what it is; "
      "columns: what was said.");
  std::vector<std::string> headings{"is \\ said"};
  for (const auto& label : story.labels) headings.push_back(label);
  headings.emplace_back("pictures");
  headings.emplace_back("right");
  std::vector<std::vector<training::HeatCell>> rows;
  for (int truth = 0; truth < result.confusion.classes; ++truth) {
    std::vector<training::HeatCell> row;
    const double total = result.confusion.total(truth);
    for (int said = 0; said < result.confusion.classes; ++said) {
      const int count = result.confusion.at(truth, said);
      row.push_back({std::to_string(count), count / total, truth == said});
    }
    const auto right = training::share_interval(result.confusion.recall(truth) * total, total);
    row.push_back({fmt::format("{:.0f}", total), 0, true});
    row.push_back({accuracy_text(result.confusion.recall(truth), right), 0, true});
    rows.push_back(std::move(row));
  }
  report.heat_table(headings, story.labels, rows);
}

void add_mistakes(const FewShotResult& result, const ClassifierStory& story, training::Report& report) {
  const auto wrong = mistakes_of(result, story);
  report.heading("The worst mistakes");
  if (wrong.empty()) {
    report.paragraph("There are none among these pictures. The least sure ones:");
  } else {
    report.paragraph(
        fmt::format("{} of {} pictures were taken for something else; the surest mistakes come first. Look whether the "
                    "label is right, whether you can tell it yourself, and what these have in common.",
                    wrong.size(), story.truths.size()));
  }
  std::vector<std::size_t> order = wrong;
  if (wrong.empty()) {
    for (std::size_t at = 0; at < story.truths.size(); ++at) order.push_back(at);
    std::ranges::stable_sort(order, {}, [&](std::size_t at) { return best_chance(result.answers[at]); });
    order.resize(std::min<std::size_t>(order.size(), kShownMax / 2));
  }
  order.resize(std::min(order.size(), kShownMax));
  std::vector<training::ReportPicture> pictures;
  for (const auto at : order) pictures.push_back(shown(result, story, at));
  report.gallery(pictures);
}

void add_probabilities(const FewShotResult& result, const ClassifierStory& story, training::Report& report) {
  report.heading("Does it know when it does not know?");
  std::vector<double> chances;
  int unsure = 0, unsure_wrong = 0, sure_wrong = 0;
  for (std::size_t at = 0; at < story.truths.size(); ++at) {
    const auto& answer = result.answers[at];
    chances.insert(chances.end(), answer.chances.begin(), answer.chances.end());
    const bool is_wrong = answer.said != story.truths[at];
    if (best_chance(answer) < result.unsure_below) {
      ++unsure;
      unsure_wrong += is_wrong ? 1 : 0;
    } else {
      sure_wrong += is_wrong ? 1 : 0;
    }
  }
  std::vector<training::PlotPoint> points;
  for (const auto& bin : training::reliability(chances, story.truths, result.confusion.classes))
    if (bin.count > 0)
      points.push_back({bin.said, static_cast<double>(bin.right) / bin.count, static_cast<double>(bin.count)});
  report.plot(
      "How often it was right (upwards) when it was that sure (to the right); the larger the dot, the more "
      "pictures; on the dashed line its numbers mean what they say",
      points);
  report.paragraph(fmt::format(
      "Below {} it says nothing: that was so for {} of {} pictures, of which it would have got {} wrong. Of "
      "the {} others {} were wrong.",
      percent(result.unsure_below), unsure, story.truths.size(), unsure_wrong,
      story.truths.size() - static_cast<std::size_t>(unsure), sure_wrong));
}

void add_costs(const FewShotResult& result, const ClassifierStory& story, training::Report& report) {
  if (!result.positive_from) return;
  report.heading(fmt::format("From when on it says \"{}\"", story.positive));
  report.paragraph(
      fmt::format("A miss costs {:g}, a false alarm {:g}: saying \"{}\" pays from a probability of {} on. Cost per "
                  "picture when all "
                  "labels come equally often:",
                  story.cost_miss, story.cost_false_alarm, story.positive, percent(*result.positive_from)));
  std::vector<std::vector<std::string>> rows;
  for (const auto& point : result.costs) {
    const bool is_chosen = point.threshold == *result.positive_from;
    rows.push_back({percent(point.threshold) + (is_chosen ? " (chosen)" : ""), std::to_string(point.misses),
                    std::to_string(point.false_alarms), fmt::format("{:.3f}", point.cost)});
  }
  report.table({"Said from", "Missed", "False alarms", "Cost"}, rows);
}

/// The pair that is mixed up most: truth, said, share. Share 0: none.
struct MixUp {
  int truth = 0, said = 0;
  double share = 0;
};
MixUp worst_mix_up(const training::Confusion& confusion) {
  MixUp worst;
  for (int truth = 0; truth < confusion.classes; ++truth) {
    for (int said = 0; said < confusion.classes; ++said) {
      const double share = static_cast<double>(confusion.at(truth, said)) / confusion.total(truth);
      if (truth != said && share > worst.share) worst = {truth, said, share};
    }
  }
  return worst;
}

}  // namespace

std::string accuracy_text(double accuracy, const training::Interval& interval) {
  return fmt::format("{} ({:.0f} to {})", percent(accuracy), 100 * interval.low, percent(interval.high));
}

std::string verdict_of(const FewShotResult& result) {
  const double chance = 1.0 / result.confusion.classes;
  if (result.is_better_than_chance()) {
    return fmt::format("It gets {} of unseen pictures right, each label counted alike; guessing would get {}.",
                       accuracy_text(result.accuracy, result.interval), percent(chance));
  }
  return fmt::format(
      "I cannot learn this from these data: {} of unseen pictures were right, each label counted alike, "
      "and guessing gets {}.",
      accuracy_text(result.accuracy, result.interval), percent(chance));
}

std::vector<std::string> photograph_next(const FewShotResult& result, const ClassifierStory& story) {
  std::vector<std::string> advice;
  const auto name = [&](int label) { return story.labels[static_cast<std::size_t>(label)]; };
  const MixUp worst = worst_mix_up(result.confusion);
  if (worst.share > 0) {
    advice.push_back(fmt::format("\"{}\" that looks like \"{}\": {} of its pictures were taken for that.",
                                 name(worst.truth), name(worst.said), percent(worst.share)));
  }
  for (int label = 0; label < result.confusion.classes; ++label) {
    const double own = result.confusion.independent[static_cast<std::size_t>(label)];
    if (own < kFewPictures)
      advice.push_back(
          fmt::format("More of \"{}\": there are {:.0f} that differ; from {} on the figures here become "
                      "reliable.",
                      name(label), own, kFewPictures));
  }
  if (std::isfinite(result.half_accuracy) && result.accuracy - result.half_accuracy > kGainWorthwhile) {
    advice.push_back(fmt::format(
        "More of everything: with half of the pictures it was right in {}, with all in {}, so more probably help.",
        percent(result.half_accuracy), percent(result.accuracy)));
  } else if (std::isfinite(result.half_accuracy)) {
    advice.push_back(fmt::format("Other kinds of pictures rather than more of these: half of them already gave {}.",
                                 percent(result.half_accuracy)));
  }
  advice.emplace_back(
      "Other days, light, places and backgrounds than these; what it never saw it cannot know, and the figures above "
      "say nothing about it.");
  return advice;
}

std::string classifier_report(const FewShotResult& result, const ClassifierStory& story) {
  training::Report report(story.title);
  report.verdict(verdict_of(result), result.is_better_than_chance());
  report.table({"", ""}, {{"Right, each label counted alike", accuracy_text(result.accuracy, result.interval)},
                          {"Guessing", percent(1.0 / result.confusion.classes)},
                          {"A plain way (nearest mean)", percent(result.centroid_accuracy)},
                          {"With half of the pictures",
                           std::isfinite(result.half_accuracy) ? percent(result.half_accuracy) : "too few to say"},
                          {"How it was judged",
                           fmt::format("{} parts in turn{}, {} view{} of each picture to learn from", result.folds,
                                       result.repeats > 1 ? fmt::format(", {} times", result.repeats) : std::string(),
                                       story.views, story.views == 1 ? "" : "s")}});
  if (!story.notes.empty()) {
    report.heading("To be noted");
    report.list(story.notes);
  }
  add_confusion(result, story, report);
  add_mistakes(result, story, report);
  add_probabilities(result, story, report);
  add_costs(result, story, report);
  report.heading("What to photograph next");
  report.list(photograph_next(result, story));
  return report.to_html();
}

}  // namespace verge::vision
