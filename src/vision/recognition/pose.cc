#include "vision/recognition/pose.h"

#include <cmath>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/picture/crop.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

using pipeline::Keypoint;
using pipeline::Scene;

class ScenePoses final : public SceneAnalyser {
 public:
  ScenePoses(std::unique_ptr<PoseEstimator> estimator, PoseOptions options)
      : estimator_(std::move(estimator)), options_(std::move(options)) {}
  Status analyse(const pipeline::Packet&, Scene& scene) override { return add_poses(*estimator_, options_, scene); }
  bool allows_many_threads() const override { return true; }

 private:
  std::unique_ptr<PoseEstimator> estimator_;
  PoseOptions options_;
};

Result<std::unique_ptr<pipeline::SharedStage>> make_pose_stage(const Json& options, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(options, "margin", 0, 2));
  VERGE_CHECK(pipeline::check_range(options, "objects_max", 1, 300));
  PoseOptions settings;
  VERGE_TRY(settings.labels, words_of(options, "labels"));
  settings.margin = options["margin"].get<double>();
  settings.objects_max = options["objects_max"].get<int>();
  VERGE_TRY(models::LoadedModel model, open_model_of(options, "model", "pose", context));
  VERGE_TRY(auto estimator, PoseEstimator::make(std::move(model)));
  auto analyser = std::make_unique<ScenePoses>(std::move(estimator), std::move(settings));
  return std::unique_ptr<pipeline::SharedStage>(
      std::make_unique<ModelStage>("pose", std::move(analyser), context, runs_of(options)));
}

}  // namespace

Result<std::unique_ptr<PoseEstimator>> PoseEstimator::make(models::LoadedModel model) {
  auto estimator = std::unique_ptr<PoseEstimator>(new PoseEstimator());
  VERGE_TRY(estimator->model_, PictureModel::make(std::move(model)));
  const models::ModelCard& card = estimator->model_->card();
  if (card.head_kind() != "movenet") return card_mistake(card, "/head/kind", "\"movenet\" for a pose model");
  const HeadReader reader(card, estimator->model_->session().outputs());
  VERGE_CHECK(reader.allow_only({"points"}));
  VERGE_TRY(const std::vector<std::string> names, reader.names("points", {}));
  if (names.empty()) return reader.mistake("points", "a list of the points' names in the model's order");
  VERGE_TRY(estimator->points_, reader.output("points", {1, 1, static_cast<std::int64_t>(names.size()), 3}));
  return estimator;
}

Result<std::vector<Keypoint>> PoseEstimator::estimate(const pipeline::Frame& frame) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  VERGE_TRY(const auto numbers, numbers_of(answer.outputs, points_));
  const models::PictureInput& input = *model_->card().picture;
  std::vector<Keypoint> points;
  for (std::size_t at = 0; at + 3 <= numbers.size(); at += 3) {
    const double x = part_across(answer.placement, numbers[at + 1] * static_cast<float>(input.width));
    const double y = part_down(answer.placement, numbers[at] * static_cast<float>(input.height));
    // Its place in the list is its name, so a point without a place stays, as one that is not seen.
    const bool is_point = std::isfinite(x) && std::isfinite(y) && std::isfinite(numbers[at + 2]);
    points.push_back(is_point ? Keypoint{static_cast<float>(x), static_cast<float>(y), numbers[at + 2]} : Keypoint{});
  }
  return points;
}

Status add_poses(PoseEstimator& estimator, const PoseOptions& options, Scene& scene) {
  for (const std::size_t place : strongest(scene.objects, options.labels, options.objects_max)) {
    pipeline::Object& body = scene.objects[place];
    const auto part = crop(*scene.frame, body.box, options.margin);
    if (!part) continue;
    VERGE_TRY(body.keypoints, estimator.estimate(part->frame));
    for (Keypoint& point : body.keypoints) point = part->to_whole(point);
  }
  return Done{};
}

pipeline::Kind<pipeline::SharedStage> pose_kind() {
  const PoseOptions fallback;
  return {.name = "pose",
          .where = "vision/recognition/pose.h",
          .summary = "Finds the points of a body in each person with a pose model.",
          .options = with_engine_options(
              {model_option("The pose model's folder (model.onnx, card.json), relative to the pipeline file."),
               {"labels", "list", "Objects that have a body; empty for all.", Json(fallback.labels)},
               {"margin", "number", "Seen around a person, in parts of its size on each side, 0..2.", fallback.margin},
               {"objects_max", "integer", "Persons looked at in one picture, the strongest, 1..300.",
                fallback.objects_max}}),
          .make = make_pose_stage};
}

}  // namespace verge::vision
