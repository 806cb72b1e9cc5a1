// The task classify: pictures sorted by label become a classifier of pictures, or of objects in them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <set>

#include "base/crypto.h"
#include "base/disk.h"
#include "vision/live.h"
#include "vision/recognition/classify.h"
#include "vision/recognition/detect.h"
#include "vision/teach/classifier_report.h"
#include "vision/teach/feature_store.h"
#include "vision/teach/labelled_folder.h"
#include "vision/teach/taught_files.h"
#include "vision/teach/teach.h"
#include "vision/teach/views.h"

namespace verge::vision {
namespace {

using pipeline::Frame;

constexpr int kFeatureStride = 16;    // Alone nearly as good as the three joined, with fewer numbers to learn.
constexpr int kPictureSide = 320;     // Of whole pictures.
constexpr int kObjectSide = 192;      // Of objects, which are smaller.
constexpr int kViews = 4;             // Against one view: bench/REPORT.md.
constexpr int kObjectPixelsMin = 12;  // A smaller object shows nothing.
constexpr std::size_t kObjectsPerPictureMax = 8;
constexpr double kUnreadableShareMax = 0.5;
constexpr double kImbalanceMax = 4;
constexpr double kLookingShare = 0.7;  // Of the time: the rest is for fitting.
constexpr std::size_t kNamedMax = 5;
constexpr std::size_t kChecksMax = 16;
constexpr float kCheckTolerance = 2e-3F;
constexpr int kThumbnailWidth = 220;

/// A picture or an object in one.
struct Item {
  std::size_t picture = 0;  ///< In the folder's list.
  int number = 0;           ///< Within the picture, from 0.
  contract::Region box{0, 0, 1, 1};
  std::vector<float> glance;
};

/// "a.jpg, b.jpg and 3 more".
std::string names_text(const std::vector<std::string>& names) {
  const auto shown = std::span(names).first(std::min(names.size(), kNamedMax));
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (names.size() > shown.size()) text += fmt::format(" and {} more", names.size() - shown.size());
  return text;
}

std::string pictures_text(std::size_t count) { return fmt::format("{} picture{}", count, count == 1 ? "" : "s"); }

class ClassifierTeacher {
 public:
  explicit ClassifierTeacher(const TeachRequest& request)
      : request_(request), time_(request.minutes), is_about_objects_(!request.objects.empty()) {}

  Result<TeachOutcome> run() {
    VERGE_TRY(folder_, read_labelled_folder(request_.folder));
    VERGE_CHECK(check_request());
    tell(fmt::format("{} pictures of {} labels: {}", folder_.pictures.size(), folder_.labels.size(),
                     fmt::join(folder_.labels, ", ")));
    VERGE_CHECK(open_models());
    VERGE_TRY(store_, FeatureStore::open(request_.target / "work" / "features.bin"));
    VERGE_CHECK(digest_pictures());
    VERGE_CHECK(find_items());
    VERGE_CHECK(look());
    note_sizes();
    group();
    tell("learning, and judging on pictures that were not learned from");
    FewShotOptions options = few_shot_options();
    VERGE_TRY(result_, learn_few_shot(few_, folder_.labels, options));
    VERGE_CHECK(write());
    return outcome();
  }

 private:
  void tell(const std::string& line) const {
    if (request_.tell) request_.tell(line);
  }
  void note(std::string sentence) { notes_.push_back(std::move(sentence)); }

  Status check_request() {
    if (folder_.labels.size() < 2) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("I cannot learn this, because {} has only pictures of \"{}\"; make a folder beside it "
                               "with pictures of what it must be told from.",
                               request_.folder.string(), folder_.labels.front())};
    }
    const bool has_costs = request_.cost_miss != 1 || request_.cost_false_alarm != 1;
    if (request_.positive.empty()) {
      if (!has_costs) return Done{};
      return Error{ErrorCode::invalid_argument,
                   fmt::format("costs need to know which label must not be missed; give --positive with one of: {}",
                               fmt::join(folder_.labels, ", "))};
    }
    if (std::ranges::find(folder_.labels, request_.positive) != folder_.labels.end()) return Done{};
    return Error{ErrorCode::invalid_argument, fmt::format("no folder is called \"{}\"; --positive is one of: {}",
                                                          request_.positive, fmt::join(folder_.labels, ", "))};
  }

  FewShotOptions few_shot_options() const {
    FewShotOptions options;
    options.seed = request_.seed;
    options.cost_miss = request_.cost_miss;
    options.cost_false_alarm = request_.cost_false_alarm;
    options.is_out_of_time = [this] { return time_.is_over(); };
    const auto positive = std::ranges::find(folder_.labels, request_.positive);
    if (positive != folder_.labels.end()) options.positive = static_cast<int>(positive - folder_.labels.begin());
    return options;
  }

  Status open_models() {
    BackboneOptions options;
    options.strides = {kFeatureStride};
    options.width = options.height = request_.side > 0 ? request_.side : is_about_objects_ ? kObjectSide : kPictureSide;
    VERGE_TRY(backbone_, Backbone::open(request_.backbone, options));
    if (!is_about_objects_) return Done{};
    VERGE_TRY(auto model, models::open_model(request_.backbone));
    detector_digest_ = model.session->model_digest();
    VERGE_TRY(detector_, Detector::make(std::move(model), {.labels = {request_.objects}}));
    return Done{};
  }

  Status digest_pictures() {
    for (const auto& picture : folder_.pictures) {
      auto digest = sha256_digest_of_file(picture.file);
      digests_.push_back(digest ? *std::move(digest) : std::string());
    }
    return Done{};
  }

  std::string name_of_picture(std::size_t picture) const {
    const auto& file = folder_.pictures[picture].file;
    return (file.parent_path().filename() / file.filename()).string();
  }

  Result<std::shared_ptr<const Frame>> read(std::size_t picture) const {
    VERGE_TRY(auto frame, request_.read(folder_.pictures[picture].file));
    return std::shared_ptr<const Frame>(std::move(frame));
  }

  /// What is learned from: the part of the picture that the stage classify will look at.
  std::optional<Crop> part(const Frame& frame, const contract::Region& box) const {
    if (!is_about_objects_) return Crop{frame, box};
    return crop(frame, part_of(box, request_.region), ClassifyOptions{}.margin);
  }

  // ---- what is in the pictures ----

  /// Per item: box and glance; kept, as it costs a run of the detector.
  Result<std::vector<float>> items_in(std::size_t picture) {
    VERGE_TRY(const auto frame, read(picture));
    std::vector<contract::Region> boxes;
    if (is_about_objects_) {
      VERGE_TRY(const auto objects, detector_->detect(*frame));
      for (const auto& object : objects)
        if (boxes.size() < kObjectsPerPictureMax) boxes.push_back(object.box);
    } else {
      boxes.push_back({0, 0, 1, 1});
    }
    std::vector<float> row;
    for (const auto& box : boxes) {
      const auto seen = part(*frame, box);
      if (!seen || std::min(seen->frame.width, seen->frame.height) < (is_about_objects_ ? kObjectPixelsMin : 2))
        continue;
      for (const double side : {box.left, box.top, box.right, box.bottom}) row.push_back(static_cast<float>(side));
      VERGE_TRY(const auto look, glance(seen->frame));
      row.insert(row.end(), look.begin(), look.end());
    }
    return row;
  }

  Status find_items() {
    std::vector<std::string> unreadable, empty;
    for (std::size_t picture = 0; picture < folder_.pictures.size(); ++picture) {
      const std::string key = fmt::format("items 1|{}|{}|{}|{}", digests_[picture], detector_digest_, request_.objects,
                                          kBoxParts[static_cast<std::size_t>(request_.region)]);
      const std::vector<float>* row = digests_[picture].empty() ? nullptr : store_->find(key);
      if (row == nullptr) {
        if (time_.is_over(kLookingShare)) return out_of_time(picture, folder_.pictures.size());
        auto found = items_in(picture);
        if (!found) {
          if (found.error().code == ErrorCode::unavailable || found.error().code == ErrorCode::internal)
            return std::move(found).error();
          unreadable.push_back(name_of_picture(picture));
          continue;
        }
        VERGE_TRY(row, store_->add(key, *std::move(found)));
        step("looked at", picture + 1, folder_.pictures.size());
      }
      constexpr std::size_t kEach = 4 + 1024;
      if (row->empty()) empty.push_back(name_of_picture(picture));
      for (std::size_t at = 0; at + kEach <= row->size(); at += kEach) {
        Item item{picture, static_cast<int>(at / kEach), {}, {}};
        item.box = {static_cast<double>((*row)[at]), static_cast<double>((*row)[at + 1]),
                    static_cast<double>((*row)[at + 2]), static_cast<double>((*row)[at + 3])};
        const auto begin = row->begin() + static_cast<std::ptrdiff_t>(at) + 4;
        item.glance.assign(begin, begin + 1024);
        items_.push_back(std::move(item));
      }
    }
    return judge_reading(unreadable, empty);
  }

  Status judge_reading(const std::vector<std::string>& unreadable, const std::vector<std::string>& empty) {
    const auto all = static_cast<double>(folder_.pictures.size());
    if (static_cast<double>(unreadable.size()) > kUnreadableShareMax * all) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("I cannot learn this, because {} of {} pictures cannot be read: {}", unreadable.size(),
                               folder_.pictures.size(), names_text(unreadable))};
    }
    if (!unreadable.empty())
      note(
          fmt::format("{} cannot be read, passed over: {}.", pictures_text(unreadable.size()), names_text(unreadable)));
    if (!empty.empty())
      note(fmt::format("No {} was found in {}: {}.", request_.objects, pictures_text(empty.size()), names_text(empty)));
    if (items_.empty()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("I cannot learn this, because no {} was found in any of the {} pictures; take pictures "
                               "nearer, or leave --objects out to learn from whole pictures",
                               request_.objects, folder_.pictures.size())};
    }
    return Done{};
  }

  Error out_of_time(std::size_t done, std::size_t all) const {
    return {ErrorCode::timeout,
            fmt::format("{:g} minutes are over after {} of {} looks; what was done is kept: run the same again, or "
                        "give more --minutes",
                        request_.minutes, done, all)};
  }

  void step(std::string_view what, std::size_t done, std::size_t all) const {
    if (done % 25 == 0 || done == all) tell(fmt::format("{} {} of {} pictures", what, done, all));
  }

  // ---- features ----

  std::string feature_key(const Item& item, int view) const {
    return fmt::format("pooled 1|{}|{}|{}|{:.7g},{:.7g},{:.7g},{:.7g}|{}|{}|{}", digests_[item.picture],
                       backbone_->digest(), kFeatureStride, item.box.left, item.box.top, item.box.right,
                       item.box.bottom, is_about_objects_ ? kBoxParts[static_cast<std::size_t>(request_.region)] : "",
                       view, view == 0 ? 0 : request_.seed);
  }

  Result<std::vector<float>> features_of(const Item& item, const Frame& frame, int view) {
    const auto seen = part(frame, item.box);
    if (!seen) return Error{ErrorCode::internal, "an item lost its pixels"};
    if (view == 0) {
      VERGE_TRY(const auto maps, backbone_->features(seen->frame));
      return pooled(maps.front());
    }
    std::uint64_t own = 0;
    std::memcpy(&own, sha256(fmt::format("{}|{}", digests_[item.picture], item.number)).data(), sizeof own);
    VERGE_TRY(const auto changed,
              make_view(seen->frame, view, backbone_->width(), backbone_->height(), own ^ request_.seed));
    VERGE_TRY(const auto maps, backbone_->features(*changed));
    return pooled(maps.front());
  }

  /// One view of every item. False: the time was over; the view is left out for all.
  Result<bool> look_at_view(int view) {
    std::shared_ptr<const Frame> frame;
    std::size_t opened = folder_.pictures.size(), told = 0;
    std::vector<std::vector<float>> rows;
    for (const Item& item : items_) {
      const std::string key = feature_key(item, view);
      const std::vector<float>* row = store_->find(key);
      if (row == nullptr) {
        if (time_.is_over(kLookingShare)) {
          looked_ = rows.size();
          return false;
        }
        if (opened != item.picture) {
          VERGE_TRY(frame, read(item.picture));
          opened = item.picture;
        }
        VERGE_TRY(auto computed, features_of(item, *frame, view));
        VERGE_TRY(row, store_->add(key, std::move(computed)));
        if (++told % 50 == 0)
          tell(fmt::format("view {} of {}: {} of {}", view + 1, kViews, rows.size() + 1, items_.size()));
      }
      rows.push_back(*row);
    }
    for (std::size_t at = 0; at < items_.size(); ++at) few_[at].views.push_back(std::move(rows[at]));
    return true;
  }

  Status look() {
    for (const Item& item : items_) few_.push_back({folder_.pictures[item.picture].label, 0, {}});
    for (int view = 0; view < kViews; ++view) {
      VERGE_TRY(const bool is_whole, look_at_view(view));
      if (is_whole) continue;
      if (view == 0) return out_of_time(looked_, items_.size());
      note(
          fmt::format("The time was over: {} instead of {} views of each picture were learned from. Run the same again "
                      "to go on.",
                      view, kViews));
      break;
    }
    views_ = static_cast<int>(few_.front().views.size());
    return Done{};
  }

  // ---- what the data are like ----

  void note_sizes() {
    std::vector<double> counts(folder_.labels.size());
    for (const auto& item : few_) counts[static_cast<std::size_t>(item.label)] += 1;
    const auto [least, most] = std::ranges::minmax_element(counts);
    if (*least > 0 && *most / *least > kImbalanceMax) {
      note(
          fmt::format("\"{}\" has {:.0f} pictures, \"{}\" only {:.0f}. Both count alike, but what is said about the "
                      "smaller one is less certain.",
                      folder_.labels[static_cast<std::size_t>(most - counts.begin())], *most,
                      folder_.labels[static_cast<std::size_t>(least - counts.begin())], *least));
    }
  }

  void group() {
    std::vector<std::vector<float>> glances;
    std::map<std::string, int> contents;
    std::vector<int> together;
    for (const Item& item : items_) {
      glances.push_back(item.glance);
      together.push_back(contents.try_emplace(digests_[item.picture], static_cast<int>(contents.size())).first->second);
    }
    const auto groups = group_glances(glances, together);
    // Groups stay within a label: what is contradictory cannot be kept together, only be told.
    std::map<std::pair<int, int>, int> numbers;
    std::map<int, std::set<int>> labels_of;
    std::set<std::size_t> pictures_alike;
    std::map<int, std::size_t> first_of;
    for (std::size_t at = 0; at < items_.size(); ++at) {
      const int label = few_[at].label;
      const auto own = numbers.try_emplace({groups[at], label}, static_cast<int>(numbers.size()));
      few_[at].group = own.first->second;
      labels_of[groups[at]].insert(label);
      const auto first = first_of.try_emplace(few_[at].group, items_[at].picture);
      if (first.first->second != items_[at].picture) pictures_alike.insert(items_[at].picture);
    }
    if (!pictures_alike.empty())
      note(
          fmt::format("{} nearly the same as another: each such group counts as one, and is never "
                      "learned from and judged at once.",
                      pictures_text(pictures_alike.size())));
    std::vector<std::string> contradictory;
    for (std::size_t at = 0; at < items_.size(); ++at)
      if (labels_of[groups[at]].size() > 1) contradictory.push_back(item_name(at));
    if (!contradictory.empty())
      note(fmt::format("Nearly the same pictures lie in folders of different labels; look whether one is wrong: {}.",
                       names_text(contradictory)));
  }

  std::string item_name(std::size_t at) const {
    const Item& item = items_[at];
    std::string name = name_of_picture(item.picture);
    if (is_about_objects_) name += fmt::format(", {} {}", request_.objects, item.number + 1);
    return name;
  }

  // ---- what is written ----

  ClassifierStory story() {
    ClassifierStory told;
    told.title = fmt::format("What was learned: {}", fmt::join(folder_.labels, " or "));
    told.labels = folder_.labels;
    for (std::size_t at = 0; at < items_.size(); ++at) {
      told.truths.push_back(few_[at].label);
      told.names.push_back(item_name(at));
    }
    told.notes = notes_;
    told.positive = request_.positive;
    told.cost_miss = request_.cost_miss;
    told.cost_false_alarm = request_.cost_false_alarm;
    told.views = views_;
    told.thumbnail = [this](std::size_t at) -> std::string {
      const auto frame = read(items_[at].picture);
      if (!frame) return {};
      const auto seen = part(**frame, items_[at].box);
      if (!seen) return {};
      auto jpeg = to_jpeg(seen->frame, kThumbnailWidth);
      return jpeg ? *std::move(jpeg) : std::string();
    };
    return told;
  }

  Json metrics() const {
    Json recalls = Json::object();
    for (int label = 0; label < result_.confusion.classes; ++label)
      recalls[folder_.labels[static_cast<std::size_t>(label)]] = {{"right", result_.confusion.at(label, label)},
                                                                  {"of", result_.confusion.total(label)}};
    return {{"balanced_accuracy", result_.accuracy},
            {"low", result_.interval.low},
            {"high", result_.interval.high},
            {"chance", 1.0 / result_.confusion.classes},
            {"nearest_mean", result_.centroid_accuracy},
            {"labels", std::move(recalls)}};
  }

  models::ModelCard card() const {
    models::ModelCard card;
    card.task = "classification";
    card.family = "vision";
    card.labels = folder_.labels;
    card.picture = backbone_->picture();
    const auto& graph = backbone_->graph().graph;
    card.inputs = {{graph.inputs.front().name, inference::DataType::float32, graph.inputs.front().shape}};
    card.outputs = {{"scores", inference::DataType::float32, {1, static_cast<std::int64_t>(folder_.labels.size())}}};
    card.head = {{"kind", "classes"}, {"activation", "none"}};
    if (is_about_objects_) card.head["region"] = kBoxParts[static_cast<std::size_t>(request_.region)];
    card.thresholds["score"] = result_.unsure_below;
    if (result_.positive_from) card.thresholds[request_.positive] = *result_.positive_from;
    card.licence = backbone_->origin().licence;
    card.source = {{"trainer", "verge train vision"},
                   {"backbone", backbone_->origin().name},
                   {"backbone_digest", backbone_->origin().digest},
                   {"seed", request_.seed}};
    if (is_about_objects_) card.source["objects"] = request_.objects;
    card.metrics = metrics();
    card.tolerance = static_cast<double>(kCheckTolerance);
    return card;
  }

  /// The written model must say of pictures what the learned numbers say.
  Status check_written() {
    VERGE_TRY(auto model, models::open_model(request_.target));
    VERGE_TRY(const auto classifier, Classifier::make(std::move(model), std::nullopt));
    const std::size_t step = std::max<std::size_t>(1, items_.size() / kChecksMax);
    for (std::size_t at = 0; at < items_.size(); at += step) {
      VERGE_TRY(const auto frame, read(items_[at].picture));
      const auto seen = part(*frame, items_[at].box);
      if (!seen) continue;
      VERGE_TRY(const auto scores, classifier->scores(seen->frame));
      const auto expected = training::soft_max(result_.model.logits(few_[at].views.front()), result_.temperature);
      for (std::size_t label = 0; label < scores.size(); ++label) {
        const auto off = std::abs(scores[label] - static_cast<float>(expected[label]));
        if (off <= kCheckTolerance) continue;
        return Error{ErrorCode::internal,
                     fmt::format("try the taught model on {}: it gives \"{}\" {:.4f}, what was learned gives {:.4f}",
                                 item_name(at), folder_.labels[label], scores[label], expected[label])};
      }
    }
    return Done{};
  }

  Status write() {
    tell("writing");
    VERGE_CHECK(write_file(request_.target / "report.html", classifier_report(result_, story())));
    if (!result_.is_better_than_chance()) {
      // A model of an earlier run must not be taken for this one's.
      forget_model(request_);
      return Done{};
    }
    VERGE_TRY(const auto model, to_onnx(*backbone_, 0, result_));
    VERGE_CHECK(write_model(request_, model, card()));
    return check_written();
  }

  TeachOutcome outcome() {
    TeachOutcome outcome;
    outcome.is_learned = result_.is_better_than_chance();
    outcome.verdict = verdict_of(result_);
    outcome.headings = {"LABEL", is_about_objects_ ? "OBJECTS" : "PICTURES", "RIGHT", "MOST TAKEN FOR"};
    for (int label = 0; label < result_.confusion.classes; ++label) {
      int other = -1;
      for (int said = 0; said < result_.confusion.classes; ++said) {
        const int count = result_.confusion.at(label, said);
        if (said != label && count > 0 && (other < 0 || count > result_.confusion.at(label, other))) other = said;
      }
      outcome.rows.push_back({folder_.labels[static_cast<std::size_t>(label)],
                              std::to_string(result_.confusion.total(label)),
                              fmt::format("{:.0f} %", 100 * result_.confusion.recall(label)),
                              other < 0 ? "-" : folder_.labels[static_cast<std::size_t>(other)]});
    }
    outcome.notes = notes_;
    const auto advice = photograph_next(result_, story());
    outcome.notes.push_back("Photograph next: " + advice.front());
    outcome.summary = {{"is_learned", outcome.is_learned},
                       {"verdict", outcome.verdict},
                       {"task", "classify"},
                       {"labels", folder_.labels},
                       {"items", items_.size()},
                       {"views", views_},
                       {"folds", result_.folds},
                       {"repeats", result_.repeats},
                       {"penalty", result_.penalty},
                       {"temperature", result_.temperature},
                       {"unsure_below", result_.unsure_below},
                       {"metrics", metrics()},
                       {"notes", notes_},
                       {"photograph_next", advice}};
    if (result_.positive_from) outcome.summary["positive_from"] = *result_.positive_from;
    if (std::isfinite(result_.half_accuracy)) outcome.summary["half_accuracy"] = result_.half_accuracy;
    return outcome;
  }

  const TeachRequest& request_;
  const TeachTime time_;
  const bool is_about_objects_;
  LabelledFolder folder_;
  std::vector<std::string> digests_, notes_;
  std::unique_ptr<Backbone> backbone_;
  std::unique_ptr<Detector> detector_;
  std::string detector_digest_;
  std::unique_ptr<FeatureStore> store_;
  std::vector<Item> items_;
  std::vector<FewShotItem> few_;
  FewShotResult result_;
  std::size_t looked_ = 0;  // Items of the view that the time ended in.
  int views_ = 0;
};

}  // namespace

Result<TeachOutcome> teach_classifier(const TeachRequest& request) { return ClassifierTeacher(request).run(); }

}  // namespace verge::vision
