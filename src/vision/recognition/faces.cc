#include "vision/recognition/faces.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/picture/blur.h"
#include "vision/picture/crop.h"
#include "vision/provided.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

using pipeline::Object;
using pipeline::Scene;

class SceneFaces final : public SceneAnalyser {
 public:
  SceneFaces(std::unique_ptr<Detector> detector, std::unique_ptr<Embedder> embedder, FacesOptions options)
      : detector_(std::move(detector)),
        embedder_(std::move(embedder)),
        options_(std::move(options)),
        model_(std::make_shared<const std::string>(detector_->session().model_digest())) {
    if (embedder_ != nullptr) embedder_model_ = std::make_shared<const std::string>(embedder_->model_digest());
  }

  Status analyse(const pipeline::Packet& packet, Scene& scene) override {
    if (!scene.model) scene.model = model_;
    if (embedder_model_) scene.embedder = embedder_model_;
    const std::size_t before = scene.objects.size();
    VERGE_CHECK(add_faces(*detector_, embedder_.get(), options_, scene));
    // Looking within persons only, it says nothing about the rest of the picture.
    pipeline::People people{.knows_faces = options_.within.empty(), .persons = {}, .faces = {}};
    for (std::size_t i = before; i < scene.objects.size(); ++i) people.faces.push_back(scene.objects[i].box);
    memory_.add(packet, people, scene.people);
    return Done{};
  }
  bool allows_many_threads() const override { return true; }

 private:
  std::unique_ptr<Detector> detector_;
  std::unique_ptr<Embedder> embedder_;
  FacesOptions options_;
  StreamsMemory memory_;
  std::shared_ptr<const std::string> model_, embedder_model_;
};

Result<std::unique_ptr<pipeline::SharedStage>> make_faces_stage(const Json& options, const pipeline::Context& context) {
  for (const char* member : {"margin", "embed_margin"}) VERGE_CHECK(pipeline::check_range(options, member, 0, 2));
  VERGE_CHECK(pipeline::check_range(options, "objects_max", 1, 300));
  FacesOptions settings;
  VERGE_TRY(settings.within, words_of(options, "within"));
  settings.margin = options["margin"].get<double>();
  settings.embed_margin = options["embed_margin"].get<double>();
  settings.objects_max = options["objects_max"].get<int>();
  DetectorOptions detection;
  VERGE_TRY(detection.score_min, threshold_option(options, "score_min"));
  VERGE_TRY(detection.overlap_max, threshold_option(options, "overlap_max"));
  VERGE_TRY(models::LoadedModel model, open_model_of(options, "model", "faces", context));
  VERGE_TRY(auto detector, Detector::make(std::move(model), detection));
  std::unique_ptr<Embedder> embedder;
  if (options.contains("embed") && !options["embed"].is_null()) {
    VERGE_TRY(models::LoadedModel describer, open_model_of(options, "embed", "faces", context));
    VERGE_TRY(embedder, Embedder::make(std::move(describer)));
  }
  auto analyser = std::make_unique<SceneFaces>(std::move(detector), std::move(embedder), std::move(settings));
  return std::unique_ptr<pipeline::SharedStage>(
      std::make_unique<ModelStage>("faces", std::move(analyser), context, runs_of(options)));
}

/// The faces in one object, in parts of the whole picture.
Result<std::vector<Object>> faces_within(Detector& detector, const Crop& part) {
  VERGE_TRY(std::vector<Object> faces, detector.detect(part.frame));
  for (Object& face : faces) {
    face.box = part.to_whole(face.box);
    for (pipeline::Keypoint& point : face.keypoints) point = part.to_whole(point);
  }
  return faces;
}

/// Two persons standing together show the same face in both their boxes.
bool is_known_face(const std::vector<Object>& faces, const Object& face) {
  constexpr float kSameOverlap = 0.4F;
  const auto box_of_face = [](const Object& object) {
    const contract::Region& box = object.box;
    return Box{static_cast<float>(box.left), static_cast<float>(box.top), static_cast<float>(box.right),
               static_cast<float>(box.bottom)};
  };
  return std::ranges::any_of(
      faces, [&](const Object& other) { return overlap(box_of_face(other), box_of_face(face)) > kSameOverlap; });
}

Result<std::vector<Object>> find_faces(Detector& detector, const FacesOptions& options, const Scene& scene) {
  if (options.within.empty()) return detector.detect(*scene.frame);
  std::vector<Object> faces;
  for (const std::size_t place : strongest(scene.objects, options.within, options.objects_max)) {
    const auto part = crop(*scene.frame, scene.objects[place].box, options.margin);
    if (!part) continue;
    VERGE_TRY(std::vector<Object> found, faces_within(detector, *part));
    for (Object& face : found) {
      if (!is_known_face(faces, face)) faces.push_back(std::move(face));
    }
  }
  return faces;
}

}  // namespace

Result<std::unique_ptr<Embedder>> Embedder::make(models::LoadedModel model) {
  auto embedder = std::unique_ptr<Embedder>(new Embedder());
  VERGE_TRY(embedder->model_, PictureModel::make(std::move(model)));
  embedder->digest_ = embedder->model_->session().model_digest();
  const models::ModelCard& card = embedder->model_->card();
  if (card.head_kind() != "embedding") return card_mistake(card, "/head/kind", "\"embedding\" for an embedding model");
  const HeadReader reader(card, embedder->model_->session().outputs());
  VERGE_CHECK(reader.allow_only({}));
  VERGE_TRY(embedder->vector_, reader.output("embedding", {1, -1}));
  return embedder;
}

Result<std::shared_ptr<const std::vector<float>>> Embedder::embed(const pipeline::Frame& frame) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  VERGE_TRY(const auto numbers, numbers_of(answer.outputs, vector_));
  double squares = 0;
  for (const float number : numbers) squares += static_cast<double>(number) * static_cast<double>(number);
  const double length = std::sqrt(squares);
  if (!(length > 0) || !std::isfinite(length)) return std::shared_ptr<const std::vector<float>>();
  auto unit = std::make_shared<std::vector<float>>(numbers.begin(), numbers.end());
  for (float& number : *unit) number = static_cast<float>(static_cast<double>(number) / length);
  return std::shared_ptr<const std::vector<float>>(std::move(unit));
}

Status add_faces(Detector& detector, Embedder* embedder, const FacesOptions& options, Scene& scene) {
  VERGE_TRY(std::vector<Object> faces, find_faces(detector, options, scene));
  int described = 0;
  for (Object& face : faces) {
    if (embedder != nullptr && described < options.objects_max) {
      if (const auto part = crop(*scene.frame, face.box, options.embed_margin)) {
        VERGE_TRY(face.embedding, embedder->embed(part->frame));
        ++described;
      }
    }
    scene.objects.push_back(std::move(face));
  }
  return Done{};
}

pipeline::Kind<pipeline::SharedStage> faces_kind() {
  const FacesOptions fallback;
  return {
      .name = "faces",
      .where = "vision/recognition/faces.h",
      .summary = "Finds faces and, with a second model, describes each by an embedding.",
      .options = with_engine_options(
          {model_option("The face detector's folder (model.onnx, card.json), relative to the pipeline file."),
           {"embed", "path", "The embedding model's folder; without it faces are only found.", nullptr},
           {"within", "list", "Looks only inside these objects, [person]; empty: in the whole picture.", Json::array()},
           {"margin", "number", "Seen around such an object, in parts of its size on each side, 0..2.",
            fallback.margin},
           {"embed_margin", "number", "The same around a face, for the embedding, 0..2.", fallback.embed_margin},
           {"score_min", "number", "Weaker faces are dropped, 0..1; default: the card's.", nullptr},
           {"overlap_max", "number", "Of two faces overlapping more, the weaker goes, 0..1; default: the card's.",
            nullptr},
           {"objects_max", "integer", "Objects searched and faces described in one picture, 1..300.",
            fallback.objects_max}}),
      .make = make_faces_stage,
      .provide = provide_untracked};
}

}  // namespace verge::vision
