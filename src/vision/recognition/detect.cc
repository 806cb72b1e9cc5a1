#include "vision/recognition/detect.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/heads/head_reader.h"
#include "vision/picture/blur.h"
#include "vision/provided.h"
#include "vision/recognition/close_detector.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

using pipeline::Object;

Result<std::vector<int>> indexes_of(const std::vector<std::string>& labels, const models::ModelCard& card) {
  std::vector<int> indexes;
  for (const std::string& label : labels) {
    const auto at = std::ranges::find(card.labels, label);
    if (at == card.labels.end()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("the model knows no \"{}\"; it knows {}", label, fmt::join(card.labels, ", "))};
    }
    indexes.push_back(static_cast<int>(at - card.labels.begin()));
  }
  std::ranges::sort(indexes);
  return indexes;
}

/// Nothing where a model gave numbers that are no box.
bool is_box(const Detection& detection) {
  const Box& box = detection.box;
  return std::isfinite(box.left) && std::isfinite(box.top) && std::isfinite(box.right) && std::isfinite(box.bottom) &&
         std::ranges::all_of(detection.points,
                             [](const auto& at) { return std::isfinite(at.x) && std::isfinite(at.y); });
}

/// Pixels of the network's input to parts of the picture.
Object to_object(const Detection& detection, Placement placement, const models::ModelCard& card) {
  const auto limit = [](double part) { return std::clamp(part, 0.0, 1.0); };
  Object object;
  object.label = card.labels[static_cast<std::size_t>(detection.label)];
  object.score = detection.score;
  object.box = {limit(part_across(placement, detection.box.left)), limit(part_down(placement, detection.box.top)),
                limit(part_across(placement, detection.box.right)), limit(part_down(placement, detection.box.bottom))};
  for (const pipeline::Keypoint& point : detection.points) {
    object.keypoints.push_back({static_cast<float>(part_across(placement, point.x)),
                                static_cast<float>(part_down(placement, point.y)), point.score});
  }
  return object;
}

class SceneDetector final : public SceneAnalyser {
 public:
  SceneDetector(std::unique_ptr<Detector> detector, LookOptions look, const pipeline::Context& context)
      : detector_(std::move(detector), look),
        hides_people_(context.privacy.blur != pipeline::Blur::none),
        model_(std::make_shared<const std::string>(detector_.detector().session().model_digest())),
        runs_(context.metrics->counter("verge_detect_runs_total",
                                       "Runs of detectors; with tiles or focus several a picture.")) {}

  Status analyse(const pipeline::Packet& packet, pipeline::Scene& scene) override {
    pipeline::People people;
    const std::string stream = packet.stream ? *packet.stream : "";
    VERGE_TRY(auto found, detector_.detect(*scene.frame, scene.moving, stream, hides_people_ ? &people : nullptr));
    scene.objects = std::move(found.objects);
    runs_.add(found.runs);
    if (hides_people_) memory_.add(packet, people, scene.people);
    scene.model = model_;
    return Done{};
  }
  bool allows_many_threads() const override { return true; }

 private:
  CloseDetector detector_;
  const bool hides_people_;
  StreamsMemory memory_;
  std::shared_ptr<const std::string> model_;
  Counter& runs_;
};

Result<LookOptions> read_look(const Json& options) {
  using Way = LookOptions::Way;
  LookOptions look;
  VERGE_CHECK(pipeline::check_range(options, "tile_overlap", 0, 0.5));
  VERGE_CHECK(pipeline::check_range(options, "runs_max", 1, 65));
  look.overlap = options["tile_overlap"].get<double>();
  look.runs_max = options["runs_max"].get<int>();
  const std::string tiles = options.value("tiles", std::string());
  if (options.contains("focus")) {
    VERGE_CHECK(pipeline::check_word(options, "focus", {"motion"}));
    look.way = Way::motion;
  }
  if (tiles.empty()) return look;
  if (look.way == Way::motion) {
    return Error{ErrorCode::invalid_argument, "tiles and focus are two ways to look closer; give one of them"};
  }
  look.way = tiles == "auto" ? Way::native : Way::tiles;
  if (look.way == Way::native) return look;
  VERGE_TRY(look.grid, read_tiles(tiles));
  const int runs = look.grid.count() + 1;
  if (runs <= look.runs_max) return look;
  return Error{ErrorCode::invalid_argument, fmt::format("tiles {} and the whole picture are {} runs of the model; "
                                                        "runs_max is {}",
                                                        tiles, runs, look.runs_max)};
}

Status check_detect(const Json& options, const pipeline::Provided& before) {
  VERGE_TRY(const LookOptions look, read_look(options));
  if (look.way != LookOptions::Way::motion || before.contains({"motion", ""})) return Done{};
  return Error{ErrorCode::invalid_argument, "detect with focus: motion needs stage motion before it"};
}

Result<std::unique_ptr<pipeline::SharedStage>> make_detect_stage(const Json& options,
                                                                 const pipeline::Context& context) {
  DetectorOptions settings;
  VERGE_TRY(settings.labels, words_of(options, "labels"));
  VERGE_TRY(settings.score_min, threshold_option(options, "score_min"));
  VERGE_TRY(settings.overlap_max, threshold_option(options, "overlap_max"));
  VERGE_TRY(const LookOptions look, read_look(options));
  VERGE_TRY(models::LoadedModel model, open_model_of(options, "model", "detect", context));
  VERGE_TRY(auto detector, Detector::make(std::move(model), settings));
  return std::unique_ptr<pipeline::SharedStage>(std::make_unique<ModelStage>(
      "detect", std::make_unique<SceneDetector>(std::move(detector), look, context), context, runs_of(options)));
}

}  // namespace

Result<std::unique_ptr<Detector>> Detector::make(models::LoadedModel model, const DetectorOptions& options) {
  auto detector = std::unique_ptr<Detector>(new Detector());
  VERGE_TRY(detector->model_, PictureModel::make(std::move(model)));
  const models::ModelCard& card = detector->model_->card();
  VERGE_TRY(detector->head_, make_box_head(card, detector->session().outputs()));
  VERGE_TRY(detector->wanted_, indexes_of(options.labels, card));
  VERGE_TRY(const float score_min, threshold_of(card, "score", 0.4F));
  VERGE_TRY(const float overlap_max, threshold_of(card, "overlap", 0.5F));
  for (std::size_t i = 0; i < card.labels.size(); ++i) {
    if (is_person_label(card.labels[i])) detector->persons_.push_back(static_cast<int>(i));
    if (is_face_label(card.labels[i])) detector->faces_.push_back(static_cast<int>(i));
  }
  detector->score_min_ = options.score_min.value_or(score_min);
  detector->overlap_max_ = options.overlap_max.value_or(overlap_max);
  return detector;
}

Status Detector::find_people(std::span<const inference::Tensor> outputs, Placement placement,
                             pipeline::People& people) const {
  // Boxes may overlap much: who stands behind someone is to be hidden, too.
  constexpr float kHideOverlapMax = 0.8F;
  const auto find = [&](const std::vector<int>& labels, bool& knows, std::vector<contract::Region>& boxes) -> Status {
    if (labels.empty()) return Done{};
    knows = true;
    std::vector<Detection> found;
    VERGE_CHECK(head_->decode(outputs, {labels, std::min(score_min_, kHideScoreMin)}, found));
    std::erase_if(found, [](const Detection& detection) { return !is_box(detection); });
    for (const Detection& detection : suppress_weaker(std::move(found), kHideOverlapMax)) {
      boxes.push_back(to_object(detection, placement, model_->card()).box);
    }
    return Done{};
  };
  VERGE_CHECK(find(persons_, people.knows_persons, people.persons));
  return find(faces_, people.knows_faces, people.faces);
}

Result<std::vector<Object>> Detector::detect(const pipeline::Frame& frame, pipeline::People* people) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  if (people != nullptr) VERGE_CHECK(find_people(answer.outputs, answer.placement, *people));
  std::vector<Detection> found;
  VERGE_CHECK(head_->decode(answer.outputs, {wanted_, score_min_}, found));
  std::erase_if(found, [](const Detection& detection) { return !is_box(detection); });
  std::vector<Object> objects;
  for (const Detection& detection : suppress_weaker(std::move(found), overlap_max_)) {
    Object object = to_object(detection, answer.placement, model_->card());
    // A box that lies wholly in the padding shows nothing of the picture.
    if (object.box.right > object.box.left && object.box.bottom > object.box.top) objects.push_back(std::move(object));
  }
  return objects;
}

pipeline::Kind<pipeline::SharedStage> detect_kind() {
  const LookOptions look;
  return {
      .name = "detect",
      .where = "vision/recognition/detect.h",
      .summary = "Finds objects in pictures with a detector model.",
      .options = with_engine_options(
          {model_option("The model's folder (model.onnx, card.json), relative to the pipeline file."),
           {"labels", "list", "Only these objects, [person, car]; empty for all.", Json::array()},
           {"score_min", "number", "Weaker boxes are dropped, 0..1; default: the card's.", nullptr},
           {"overlap_max", "number", "Of two boxes overlapping more, the weaker goes, 0..1; default: the card's.",
            nullptr},
           {"tiles", "text",
            "Looks at so many parts, too, for small objects, columns x rows: 2x2; auto: as many as show them "
            "in full size.",
            nullptr},
           {"tile_overlap", "number", "Of neighbouring tiles, in parts of a tile, 0..0.5.", look.overlap},
           {"focus", "text", "motion: looks closer where stage motion saw something, for small objects.", nullptr},
           {"runs_max", "integer", "Runs of the model for one picture with tiles or focus, 1..65.", look.runs_max}}),
      .make = make_detect_stage,
      .provide = provide_untracked,
      .check = check_detect};
}

}  // namespace verge::vision
