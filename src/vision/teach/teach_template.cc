// The task template: pictures of good parts, and boxes around defects where a person drew some, become a template that
// marks what differs.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

#include "base/crypto.h"
#include "base/disk.h"
#include "vision/recognition/compare.h"
#include "vision/teach/feature_store.h"
#include "vision/teach/labelled_folder.h"
#include "vision/teach/marked_folder.h"
#include "vision/teach/taught_files.h"
#include "vision/teach/teach.h"
#include "vision/teach/template_graph.h"
#include "vision/teach/template_report.h"

namespace verge::vision {
namespace {

constexpr std::size_t kTemplateGoodMax = 60;  ///< They are held in memory, and more change nothing.
constexpr double kPixelsMax = 2'000'000;      ///< Larger pictures are made smaller.
constexpr std::size_t kTrialsMax = 5;         ///< Good pictures that are tried as the template.
constexpr double kGoodCorrelationMin = 0.6;   ///< Of good pictures with the template; unrelated ones reach 0.4.
constexpr double kCorrelationShare = 0.6;     ///< Of the worst good picture's: below it the part is not in a picture.
constexpr double kMarkedLookingShare = 0.9;   ///< Of the time: the rest is for judging.
constexpr std::size_t kTemplateChecksMax = 8;
constexpr double kNearThreshold = 1e-3;  ///< Scores this near may fall on either side.
constexpr int kBoxesToRefuse = 5;        ///< With fewer, nothing can be said against learning.

/// The two lowest and the two highest values of each pixel, so that one picture can be taken out again.
struct Extremes {
  GreyPicture lowest, highest, second_lowest, second_highest;

  void add(const GreyPicture& picture) {
    if (lowest.values.empty()) {
      lowest = highest = second_lowest = second_highest = picture;
      std::ranges::fill(second_lowest.values, std::uint8_t{255});
      std::ranges::fill(second_highest.values, std::uint8_t{0});
      return;
    }
    for (std::size_t i = 0; i < picture.values.size(); ++i) {
      const std::uint8_t value = picture.values[i];
      second_lowest.values[i] = std::min(second_lowest.values[i], std::max(value, lowest.values[i]));
      lowest.values[i] = std::min(lowest.values[i], value);
      second_highest.values[i] = std::max(second_highest.values[i], std::min(value, highest.values[i]));
      highest.values[i] = std::max(highest.values[i], value);
    }
  }
  /// own: one of those added; there is another one
  TemplatePictures without(const GreyPicture& own, const GreyPicture& good) const {
    TemplatePictures others{good, lowest, highest};
    for (std::size_t i = 0; i < own.values.size(); ++i) {
      if (own.values[i] == lowest.values[i]) others.lowest.values[i] = second_lowest.values[i];
      if (own.values[i] == highest.values[i]) others.highest.values[i] = second_highest.values[i];
    }
    return others;
  }
};

class TemplateTeacher {
 public:
  explicit TemplateTeacher(const TeachRequest& request) : request_(request), time_(request.minutes) {}

  Result<TeachOutcome> run() {
    VERGE_CHECK(check_request());
    VERGE_TRY(folder_, read_marked_folder(request_.folder));
    VERGE_TRY(store_, FeatureStore::open(request_.target / "work" / "features.bin"));
    story_.title = "What the good part looks like";
    story_.cost_miss = request_.cost_miss;
    story_.cost_false_alarm = request_.cost_false_alarm;
    tell(fmt::format("{} pictures of good parts, {} of defects", folder_.good.size(), folder_.marked.size()));
    VERGE_CHECK(read_good());
    VERGE_CHECK(choose_template());
    if (!story_.refusal) {
      VERGE_CHECK(make_inspector());
      VERGE_CHECK(judge_good());
      VERGE_CHECK(look_at_marked());
      judge();
    }
    VERGE_CHECK(write());
    return outcome();
  }

 private:
  struct GoodPicture {
    std::string name, digest;
    std::filesystem::path file;
    GreyPicture grey;
    Alignment alignment;  ///< To the template.
  };

  void tell(const std::string& line) const {
    if (request_.tell) request_.tell(line);
  }
  void note(std::string sentence) { story_.notes.push_back(std::move(sentence)); }

  Status check_request() const {
    const auto refuse = [](std::string_view option) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("the task template compares whole pictures, and \"defect\" is what must not be missed; "
                               "leave {} out",
                               option)};
    };
    if (!request_.objects.empty()) return refuse("--objects");
    if (!request_.positive.empty() && request_.positive != "defect") return refuse("--positive");
    return Done{};
  }

  // ---- good parts ----

  /// The template's size: the first picture's, made smaller when it is too large.
  void choose_size(const pipeline::Frame& frame) {
    const double pixels = static_cast<double>(frame.width) * frame.height;
    double factor = std::min(1.0, std::sqrt(kPixelsMax / std::max(pixels, 1.0)));
    if (request_.side > 0) factor = static_cast<double>(request_.side) / std::max(frame.width, frame.height);
    factor = std::min(factor, static_cast<double>(kGreySideMax) / std::max(frame.width, frame.height));
    width_ = std::max(1, static_cast<int>(std::lround(frame.width * factor)));
    height_ = std::max(1, static_cast<int>(std::lround(frame.height * factor)));
  }

  Status read_good() {
    thin_out(folder_.good, kTemplateGoodMax);
    for (const auto& file : folder_.good) {
      VERGE_TRY(const ReadPicture read, read_picture(request_, file));
      if (!read.frame) {
        note(read.passed_over);
        continue;
      }
      if (width_ == 0) choose_size(*read.frame);
      VERGE_TRY(auto grey, as_grey(*read.frame, width_, height_));
      VERGE_TRY(auto digest, sha256_digest_of_file(file));
      good_.push_back({file.filename().string(), std::move(digest), file, std::move(grey), {}});
    }
    if (!good_.empty()) return Done{};
    return Error{ErrorCode::invalid_argument,
                 fmt::format("I cannot learn this, because none of the {} pictures of good parts can be read: {}",
                             folder_.good.size(), story_.notes.front())};
  }

  /// Kept, as it costs most of the time. Rounded to float, so that kept and new ones are equal.
  Result<Alignment> align_to(const GoodPicture& good, const GreyPicture& grey, const std::string& digest) {
    const std::string key = fmt::format("template 1|{}|{}|{}|{}", width_, height_, good.digest, digest);
    const std::vector<float>* row = store_->find(key);
    if (row == nullptr) {
      const Alignment found = align(good.grey, grey);
      std::vector<float> numbers;
      for (const double number :
           {found.right, found.turn, found.across, found.down, found.gain, found.offset, found.correlation})
        numbers.push_back(static_cast<float>(number));
      VERGE_TRY(row, store_->add(key, std::move(numbers)));
    }
    const auto at = [&](std::size_t i) { return static_cast<double>((*row)[i]); };
    return Alignment{at(0), at(1), at(2), at(3), at(4), at(5), at(6)};
  }

  /// The first good picture that at least half of the others lie over becomes the first; those that do not are left
  /// out.
  Status choose_template() {
    for (std::size_t trial = 0; trial < std::min(kTrialsMax, good_.size()); ++trial) {
      std::size_t fitting = 0;
      for (auto& good : good_) {
        VERGE_TRY(good.alignment, align_to(good_[trial], good.grey, good.digest));
        fitting += good.alignment.correlation >= kGoodCorrelationMin;
      }
      if (2 * fitting >= good_.size() && (fitting > 1 || good_.size() == 1)) {
        std::rotate(good_.begin(), good_.begin() + static_cast<std::ptrdiff_t>(trial),
                    good_.begin() + static_cast<std::ptrdiff_t>(trial) + 1);
        good_.front().alignment = Alignment{};
        good_.front().alignment.correlation = 1;
        leave_out_others();
        return Done{};
      }
    }
    story_.good_count = good_.size();
    story_.refusal = fmt::format(
        "the {} good pictures do not lie over each other; they must show the same side of the same part, from the same "
        "place. For surfaces and loose parts take --task anomaly",
        good_.size());
    return Done{};
  }

  void leave_out_others() {
    std::vector<GoodPicture> kept;
    for (auto& good : good_) {
      if (good.alignment.correlation < kGoodCorrelationMin) {
        story_.not_registered.push_back(good.name);
      } else {
        kept.push_back(std::move(good));
      }
    }
    good_ = std::move(kept);
    story_.good_count = good_.size();
    if (!story_.not_registered.empty())
      note(fmt::format("{} of the good pictures do not lie over {}, and were left out.", story_.not_registered.size(),
                       good_.front().name));
  }

  Status make_inspector() {
    const GreyPicture& first = good_.front().grey;
    double worst = 1;
    for (std::size_t at = 0; at < good_.size(); ++at) {
      if (at > 0) good_[at].grey = laid_over(first, good_[at].grey, good_[at].alignment);
      worst = std::min(worst, good_[at].alignment.correlation);
      extremes_.add(good_[at].grey);
    }
    TemplateOptions options;
    options.correlation_min = std::max(options.correlation_min, kCorrelationShare * worst);
    VERGE_TRY(auto inspector, TemplateInspector::make({first, extremes_.lowest, extremes_.highest}, options));
    story_.inspector = std::make_shared<const TemplateInspector>(std::move(inspector));
    story_.options = story_.inspector->options();
    story_.score_min = story_.inspector->score_min();
    story_.margin = story_.options.margin;
    return Done{};
  }

  /// Each good picture by what the others show.
  Status judge_good() {
    for (std::size_t at = 0; good_.size() > 1 && at < good_.size(); ++at) {
      const GreyPicture& own = good_[at].grey;
      VERGE_TRY(const auto inspector,
                TemplateInspector::make(extremes_.without(own, good_.front().grey), story_.options));
      LookedPicture looked;
      looked.name = "good/" + good_[at].name;
      looked.is_good = true;
      looked.alignment = good_[at].alignment;
      looked.example.candidates = inspector.find(own, inspector.excess_of(own));
      story_.pictures.push_back(std::move(looked));
      files_.push_back(good_[at].file);
    }
    return Done{};
  }

  // ---- defects ----

  static Defect label_of(const PixelBox& box) {
    return {static_cast<int>(std::lround(box.left)),
            static_cast<int>(std::lround(box.top)),
            static_cast<int>(std::lround(box.right)),
            static_cast<int>(std::lround(box.bottom)),
            1,
            {}};
  }

  Status look_at_marked() {
    std::size_t without_boxes = 0, apart = 0;
    for (std::size_t at = 0; at < folder_.marked.size(); ++at) {
      if (time_.is_over(kMarkedLookingShare)) {
        note(
            fmt::format("The time was over: {} of {} pictures of defects were looked at. Run the same again to go on, "
                        "or give more --minutes.",
                        at, folder_.marked.size()));
        break;
      }
      const MarkedPicture& marked = folder_.marked[at];
      VERGE_TRY(const ReadPicture read, read_picture(request_, marked.file));
      if (!read.frame) {
        note(read.passed_over);
        continue;
      }
      VERGE_TRY(const GreyPicture grey, as_grey(*read.frame, width_, height_));
      VERGE_TRY(const std::string digest, sha256_digest_of_file(marked.file));
      LookedPicture looked;
      looked.name = "defects/" + marked.file.filename().string();
      VERGE_TRY(looked.alignment, align_to(good_.front(), grey, digest));
      if (looked.alignment.correlation < story_.options.correlation_min) {
        story_.not_registered.push_back(looked.name);
        ++apart;
        continue;
      }
      const GreyPicture over = laid_over(good_.front().grey, grey, looked.alignment);
      looked.example.candidates = story_.inspector->find(over, story_.inspector->excess_of(over));
      looked.has_boxes = marked.boxes.has_value();
      without_boxes += marked.boxes ? 0 : 1;
      const double across = static_cast<double>(width_) / read.frame->width;
      const double down = static_cast<double>(height_) / read.frame->height;
      for (const PixelBox& box : marked.boxes.value_or(std::vector<PixelBox>())) {
        const PixelBox scaled{box.left * across, box.top * down, box.right * across, box.bottom * down};
        looked.example.labels.push_back(
            label_of(box_in_good(scaled, good_.front().grey, width_, height_, looked.alignment)));
      }
      story_.pictures.push_back(std::move(looked));
      files_.push_back(marked.file);
      if ((at + 1) % 25 == 0) tell(fmt::format("looked at {} of {} pictures", at + 1, folder_.marked.size()));
    }
    if (apart > 0) note(fmt::format("{} pictures of defects do not lie over the good part, and were left out.", apart));
    if (without_boxes > 0)
      note(
          fmt::format("{} pictures of defects have no line in {}: only whether something is marked in them is counted.",
                      without_boxes, kLabelsFile));
    if (apart * 2 > folder_.marked.size()) {
      story_.refusal =
          fmt::format("{} of {} pictures of defects do not lie over the good part", apart, folder_.marked.size());
    }
    return Done{};
  }

  // ---- judging ----

  bool is_known(const LookedPicture& picture) const { return picture.is_good || picture.has_boxes; }

  void judge() {
    tell("judging on pictures that were not learned from");
    std::vector<TemplateExample> known;
    int boxes = 0, seen = 0;
    for (const LookedPicture& picture : story_.pictures) {
      if (!is_known(picture)) continue;
      known.push_back(picture.example);
      boxes += static_cast<int>(picture.example.labels.size());
      seen += count_seen(picture.example);
    }
    if (boxes > 0) {
      story_.judged = judge_template(
          known, {request_.cost_miss, request_.cost_false_alarm, request_.seed, story_.inspector->score_min()});
      story_.score_min = story_.judged->score_min;
      story_.margin = story_.judged->margin;
    } else {
      story_.score_min = score_above_good(known, story_.inspector->score_min());
    }
    fill_scores();
    if (boxes >= kBoxesToRefuse && 2 * seen < boxes)
      story_.refusal = fmt::format("only {} of {} marked defects differ from the good part", seen, boxes);
    const MarkedShare good = marked_share(story_, true);
    if (good.of >= 4 && 2 * good.marked > good.of)
      story_.refusal = fmt::format(
          "{} of {} good pictures differ from the others as a defect does; for parts that vary take --task anomaly",
          good.marked, good.of);
  }

  /// Marked defects at whose place anything differs.
  int count_seen(const TemplateExample& example) const {
    return static_cast<int>(std::ranges::count_if(example.labels, [&](const Defect& label) {
      return std::ranges::any_of(example.candidates,
                                 [&](const Defect& one) { return shows(one, label, story_.options.margin); });
    }));
  }

  /// Scores by what does not know the picture; those without boxes taught nothing.
  void fill_scores() {
    std::size_t at = 0;
    for (LookedPicture& picture : story_.pictures) {
      const bool is_judged = story_.judged && is_known(picture);
      picture.threshold = is_judged ? story_.judged->thresholds[at] : story_.score_min;
      if (is_judged) {
        picture.scores = story_.judged->scores[at++];
      } else {
        for (const Defect& candidate : picture.example.candidates)
          picture.scores.push_back(story_.judged && story_.judged->filter
                                       ? story_.judged->filter->probability(candidate.numbers)
                                       : static_cast<double>(candidate.score));
      }
      picture.is_marked = std::ranges::any_of(picture.scores, [&](double score) { return score >= picture.threshold; });
    }
  }

  // ---- what is written ----

  Json metrics() const {
    const MarkedShare good = marked_share(story_, true), bad = marked_share(story_, false);
    Json metrics = {{"good_pictures", story_.good_count},
                    {"good_marked", {{"marked", good.marked}, {"of", good.of}}},
                    {"defective_marked", {{"marked", bad.marked}, {"of", bad.of}}}};
    if (!story_.judged) return metrics;
    const auto interval = [](double value, const training::Interval& range) {
      return Json{{"value", value}, {"low", range.low}, {"high", range.high}};
    };
    const JudgedTemplate& judged = *story_.judged;
    metrics["precision"] = interval(judged.unseen.precision(), judged.precision);
    metrics["recall"] = interval(judged.unseen.recall(), judged.recall);
    metrics["f1"] = interval(judged.f1(), judged.balance);
    metrics["boxes"] = judged.unseen.hits + judged.unseen.misses;
    return metrics;
  }

  models::ModelCard card() const {
    const auto width = static_cast<std::int64_t>(width_), height = static_cast<std::int64_t>(height_);
    models::ModelCard card;
    card.task = "defect-detection";
    card.family = "vision";
    card.labels = {"good", "defect"};
    card.picture = models::PictureInput{};
    card.picture->width = width_;
    card.picture->height = height_;
    card.picture->colours = models::ColourOrder::grey;
    card.picture->mean = {0};
    card.picture->deviation = {1};
    card.picture->fit = models::PictureFit::stretch;
    card.inputs = {{"picture", inference::DataType::uint8, {1, 1, height, width}}};
    card.outputs = {{"excess", inference::DataType::float32, {1, 2, height, width}},
                    {"good", inference::DataType::uint8, {1, 3, height, width}}};
    const TemplateOptions& options = story_.options;
    card.head = {{"kind", "template"},
                 {"shift", options.shift},
                 {"change_min", options.change_min},
                 {"join", options.join},
                 {"pixels_min", options.pixels_min},
                 {"margin", story_.margin},
                 {"correlation_min", options.correlation_min}};
    if (const DefectFilter* filter = learned_filter())
      card.head["filter"] = {{"weights", filter->weights}, {"offset", filter->offset}};
    card.thresholds["score"] = story_.score_min;
    card.source = {{"trainer", "verge train vision"}, {"template", good_.front().name}, {"seed", request_.seed}};
    card.metrics = metrics();
    return card;
  }

  const DefectFilter* learned_filter() const {
    return story_.judged && story_.judged->filter ? &*story_.judged->filter : nullptr;
  }

  /// The written model must mark the pictures that what was learned marks.
  Status check_written() const {
    VERGE_TRY(auto model, models::open_model(request_.target));
    VERGE_TRY(const auto comparer, TemplateComparer::make(std::move(model), {.regions_max = 300}));
    std::optional<DefectFilter> everything;
    if (learned_filter() != nullptr) everything = *learned_filter();
    if (everything) everything->score_min = 0;
    const std::size_t step = std::max<std::size_t>(1, files_.size() / kTemplateChecksMax);
    for (std::size_t at = 0; at < files_.size(); at += step) {
      VERGE_TRY(const ReadPicture read, read_picture(request_, files_[at]));
      if (!read.frame) continue;
      VERGE_TRY(const auto seen, comparer->look(*read.frame));
      VERGE_TRY(const GreyPicture grey, as_grey(*read.frame, width_, height_));
      VERGE_TRY(const auto defects, story_.inspector->inspect(grey, everything ? &*everything : nullptr));
      const double strongest = defects.empty() ? 0 : static_cast<double>(defects.front().score);
      const bool is_wanted = strongest >= story_.score_min;
      if (is_wanted == (seen.attribute.name == "defect") || std::abs(strongest - story_.score_min) < kNearThreshold)
        continue;
      return Error{ErrorCode::internal,
                   fmt::format("try the taught model on {}: it says \"{}\", what was learned says \"{}\"",
                               story_.pictures[at].name, seen.attribute.name, is_wanted ? "defect" : "good")};
    }
    return Done{};
  }

  Result<GreyPicture> over_of(std::size_t picture) const {
    VERGE_TRY(const ReadPicture read, read_picture(request_, files_[picture]));
    if (!read.frame) return Error{ErrorCode::not_found, read.passed_over};
    VERGE_TRY(const GreyPicture grey, as_grey(*read.frame, width_, height_));
    return laid_over(good_.front().grey, grey, story_.pictures[picture].alignment);
  }

  Status write() {
    tell("writing");
    story_.over = [this](std::size_t picture) -> std::optional<GreyPicture> {
      auto over = over_of(picture);
      return over ? std::optional(*std::move(over)) : std::nullopt;
    };
    VERGE_CHECK(write_file(request_.target / "report.html", template_report(story_)));
    forget_model(request_);
    if (story_.refusal) return Done{};
    VERGE_TRY(const auto model, template_graph(story_.inspector->pictures(), story_.options.shift));
    VERGE_CHECK(write_model(request_, model, card()));
    return check_written();
  }

  TeachOutcome outcome() const {
    TeachOutcome outcome;
    outcome.is_learned = !story_.refusal;
    outcome.verdict = template_verdict(story_);
    outcome.headings = {"PICTURES", "LOOKED AT", "MARKED"};
    for (const bool is_good : {true, false}) {
      const MarkedShare share = marked_share(story_, is_good);
      outcome.rows.push_back({is_good ? "good" : "with defects", std::to_string(share.of),
                              share.of == 0 ? "-" : std::to_string(share.marked)});
    }
    outcome.notes = story_.notes;
    for (auto& assumed : template_assumptions(story_)) outcome.notes.push_back(std::move(assumed));
    const auto advice = photograph_next(story_);
    outcome.notes.push_back("Photograph next: " + advice.front());
    outcome.summary = {{"is_learned", outcome.is_learned},
                       {"verdict", outcome.verdict},
                       {"task", "template"},
                       {"metrics", metrics()},
                       {"score_min", story_.score_min},
                       {"has_filter", learned_filter() != nullptr},
                       {"notes", outcome.notes},
                       {"photograph_next", advice}};
    return outcome;
  }

  const TeachRequest& request_;
  const TeachTime time_;
  MarkedFolder folder_;
  std::unique_ptr<FeatureStore> store_;
  int width_ = 0, height_ = 0;
  std::vector<GoodPicture> good_;             ///< The template first.
  Extremes extremes_;                         ///< Of the good pictures, laid over the template.
  std::vector<std::filesystem::path> files_;  ///< Of story_.pictures.
  TemplateStory story_;
};

}  // namespace

Result<TeachOutcome> teach_template(const TeachRequest& request) { return TemplateTeacher(request).run(); }

}  // namespace verge::vision
