#include "vision/recognition/classify.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

using About = ClassifyOptions::About;
using pipeline::Attribute;
using pipeline::Object;
using pipeline::Scene;

constexpr std::int64_t kForgottenUs = 60'000'000;  ///< A track unseen for a minute does not come back.

class SceneClassifier final : public SceneAnalyser {
 public:
  SceneClassifier(std::unique_ptr<Classifier> classifier, ClassifyOptions options)
      : classifier_(std::move(classifier)),
        logic_(std::move(options), [this](const pipeline::Frame& frame) { return classifier_->classify(frame); }) {}

  Status analyse(const pipeline::Packet& packet, Scene& scene) override {
    return logic_.update(packet.stream ? *packet.stream : std::string(), packet.monotonic_us, scene);
  }

 private:
  std::unique_ptr<Classifier> classifier_;
  ClassifyLogic logic_;
};

Result<std::unique_ptr<pipeline::SharedStage>> make_classify_stage(const Json& options,
                                                                   const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_word(options, "of", {"objects", "picture", "zones"}));
  VERGE_CHECK(pipeline::check_range(options, "margin", 0, 2));
  VERGE_CHECK(pipeline::check_range(options, "every_s", 0, 3600));
  VERGE_CHECK(pipeline::check_range(options, "objects_max", 1, 300));
  ClassifyOptions settings;
  settings.about = options["of"] == "objects"   ? About::objects
                   : options["of"] == "picture" ? About::picture
                                                : About::zones;
  VERGE_TRY(settings.labels, words_of(options, "labels"));
  if (options.contains("zones")) {
    VERGE_TRY(settings.zones, words_of(options, "zones"));
  }
  settings.margin = options["margin"].get<double>();
  settings.every_s = options["every_s"].get<double>();
  settings.objects_max = options["objects_max"].get<int>();
  VERGE_TRY(const std::optional<float> score_min, threshold_option(options, "score_min"));
  VERGE_TRY(models::LoadedModel model, open_model_of(options, "model", "classify", context));
  VERGE_TRY(auto classifier, Classifier::make(std::move(model), score_min));
  settings.region = classifier->region();
  if (options.contains("region") && options["region"].is_string()) {
    VERGE_CHECK(pipeline::check_word(options, "region", {kBoxParts.begin(), kBoxParts.end()}));
    settings.region = *find_box_part(options["region"].get<std::string>());
  }
  auto analyser = std::make_unique<SceneClassifier>(std::move(classifier), std::move(settings));
  return std::unique_ptr<pipeline::SharedStage>(
      std::make_unique<ModelStage>("classify", std::move(analyser), context, runs_of(options)));
}

Status check_zones_before(const Json& options, const pipeline::Provided& before) {
  if (options["of"] != "zones") return Done{};
  VERGE_TRY(const auto zones, words_of(options, "zones"));
  std::vector<std::string> known;
  for (const auto& [what, name] : before) {
    if (what == "zone") known.push_back(name);
  }
  return check_zones(known, zones, "classify");
}

}  // namespace

Result<std::unique_ptr<Classifier>> Classifier::make(models::LoadedModel model, std::optional<float> score_min) {
  auto classifier = std::unique_ptr<Classifier>(new Classifier());
  VERGE_TRY(classifier->model_, PictureModel::make(std::move(model)));
  const models::ModelCard& card = classifier->model_->card();
  if (card.labels.empty()) return card_mistake(card, "/labels", "a list of words");
  if (card.head_kind() != "classes") return card_mistake(card, "/head/kind", "\"classes\" for a classifier");
  const HeadReader reader(card, classifier->model_->session().outputs());
  VERGE_CHECK(reader.allow_only({"activation", "region"}));
  VERGE_TRY(const std::size_t activation, reader.word("activation", {"none", "softmax", "sigmoid"}));
  classifier->activation_ = static_cast<Activation>(activation);
  VERGE_TRY(classifier->scores_, reader.output("scores", {1, reader.labels()}));
  VERGE_TRY(const float of_the_card, threshold_of(card, "score", 0));
  classifier->score_min_ = score_min.value_or(of_the_card);
  VERGE_TRY(const std::size_t region, reader.word("region", {"whole", "top", "head"}));
  classifier->region_ = static_cast<BoxPart>(region);
  for (const std::string& label : card.labels) {
    classifier->own_min_.emplace_back();
    if (!card.thresholds.contains(label)) continue;
    VERGE_TRY(classifier->own_min_.back(), threshold_of(card, label, 0));
  }
  return classifier;
}

Result<std::vector<float>> Classifier::scores(const pipeline::Frame& frame) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  VERGE_TRY(const auto numbers, numbers_of(answer.outputs, scores_));
  std::vector<float> scores(numbers.begin(), numbers.end());
  if (activation_ == Activation::sigmoid) {
    for (float& score : scores) score = 1 / (1 + std::exp(-score));
  }
  if (activation_ == Activation::softmax) {
    const float most = *std::ranges::max_element(scores);
    float sum = 0;
    for (float& score : scores) sum += score = std::exp(score - most);
    for (float& score : scores) score /= sum;
  }
  return scores;
}

Result<std::optional<Attribute>> Classifier::classify(const pipeline::Frame& frame) {
  VERGE_TRY(const std::vector<float> likely, scores(frame));
  if (std::ranges::any_of(likely, [](float x) { return std::isnan(x); })) return std::optional<Attribute>();
  std::optional<std::size_t> said;
  const auto is_better = [&](std::size_t label) { return !said || likely[label] > likely[*said]; };
  for (std::size_t label = 0; label < likely.size(); ++label)
    if (own_min_[label] && likely[label] >= *own_min_[label] && is_better(label)) said = label;
  if (!said) {
    for (std::size_t label = 0; label < likely.size(); ++label)
      if (!own_min_[label] && is_better(label)) said = label;
    if (!said || !(likely[*said] >= score_min_)) return std::optional<Attribute>();
  }
  return std::optional(Attribute{model_->card().labels[*said], std::min(likely[*said], 1.0F)});
}

bool ClassifyLogic::is_due(const Said& said, std::int64_t monotonic_us) const {
  return said.looked_us == kNeverLooked || static_cast<double>(monotonic_us - said.looked_us) / 1e6 >= options_.every_s;
}

Status ClassifyLogic::update(const std::string& stream, std::int64_t monotonic_us, Scene& scene) {
  Known& known = streams_[stream];
  std::erase_if(known, [&](const auto& entry) { return monotonic_us - entry.second.seen_us > kForgottenUs; });
  if (options_.about == About::picture) return update_picture(known, monotonic_us, scene);
  if (options_.about == About::zones) VERGE_CHECK(check_zones(zones_of(scene), options_.zones, "classify"));
  return look_at(candidates_of(scene), known, monotonic_us, *scene.frame);
}

Status ClassifyLogic::update_picture(Known& known, std::int64_t monotonic_us, Scene& scene) {
  auto at = known.find(std::string_view());
  if (at == known.end() || is_due(at->second, monotonic_us)) {
    VERGE_TRY(auto attribute, look_(*scene.frame));
    at = known.insert_or_assign(std::string(), Said{std::move(attribute), monotonic_us, monotonic_us}).first;
  }
  at->second.seen_us = monotonic_us;
  if (at->second.attribute) scene.attributes.push_back(*at->second.attribute);
  return Done{};
}

std::vector<ClassifyLogic::Candidate> ClassifyLogic::candidates_of(Scene& scene) const {
  std::vector<Candidate> candidates;
  if (options_.about == About::zones) {
    for (pipeline::Shape& shape : scene.shapes) {
      if (is_wanted(shape, options_.zones)) candidates.push_back({bounds_of(shape), shape.name, &shape.attributes, {}});
    }
    return candidates;
  }
  for (Object& object : scene.objects) {
    if (!is_wanted(object, options_.labels)) continue;
    candidates.push_back({part_of(object.box, options_.region), object.track, &object.attributes, {}});
  }
  return candidates;
}

Status ClassifyLogic::look_at(std::vector<Candidate> candidates, Known& known, std::int64_t monotonic_us,
                              const pipeline::Frame& frame) {
  for (Candidate& candidate : candidates) {
    const auto at = known.find(candidate.name);
    if (candidate.name.empty() || at == known.end()) continue;
    at->second.seen_us = monotonic_us;
    candidate.said = at->second;
  }
  std::ranges::stable_sort(candidates, {}, [](const Candidate& each) { return each.said.looked_us; });
  const double margin = options_.about == About::zones ? 0 : options_.margin;
  int looks = 0;
  for (Candidate& candidate : candidates) {
    if (looks < options_.objects_max && is_due(candidate.said, monotonic_us)) {
      ++looks;
      if (const auto part = crop(frame, candidate.part, margin)) {
        VERGE_TRY(candidate.said.attribute, look_(part->frame));
        candidate.said.looked_us = candidate.said.seen_us = monotonic_us;
        if (!candidate.name.empty()) known.insert_or_assign(candidate.name, candidate.said);
      }
    }
    // Between two looks, and when there was no time for one, what was said last still holds.
    if (candidate.said.attribute) candidate.target->push_back(*candidate.said.attribute);
  }
  return Done{};
}

pipeline::Kind<pipeline::SharedStage> classify_kind() {
  const ClassifyOptions fallback;
  return {.name = "classify",
          .where = "vision/recognition/classify.h",
          .summary = "Says what each object, each zone or the whole picture looks like, with a classifier model.",
          .options = with_engine_options(
              {model_option("The classifier's folder (model.onnx, card.json), relative to the pipeline file."),
               {"of", "text", "objects or zones: each one's part of the picture; or picture: all of it.", "objects"},
               {"labels", "list", "Only objects called so, [person]; empty for all.", Json::array()},
               {"zones", "list", "Only these zones of stages before; empty for all.", Json::array()},
               {"region", "text",
                "Part of an object's box: whole, top (its upper half), head (its upper third); default: the "
                "card's.",
                nullptr},
               {"margin", "number", "Seen around an object, in parts of its size on each side, 0..2.", fallback.margin},
               {"score_min", "number", "Less likely answers are dropped, 0..1; default: the card's.", nullptr},
               {"every_s", "number", "A tracked object, a zone or the picture is looked at so often, seconds, 0..3600.",
                fallback.every_s},
               {"objects_max", "integer", "Objects or zones looked at in one picture, 1..300; the others wait.",
                fallback.objects_max}}),
          .make = make_classify_stage,
          .check = check_zones_before};
}

}  // namespace verge::vision
