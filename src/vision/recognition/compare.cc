#include "vision/recognition/compare.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/heads/head_reader.h"
#include "vision/provided.h"
#include "vision/recognition/model_stage.h"
#include "vision/recognition/picture_model.h"

namespace verge::vision {
namespace {

constexpr std::string_view kExcess = "excess", kGood = "good";
constexpr double kScoreLeast = 1e-6;

class SceneComparer final : public SceneAnalyser {
 public:
  explicit SceneComparer(std::unique_ptr<TemplateComparer> comparer) : comparer_(std::move(comparer)) {}

  Status analyse(const pipeline::Packet& /*packet*/, pipeline::Scene& scene) override {
    VERGE_TRY(TemplateComparer::Seen seen, comparer_->look(*scene.frame));
    scene.attributes.push_back(std::move(seen.attribute));
    std::ranges::move(seen.regions, std::back_inserter(scene.objects));
    return Done{};
  }

 private:
  std::unique_ptr<TemplateComparer> comparer_;
};

Result<std::unique_ptr<pipeline::SharedStage>> make_compare_stage(const Json& options,
                                                                  const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(options, "tolerance", 0.1, 10));
  VERGE_CHECK(pipeline::check_range(options, "regions_max", 1, 300));
  CompareOptions settings;
  settings.tolerance = options["tolerance"].get<double>();
  settings.regions_max = options["regions_max"].get<std::size_t>();
  VERGE_TRY(models::LoadedModel model, open_model_of(options, "model", "compare", context));
  VERGE_TRY(auto comparer, TemplateComparer::make(std::move(model), settings));
  auto analyser = std::make_unique<SceneComparer>(std::move(comparer));
  return std::unique_ptr<pipeline::SharedStage>(
      std::make_unique<ModelStage>("compare", std::move(analyser), context, 1));
}

Result<TemplateOptions> options_of(const HeadReader& reader) {
  TemplateOptions options;
  VERGE_TRY(options.shift, reader.whole("shift", options.shift, 1, 8));
  VERGE_TRY(options.join, reader.whole("join", options.join, 0, 32));
  VERGE_TRY(options.pixels_min, reader.whole("pixels_min", options.pixels_min, 1, 10'000));
  VERGE_TRY(options.margin, reader.whole("margin", options.margin, 0, 64));
  VERGE_TRY(options.change_min, reader.number("change_min", options.change_min, 0, 255));
  VERGE_TRY(options.correlation_min, reader.number("correlation_min", options.correlation_min, -1, 1));
  return options;
}

/// {"weights": [19 numbers], "offset": 0.5}
Result<std::optional<DefectFilter>> filter_of(const HeadReader& reader) {
  const Json* value = reader.find("filter");
  if (value == nullptr) return std::optional<DefectFilter>();
  const Json* weights = find_member(*value, {"weights"});
  const Json* offset = find_member(*value, {"offset"});
  const auto is_sound = [](const Json& number) { return number.is_number() && std::isfinite(number.get<double>()); };
  if (weights == nullptr || !weights->is_array() || weights->size() != kCandidateNumbers ||
      !std::ranges::all_of(*weights, is_sound) || offset == nullptr || !is_sound(*offset)) {
    return reader.mistake(
        "filter", fmt::format("\"weights\", a list of {} numbers, and \"offset\", a number", kCandidateNumbers));
  }
  DefectFilter filter;
  for (const Json& weight : *weights) filter.weights.push_back(weight.get<double>());
  filter.offset = offset->get<double>();
  filter.score_min = 0;  // All are wanted: the strongest says how good the picture is.
  return std::optional(std::move(filter));
}

Status check_tensors(const models::LoadedModel& model, const LetterboxOptions& letterbox) {
  const models::ModelCard& card = model.card;
  const auto& inputs = model.session->inputs();
  if (!letterbox.is_grey || !letterbox.is_channels_first || letterbox.mean[0] != 0 || letterbox.deviation[0] != 1)
    return card_mistake(card, "/picture", "grey, channels_first, mean 0 and deviation 1 for a template");
  if (inputs.size() != 1 || inputs[0].type != inference::DataType::uint8 || inputs[0].shape != shape_of(letterbox)) {
    return card_mistake(card, "/inputs/0",
                        fmt::format("uint8 {} for a template", inference::to_text(shape_of(letterbox))));
  }
  return Done{};
}

}  // namespace

Result<std::unique_ptr<TemplateComparer>> TemplateComparer::make(models::LoadedModel model,
                                                                 const CompareOptions& options) {
  if (model.card.head_kind() != "template")
    return card_mistake(model.card, "/head/kind", "\"template\" for a model of a good part");
  VERGE_TRY(const LetterboxOptions letterbox, letterbox_of(model.card, inference::DataType::uint8));
  VERGE_CHECK(check_tensors(model, letterbox));
  auto comparer = std::unique_ptr<TemplateComparer>(new TemplateComparer(std::move(model), letterbox, options));
  const models::ModelCard& card = comparer->model_.card;
  const HeadReader reader(card, comparer->model_.session->outputs());
  VERGE_CHECK(reader.allow_only({"shift", "change_min", "join", "pixels_min", "margin", "correlation_min", "filter"}));
  VERGE_CHECK(reader.output(kExcess, {1, 2, letterbox.height, letterbox.width}));
  VERGE_TRY(const TemplateOptions wanted, options_of(reader));
  VERGE_TRY(comparer->filter_, filter_of(reader));
  VERGE_TRY(TemplatePictures good, comparer->read_good());
  VERGE_TRY(comparer->inspector_, TemplateInspector::make(std::move(good), wanted));
  comparer->margin_ = wanted.margin;
  const auto fallback = static_cast<float>(comparer->filter_ ? 0.5 : comparer->inspector_->score_min());
  VERGE_TRY(comparer->score_min_, threshold_of(card, "score", fallback));
  return comparer;
}

Result<TemplatePictures> TemplateComparer::read_good() {
  const inference::Shape shape{1, 3, letterbox_.options().height, letterbox_.options().width};
  VERGE_TRY(const inference::Tensor good, remembered_pixels(model_, kGood, shape));
  const auto values = good.values<std::uint8_t>();
  const auto plane = [&](std::size_t at) {
    const auto part = values.subspan(at * over_.count(), over_.count());
    return GreyPicture{letterbox_.options().width, letterbox_.options().height, {part.begin(), part.end()}};
  };
  return TemplatePictures{plane(0), plane(1), plane(2)};
}

Result<std::vector<Defect>> TemplateComparer::defects_in(const GreyPicture& over) {
  std::ranges::copy(over.values, over_.values<std::uint8_t>().begin());
  const inference::NamedTensor inputs[] = {{model_.session->inputs()[0].name, &over_}};
  const std::string_view wanted[] = {kExcess};
  VERGE_TRY(const auto outputs, model_.session->run(inputs, wanted));
  return inspector_->find(over, outputs[0].values<float>(), filter_ ? &*filter_ : nullptr);
}

/// One half at the threshold, by odds: score / (score + those of the threshold times the tolerance).
float TemplateComparer::shown_score(float score) const {
  const auto odds = [](double value) { return value / std::max(1 - value, kScoreLeast); };
  const double mine = odds(static_cast<double>(score));
  const double least = options_.tolerance * odds(std::max(score_min_, kScoreLeast));
  return static_cast<float>(mine / (mine + least));
}

pipeline::Object TemplateComparer::region_of(const Defect& defect, const Alignment& alignment,
                                             Placement placement) const {
  const LetterboxOptions& size = letterbox_.options();
  const PixelBox around{static_cast<double>(defect.left - margin_), static_cast<double>(defect.top - margin_),
                        static_cast<double>(defect.right + margin_), static_cast<double>(defect.bottom + margin_)};
  const PixelBox box = box_in_picture(around, inspector_->pictures().good, size.width, size.height, alignment);
  const auto across = [&](double x) { return std::clamp(part_across(placement, static_cast<float>(x)), 0.0, 1.0); };
  const auto down = [&](double y) { return std::clamp(part_down(placement, static_cast<float>(y)), 0.0, 1.0); };
  pipeline::Object object;
  object.label = "defect";
  object.score = shown_score(defect.score);
  object.box = {across(box.left), down(box.top), across(box.right), down(box.bottom)};
  return object;
}

Result<TemplateComparer::Seen> TemplateComparer::look(const pipeline::Frame& frame) {
  VERGE_TRY(const Placement placement, letterbox_.fill(frame, picture_, is_padded_));
  is_padded_ = true;
  const auto bytes = picture_.values<std::uint8_t>();
  const GreyPicture picture{letterbox_.options().width, letterbox_.options().height, {bytes.begin(), bytes.end()}};
  const Alignment alignment = align(inspector_->pictures().good, picture);
  Seen seen;
  seen.correlation = alignment.correlation;
  if (alignment.correlation < inspector_->options().correlation_min) {
    seen.attribute = {"missing", static_cast<float>(1 - std::max(0.0, alignment.correlation))};
    return seen;
  }
  VERGE_TRY(const auto defects, defects_in(laid_over(inspector_->pictures().good, picture, alignment)));
  const float strongest = defects.empty() ? 0 : shown_score(defects.front().score);
  seen.attribute =
      strongest >= 0.5F ? pipeline::Attribute{"defect", strongest} : pipeline::Attribute{"good", 1 - strongest};
  for (const Defect& defect : defects) {
    if (shown_score(defect.score) < 0.5F || seen.regions.size() == options_.regions_max) break;
    pipeline::Object object = region_of(defect, alignment, placement);
    if (object.box.right > object.box.left && object.box.bottom > object.box.top)
      seen.regions.push_back(std::move(object));
  }
  return seen;
}

pipeline::Kind<pipeline::SharedStage> compare_kind() {
  const CompareOptions fallback;
  return {
      .name = "compare",
      .where = "vision/recognition/compare.h",
      .summary = "Compares a part with the good one and marks what is missing or too much, with a taught template.",
      .options = with_engine_options(
          {model_option("The taught model's folder (model.onnx, card.json), relative to the pipeline file."),
           {"tolerance", "number", "Times the odds of the taught threshold, 0.1..10; more alarms less.",
            fallback.tolerance},
           {"regions_max", "integer", "Marked places of one picture, 1..300, the strongest.", fallback.regions_max}}),
      .make = make_compare_stage,
      .provide = provide_untracked};
}

}  // namespace verge::vision
