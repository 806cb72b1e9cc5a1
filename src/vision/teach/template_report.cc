#include "vision/teach/template_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>

#include "training/report.h"
#include "vision/teach/classifier_report.h"
#include "vision/teach/shown_picture.h"

namespace verge::vision {
namespace {

constexpr std::size_t kMistakesMax = 12, kPicturesMax = 6, kFewNames = 5;
constexpr std::size_t kGoodWanted = 5;
constexpr int kBoxesWanted = 20, kBoxesSure = 50;
constexpr int kCutOutMin = 96;  ///< Pixels shown around a mistake, at least.
constexpr int kGap = 4;         ///< Pixels between the good part and the other.
constexpr int kWindowWidth = 640;
constexpr float kHeatFull = 80;  ///< Grey values outside of what is tolerated that are shown fully red.
constexpr float kHeatMost = 0.7F;

std::string share_text(const MarkedShare& share) {
  if (share.of == 0) return "none were looked at";
  return fmt::format("{} of {} ({:.0f} to {:.0f} %)", share.marked, share.of,
                     100 * training::share_interval(share.marked, share.of).low,
                     100 * training::share_interval(share.marked, share.of).high);
}

std::string few_names(std::vector<std::string> names) {
  const std::size_t all = names.size();
  names.resize(std::min(all, kFewNames));
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  return all > kFewNames ? text + fmt::format(" and {} more", all - kFewNames) : text;
}

std::shared_ptr<pipeline::Frame> grey_frame(const GreyPicture& picture) {
  auto frame = std::make_shared<pipeline::Frame>();
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(picture.values);
  frame->format = pipeline::PixelFormat::gray8;
  frame->width = picture.width;
  frame->height = picture.height;
  frame->planes[0] = bytes->data();
  frame->strides[0] = picture.width;
  frame->storage = bytes;
  return frame;
}

/// A window of the good picture and beside it the same window of another.
GreyPicture side_by_side(const GreyPicture& good, const GreyPicture& over, int left, int top, int width, int height) {
  GreyPicture both{2 * width + kGap, height, {}};
  for (int y = top; y < top + height; ++y) {
    for (const GreyPicture* picture : {&good, &over}) {
      if (picture == &over) both.values.insert(both.values.end(), kGap, 255);
      const auto begin = picture->values.begin() + y * picture->width + left;
      both.values.insert(both.values.end(), begin, begin + width);
    }
  }
  return both;
}

/// What is drawn into a window: `factor` pixels of it for one of the template.
class Window {
 public:
  Window(const TemplateStory& story, const GreyPicture& over, const Defect& around)
      : good_(story.inspector->pictures().good), excess_(story.inspector->excess_of(over)) {
    width_ = std::min(good_.width, std::max(kCutOutMin, 3 * (around.right - around.left)));
    height_ = std::min(good_.height, std::max(kCutOutMin, 3 * (around.bottom - around.top)));
    left_ = std::clamp((around.left + around.right - width_) / 2, 0, good_.width - width_);
    top_ = std::clamp((around.top + around.bottom - height_) / 2, 0, good_.height - height_);
    auto shown = ShownPicture::make(*grey_frame(side_by_side(good_, over, left_, top_, width_, height_)), kWindowWidth);
    if (!shown) return;
    shown_ = *std::move(shown);
    factor_ = static_cast<double>(shown_->width()) / (2 * width_ + kGap);
    shown_->heat([&](int x, int y) {
      const int column = static_cast<int>(x / factor_) - width_ - kGap;
      if (column < 0) return 0.0F;
      const int row = std::min(height_ - 1, static_cast<int>(y / factor_));
      const auto place = static_cast<std::size_t>((top_ + row) * good_.width + left_ + std::min(column, width_ - 1));
      return kHeatMost * std::max(excess_[place], excess_[good_.values.size() + place]) / kHeatFull;
    });
  }
  void box(const Defect& box, int margin, const Colour& colour) {
    const int right = box.right + margin - left_;
    if (!shown_ || right <= 0) return;  // Not in the window; left of it lies the good part.
    shown_->box((std::max(0, box.left - margin - left_) + width_ + kGap) * factor_, (box.top - margin - top_) * factor_,
                (right + width_ + kGap) * factor_, (box.bottom + margin - top_) * factor_, colour);
  }
  std::string jpeg() const { return shown_ ? shown_->to_jpeg() : std::string(); }

 private:
  const GreyPicture& good_;
  std::vector<float> excess_;
  int width_ = 0, height_ = 0, left_ = 0, top_ = 0;
  double factor_ = 1;
  std::optional<ShownPicture> shown_;
};

/// A box that was told and is no defect, or a marked one that was not told.
struct Mistake {
  std::size_t picture = 0;
  Defect place;
  double score = 0;  ///< Of a false alarm; of a miss the best candidate's at its place, 0: nothing differed there.
  bool is_miss = false;
};

std::vector<Mistake> mistakes_of(const TemplateStory& story) {
  std::vector<Mistake> misses, alarms;
  for (std::size_t at = 0; at < story.pictures.size(); ++at) {
    const LookedPicture& picture = story.pictures[at];
    const auto& [candidates, labels] = picture.example;
    for (const Defect& label : labels) {
      double best = 0;
      for (std::size_t i = 0; i < candidates.size(); ++i)
        if (shows(candidates[i], label, story.margin)) best = std::max(best, picture.scores[i]);
      if (best < picture.threshold) misses.push_back({at, label, best, true});
    }
    if (!picture.is_good && !picture.has_boxes) continue;  // Nobody knows.
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Defect& candidate = candidates[i];
      const bool is_wanted =
          std::ranges::any_of(labels, [&](const Defect& label) { return shows(candidate, label, story.margin); });
      if (picture.scores[i] >= picture.threshold && !is_wanted)
        alarms.push_back({at, candidate, picture.scores[i], false});
    }
  }
  std::ranges::stable_sort(misses, {}, &Mistake::score);
  std::ranges::stable_sort(alarms, std::greater<>(), &Mistake::score);
  std::vector<Mistake> mistakes;  // Of both kinds, in turn.
  for (std::size_t i = 0; i < std::max(misses.size(), alarms.size()); ++i) {
    if (i < misses.size()) mistakes.push_back(misses[i]);
    if (i < alarms.size()) mistakes.push_back(alarms[i]);
  }
  return mistakes;
}

void draw_boxes(const TemplateStory& story, const LookedPicture& picture, Window& window) {
  for (const Defect& label : picture.example.labels) window.box(label, 0, kMarkedColour);
  for (std::size_t i = 0; i < picture.scores.size(); ++i)
    if (picture.scores[i] >= picture.threshold) window.box(picture.example.candidates[i], story.margin, kFoundColour);
}

void add_mistakes(const TemplateStory& story, training::Report& report) {
  report.heading("The worst mistakes");
  auto mistakes = mistakes_of(story);
  if (mistakes.empty()) {
    report.paragraph("There are none among these pictures.");
    return;
  }
  report.paragraph(
      "Left the good part, right the picture at the same place; redder is farther outside of what good parts show. Red "
      "boxes: what it marks; blue boxes: what a person marked. Look whether the box is right, and what these have in "
      "common.");
  mistakes.resize(std::min(mistakes.size(), kMistakesMax));
  std::vector<training::ReportPicture> shown;
  for (const Mistake& mistake : mistakes) {
    const LookedPicture& picture = story.pictures[mistake.picture];
    const auto over = story.over(mistake.picture);
    std::string jpeg;
    if (over) {
      Window window(story, *over, mistake.place);
      draw_boxes(story, picture, window);
      jpeg = window.jpeg();
    }
    const std::string what =
        !mistake.is_miss    ? fmt::format("a false alarm, score {:.2f}", mistake.score)
        : mistake.score > 0 ? fmt::format("missed: score {:.2f}, told from {:.2f}", mistake.score, picture.threshold)
                            : std::string("missed: too little differs from the good part");
    shown.push_back({std::move(jpeg), {picture.name, what}, true});
  }
  report.gallery(shown, training::GallerySize::wide);
}

void add_examples(const TemplateStory& story, training::Report& report) {
  std::vector<std::size_t> order;
  for (std::size_t at = 0; at < story.pictures.size(); ++at)
    if (!story.pictures[at].scores.empty()) order.push_back(at);
  const auto strongest = [&](std::size_t at) { return std::ranges::max(story.pictures[at].scores); };
  std::ranges::stable_sort(order, std::greater<>(), strongest);
  order.resize(std::min(order.size(), kPicturesMax));
  if (order.empty()) return;
  report.heading("What differs most");
  report.paragraph("Whole pictures beside the good part; red: outside of what good parts show.");
  std::vector<training::ReportPicture> shown;
  for (const std::size_t at : order) {
    const auto over = story.over(at);
    if (!over) continue;
    Window window(story, *over, {0, 0, over->width, over->height, 0, {}});
    draw_boxes(story, story.pictures[at], window);
    shown.push_back({window.jpeg(),
                     {story.pictures[at].name, story.pictures[at].is_good ? "a good part" : "with a defect"},
                     story.pictures[at].is_good && story.pictures[at].is_marked});
  }
  report.gallery(shown, training::GallerySize::wide);
}

void add_curve(const TemplateStory& story, training::Report& report) {
  if (!story.judged) return;
  const JudgedTemplate& judged = *story.judged;
  report.heading("Found or right: the choice of the threshold");
  training::ChartLine found{"found", {}}, right{"right", {}};
  for (const OperatingPoint& point : judged.curve) {
    found.values.push_back(static_cast<float>(point.recall()));
    right.values.push_back(point.hits + point.false_alarms > 0 ? static_cast<float>(point.precision())
                                                               : std::numeric_limits<float>::quiet_NaN());
  }
  report.chart("Share of marked defects that are found, and share of what is told that is right", {found, right},
               std::numeric_limits<float>::quiet_NaN(), "told from a score of 0", "1");
  report.paragraph(
      fmt::format("A miss costs {:g}, a false alarm {:g}; the cheapest is to tell from a score of {:.2f} on.",
                  story.cost_miss, story.cost_false_alarm, judged.score_min));
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const OperatingPoint& point, std::string_view note) {
    rows.push_back({fmt::format("{:.2f}{}", point.score_min, note), std::to_string(point.hits),
                    std::to_string(point.misses), std::to_string(point.false_alarms),
                    fmt::format("{:.3f}", point.cost)});
  };
  for (std::size_t at = 5; at < judged.curve.size() - 1; at += 10) add(judged.curve[at], "");
  const auto after = std::ranges::find_if(
      rows, [&](const auto& row) { return std::strtod(row.front().c_str(), nullptr) > judged.score_min; });
  const auto place = after - rows.begin();
  add(judged.unseen, " (chosen)");
  std::rotate(rows.begin() + place, rows.end() - 1, rows.end());
  report.table({"Told from", "Found", "Missed", "False alarms", "Cost per picture"}, rows);
}

void add_figures(const TemplateStory& story, training::Report& report) {
  std::vector<std::vector<std::string>> rows;
  if (story.judged) {
    const JudgedTemplate& judged = *story.judged;
    rows.push_back({"Marked defects that it finds (recall)", accuracy_text(judged.unseen.recall(), judged.recall)});
    rows.push_back(
        {"Of what it marks, defects (precision)", accuracy_text(judged.unseen.precision(), judged.precision)});
    rows.push_back({"Both in one number (F1)", accuracy_text(judged.f1(), judged.balance)});
  }
  rows.push_back({"Good pictures in which it marks something", share_text(marked_share(story, true))});
  rows.push_back({"Pictures with defects in which it marks something", share_text(marked_share(story, false))});
  if (story.judged && story.judged->folds > 0)
    rows.push_back(
        {"How it was judged", fmt::format("{} parts in turn, each by what the others taught", story.judged->folds)});
  report.table({"", ""}, rows);
}

}  // namespace

MarkedShare marked_share(const TemplateStory& story, bool is_good) {
  MarkedShare share;
  for (const LookedPicture& picture : story.pictures) {
    const bool is_of_these = is_good ? picture.is_good || (picture.has_boxes && picture.example.labels.empty())
                                     : !picture.is_good && (!picture.has_boxes || !picture.example.labels.empty());
    if (!is_of_these || (picture.is_good && story.good_count < 2)) continue;
    ++share.of;
    share.marked += picture.is_marked;
  }
  return share;
}

std::string template_verdict(const TemplateStory& story) {
  if (story.refusal) return "I cannot learn this from these data: " + *story.refusal;
  const std::string parts =
      fmt::format("{} picture{} of good parts", story.good_count, story.good_count == 1 ? "" : "s");
  if (!story.judged)
    return fmt::format("It knows the good part from {}; without boxes nobody can say how many defects it finds.",
                       parts);
  return fmt::format("In pictures it has not seen it finds {} of the marked defects, and {} of what it marks is one.",
                     accuracy_text(story.judged->unseen.recall(), story.judged->recall),
                     accuracy_text(story.judged->unseen.precision(), story.judged->precision));
}

std::vector<std::string> template_assumptions(const TemplateStory& story) {
  std::vector<std::string> assumed{fmt::format(
      "The same side of the same part, shifted by less than a seventh of the picture and turned by less than "
      "8 degrees; edges may lie {} pixels elsewhere.",
      story.options.shift)};
  if (story.judged && story.judged->filter) return assumed;
  assumed.push_back(fmt::format(
      "Which differences are defects was not learned ({}): all count that are {:.0f} grey values outside of what good "
      "parts show, in {} pixels or more, and reach a score of {:.2f}.",
      story.judged ? story.judged->why_no_filter : "nobody drew boxes", story.options.change_min,
      story.options.pixels_min, story.score_min));
  if (!story.judged && story.good_count > 1)
    assumed.emplace_back(
        "That score is twice the odds of what the strangest good pictures show, each judged without itself.");
  return assumed;
}

std::vector<std::string> photograph_next(const TemplateStory& story) {
  std::vector<std::string> advice, alarmed, missed;
  for (const LookedPicture& picture : story.pictures)
    if (picture.is_good && picture.is_marked) alarmed.push_back(picture.name);
  for (const Mistake& mistake : mistakes_of(story)) {
    const std::string& name = story.pictures[mistake.picture].name;
    if (mistake.is_miss && std::ranges::find(missed, name) == missed.end()) missed.push_back(name);
  }
  if (!alarmed.empty())
    advice.push_back(fmt::format("More good parts like {}: what good parts show in several pictures is tolerated.",
                                 few_names(std::move(alarmed))));
  if (!missed.empty())
    advice.push_back(
        fmt::format("More defects like those missed in {}, with boxes; nearer, if they are only a few "
                    "pixels large.",
                    few_names(std::move(missed))));
  if (story.good_count < kGoodWanted)
    advice.push_back(
        fmt::format("More good parts: there are {}; {} to 20, from different days and lots, show what may "
                    "differ.",
                    story.good_count, kGoodWanted));
  int boxes = 0;
  for (const LookedPicture& picture : story.pictures) boxes += static_cast<int>(picture.example.labels.size());
  const bool is_learned = story.judged && story.judged->filter;
  if (!is_learned) {
    advice.push_back(
        fmt::format("Parts with defects, and boxes around them in labels.jsonl: there are {} boxes; with {} it "
                    "can learn which differences count.",
                    boxes, kBoxesWanted));
  } else if (boxes < kBoxesSure) {
    advice.push_back(
        fmt::format("More defects, with boxes: there are {} boxes; {} make the figures here sure.", boxes, kBoxesSure));
  }
  if (!story.not_registered.empty())
    advice.push_back(fmt::format("{} could not be laid over the good part: take them again from the same place.",
                                 few_names(story.not_registered)));
  advice.emplace_back(
      "The light and the positions that will occur: what no good picture shows is marked, also a shadow or a "
      "reflection.");
  return advice;
}

std::string template_report(const TemplateStory& story) {
  training::Report report(story.title);
  report.verdict(template_verdict(story), !story.refusal);
  add_figures(story, report);
  report.heading("What is assumed");
  report.list(template_assumptions(story));
  if (!story.notes.empty()) {
    report.heading("To be noted");
    report.list(story.notes);
  }
  if (story.inspector) {
    add_mistakes(story, report);
    add_curve(story, report);
    add_examples(story, report);
  }
  report.heading("What to photograph next");
  report.list(photograph_next(story));
  return report.to_html();
}

}  // namespace verge::vision
