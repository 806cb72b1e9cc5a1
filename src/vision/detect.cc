#include "vision/detect.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <thread>

#include "base/bounded_queue.h"
#include "base/log.h"
#include "pipeline/packet.h"

namespace verge::vision {
namespace {

using inference::NamedTensor;
using inference::Tensor;
using pipeline::Object;
using pipeline::Packet;
using pipeline::Scene;

Status check_input(const inference::Session& session, const DetectorCard& card) {
  const inference::Shape wanted{1, 3, card.input.height, card.input.width};
  const auto& inputs = session.inputs();
  if (inputs.size() == 1 && inputs[0].type == inference::DataType::float32 && inputs[0].shape == wanted) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("the card gives pictures {} float32, the model wants {} {}; correct the card's input",
                           to_text(wanted), inputs.empty() ? "nothing" : to_text(inputs[0].shape),
                           inputs.empty() ? "" : name_of(inputs[0].type))};
}

Result<std::vector<int>> indexes_of(const std::vector<std::string>& labels, const DetectorCard& card) {
  std::vector<int> indexes;
  for (const std::string& label : labels) {
    const auto at = std::ranges::find(card.labels, label);
    if (at == card.labels.end()) {
      std::string known;
      for (const std::string& name : card.labels) known += (known.empty() ? "" : ", ") + name;
      return Error{ErrorCode::invalid_argument, fmt::format("the model knows no \"{}\"; it knows {}", label, known)};
    }
    indexes.push_back(static_cast<int>(at - card.labels.begin()));
  }
  std::ranges::sort(indexes);
  return indexes;
}

/// Pixels of the network's input to parts of the picture.
Object to_object(const Detection& detection, Placement placement, const DetectorCard& card) {
  const auto part = [](float value, int size) { return std::clamp(static_cast<double>(value) / size, 0.0, 1.0); };
  Object object;
  object.label = card.labels[static_cast<std::size_t>(detection.label)];
  object.score = detection.score;
  object.box = {part(detection.box.left, placement.width), part(detection.box.top, placement.height),
                part(detection.box.right, placement.width), part(detection.box.bottom, placement.height)};
  return object;
}

class DetectStage final : public pipeline::SharedStage {
 public:
  DetectStage(std::unique_ptr<Detector> detector, const pipeline::Context& context)
      : detector_(std::move(detector)),
        model_(std::make_shared<const std::string>(detector_->session().model_digest())),
        seconds_(context.metrics->histogram("verge_inference_seconds", "Picture to boxes.", {{"stage", "detect"}})) {}
  ~DetectStage() override { close(); }

  Status open() override {
    thread_ = std::thread([this] { work(); });
    return Done{};
  }
  void submit(Packet packet, Complete complete) override {
    if (!queue_.push({std::move(packet), complete})) complete(std::optional<Packet>());
  }
  /// One is computed while the next waits, so that the thread never idles.
  std::size_t in_flight_max() const override { return 2; }
  void close() override {
    queue_.close();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Job {
    Packet packet;
    Complete complete;
  };

  void work() {
    while (auto job = queue_.pop()) job->complete(analyse(std::move(job->packet)));
  }

  Result<std::optional<Packet>> analyse(Packet packet) {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) return std::optional(std::move(packet));
    const auto start = std::chrono::steady_clock::now();
    auto objects = detector_->detect(*scene->frame);
    seconds_.observe_s(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (!objects) return std::move(objects).error();
    auto found = std::make_shared<Scene>(*scene);
    found->objects = *std::move(objects);
    found->model = model_;
    packet.payload = std::shared_ptr<const Scene>(std::move(found));
    return std::optional(std::move(packet));
  }

  std::unique_ptr<Detector> detector_;
  std::shared_ptr<const std::string> model_;
  Histogram& seconds_;
  BoundedQueue<Job> queue_{4, WhenFull::wait};
  std::thread thread_;
};

Result<std::unique_ptr<pipeline::SharedStage>> make_stage(const Json& options, const pipeline::Context& context) {
  const std::filesystem::path folder = context.folder / options["model"].get<std::string>();
  DetectorOptions settings;
  settings.threads = options["threads"].get<int>();
  for (const Json& label : options["labels"]) {
    if (!label.is_string()) return Error{ErrorCode::invalid_argument, "labels must be words"};
    settings.labels.push_back(label.get<std::string>());
  }
  VERGE_TRY(models::LoadedModel model, models::open_model(folder, {.threads = settings.threads}));
  VERGE_TRY(const DetectorCard card, detector_card_of(model.card));
  settings.score_min = options.contains("score_min") ? options["score_min"].get<float>() : card.score_min;
  settings.overlap_max = options.contains("overlap_max") ? options["overlap_max"].get<float>() : card.overlap_max;
  VERGE_TRY(auto detector, Detector::make(std::move(model.session), card, settings));
  return std::unique_ptr<pipeline::SharedStage>(std::make_unique<DetectStage>(std::move(detector), context));
}

}  // namespace

Detector::Detector(std::unique_ptr<inference::Session> session, DetectorCard card, DetectorOptions options)
    : session_(std::move(session)),
      card_(std::move(card)),
      options_(std::move(options)),
      letterbox_(card_.input),
      input_(inference::DataType::float32, {1, 3, card_.input.height, card_.input.width}) {}

Result<std::unique_ptr<Detector>> Detector::make(std::unique_ptr<inference::Session> session, const DetectorCard& card,
                                                 const DetectorOptions& options) {
  VERGE_CHECK(check_input(*session, card));
  VERGE_TRY(std::vector<HeadPair> heads, find_heads(session->outputs(), card));
  VERGE_TRY(std::vector<int> wanted, indexes_of(options.labels, card));
  auto detector = std::unique_ptr<Detector>(new Detector(std::move(session), card, options));
  detector->heads_ = std::move(heads);
  detector->wanted_ = std::move(wanted);
  return detector;
}

Result<std::vector<Object>> Detector::detect(const pipeline::Frame& frame) {
  VERGE_TRY(const Placement placement, letterbox_.fill(frame, input_.values<float>()));
  const NamedTensor inputs[] = {{session_->inputs()[0].name, &input_}};
  VERGE_TRY(const std::vector<Tensor> outputs, session_->run(inputs));
  std::vector<Detection> found;
  for (const HeadPair& head : heads_) {
    decode_head(outputs[head.scores].values<float>(), outputs[head.boxes].values<float>(), head.stride, card_, wanted_,
                options_.score_min, found);
  }
  std::vector<Object> objects;
  for (const Detection& detection : suppress_weaker(std::move(found), options_.overlap_max)) {
    objects.push_back(to_object(detection, placement, card_));
  }
  return objects;
}

pipeline::Kind<pipeline::SharedStage> detect_kind() {
  return {.name = "detect",
          .where = "vision/detect.h",
          .summary = "Finds objects in pictures with a detector model.",
          .options = {{"model", "path", "The model's folder (model.onnx, card.json), relative to the pipeline file.",
                       nullptr, true},
                      {"labels", "list", "Only these objects, [person, car]; empty for all.", Json::array()},
                      {"score_min", "number", "Weaker boxes are dropped, 0..1; default: the card's.", nullptr},
                      {"overlap_max", "number",
                       "Of two boxes overlapping more, the weaker goes, 0..1; default: the card's.", nullptr},
                      {"threads", "integer", "Threads of one run, 1..256.", 1}},
          .make = make_stage};
}

}  // namespace verge::vision
