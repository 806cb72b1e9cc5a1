#include "cli/quantize_model.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <vector>

#include "base/crypto.h"
#include "base/disk.h"
#include "connectors/camera/picture_folder.h"
#include "models/quantize.h"
#include "vision/classify.h"
#include "vision/detect.h"
#include "vision/non_max_suppression.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

constexpr std::size_t kPicturesMin = 8;
constexpr std::size_t kPicturesMax = 200;  // For calibration, and again for judging.
constexpr float kOverlapMin = 0.5F;

/// What a model says of a picture, and how long it took.
class Judge {
 public:
  struct Answer {
    std::vector<pipeline::Object> objects;  // Of a classifier: one without a box.
    double ms = 0;
  };

  static Result<Judge> make(const path& folder) {
    VERGE_TRY(auto model, models::open_model(folder));
    Judge judge;
    if (model.card.head_kind() == "classes") {
      VERGE_TRY(judge.classifier_, vision::Classifier::make(std::move(model), 0.0F));
    } else {
      VERGE_TRY(judge.detector_, vision::Detector::make(std::move(model), {}));
    }
    return judge;
  }

  Result<Answer> look(const pipeline::Frame& frame) {
    const auto begin = std::chrono::steady_clock::now();
    Answer answer;
    if (detector_) {
      VERGE_TRY(answer.objects, detector_->detect(frame));
    } else {
      VERGE_TRY(const auto said, classifier_->classify(frame));
      if (said) {
        pipeline::Object object;
        object.label = said->name;
        object.box = {0, 0, 1, 1};
        answer.objects.push_back(std::move(object));
      }
    }
    answer.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    return answer;
  }

 private:
  std::unique_ptr<vision::Detector> detector_;
  std::unique_ptr<vision::Classifier> classifier_;
};

vision::Box box_of(const pipeline::Object& object) {
  return {static_cast<float>(object.box.left), static_cast<float>(object.box.top), static_cast<float>(object.box.right),
          static_cast<float>(object.box.bottom)};
}

/// How many of `wanted` have a partner of their own in `given`.
std::size_t partners(const std::vector<pipeline::Object>& wanted, const std::vector<pipeline::Object>& given) {
  std::vector<bool> is_taken(given.size());
  std::size_t found = 0;
  for (const auto& object : wanted) {
    std::size_t best = given.size();
    float most = kOverlapMin;
    for (std::size_t at = 0; at < given.size(); ++at) {
      if (is_taken[at] || given[at].label != object.label) continue;
      const float common = vision::overlap(box_of(object), box_of(given[at]));
      if (common < most) continue;
      most = common;
      best = at;
    }
    if (best == given.size()) continue;
    is_taken[best] = true;
    ++found;
  }
  return found;
}

Result<models::ValueRanges> calibrate(const models::OnnxModel& model, const models::ModelCard& card,
                                      const std::vector<path>& files) {
  VERGE_TRY(const auto options, vision::letterbox_of(card, inference::DataType::float32));
  vision::Letterbox letterbox(options);
  inference::Tensor input(options.type, vision::shape_of(options));
  VERGE_TRY(const auto calibrator, models::Calibrator::make(model));
  for (const auto& file : files) {
    VERGE_TRY(const auto frame, connectors::read_picture_file(file));
    VERGE_CHECK(letterbox.fill(*frame, input));
    const inference::NamedTensor inputs[] = {{model.graph.inputs.front().name, &input}};
    VERGE_CHECK(calibrator->add(inputs));
  }
  return calibrator->ranges();
}

Status judge_pictures(const path& source, const path& target, const std::vector<path>& files,
                      QuantizeAgreement& agreement) {
  VERGE_TRY(auto whole, Judge::make(source));
  VERGE_TRY(auto small, Judge::make(target));
  for (const auto& file : files) {
    VERGE_TRY(const auto frame, connectors::read_picture_file(file));
    VERGE_TRY(const auto expected, whole.look(*frame));
    VERGE_TRY(const auto found, small.look(*frame));
    agreement.float_answers += expected.objects.size();
    agreement.small_answers += found.objects.size();
    agreement.found_again += partners(expected.objects, found.objects);
    agreement.right += partners(found.objects, expected.objects);
    agreement.float_ms += expected.ms / static_cast<double>(files.size());
    agreement.small_ms += found.ms / static_cast<double>(files.size());
  }
  agreement.judged = files.size();
  return Done{};
}

double share(std::size_t part, std::size_t all) {
  return all == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(all);
}

Status write_card(const path& target, const models::ModelCard& card) {
  return write_file(target / "card.json", to_pretty_text(models::to_json(card)) + "\n");
}

}  // namespace

Json to_json(const QuantizeAgreement& agreement) {
  return {{"calibrated", agreement.calibrated},
          {"judged", agreement.judged},
          {"float_answers", agreement.float_answers},
          {"found_again", share(agreement.found_again, agreement.float_answers)},
          {"precision", share(agreement.right, agreement.small_answers)},
          {"float_ms", agreement.float_ms},
          {"small_ms", agreement.small_ms},
          {"float_bytes", agreement.float_bytes},
          {"small_bytes", agreement.small_bytes}};
}

Result<QuantizeAgreement> quantize_model(const path& source, const path& pictures, const path& target,
                                         const std::function<void(const std::string& line)>& tell) {
  VERGE_TRY(auto card, models::load_card(source / "card.json"));
  VERGE_TRY(const auto model, models::load_model(source / card.file));
  VERGE_TRY(const auto files, connectors::pictures_in(pictures));
  if (files.size() < kPicturesMin) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("quantise with {}: it has {} pictures; at least {} of what the camera sees are needed, half of "
                    "them to judge",
                    pictures.string(), files.size(), kPicturesMin)};
  }
  std::vector<path> taken, unseen;
  for (std::size_t at = 0; at < files.size(); ++at) {
    auto& part = at % 2 == 0 ? taken : unseen;
    if (part.size() < kPicturesMax) part.push_back(files[at]);
  }
  tell(fmt::format("calibrating on {} pictures", taken.size()));
  VERGE_TRY(const auto ranges, calibrate(model, card, taken));
  VERGE_TRY(const auto small, models::quantize(model, ranges));
  std::error_code problem;
  std::filesystem::create_directories(target, problem);
  if (problem)
    return Error{ErrorCode::unavailable, fmt::format("make the folder {}: {}", target.string(), problem.message())};
  const std::string bytes = models::to_bytes(small);
  card.name += "-int8";
  card.file = "model.onnx";
  card.digest = sha256_digest(bytes);
  VERGE_CHECK(write_file(target / card.file, bytes));
  VERGE_CHECK(write_card(target, card));

  tell(fmt::format("comparing both on {} other pictures", unseen.size()));
  QuantizeAgreement agreement;
  agreement.calibrated = taken.size();
  agreement.float_bytes = std::filesystem::file_size(source / models::load_card(source / "card.json")->file, problem);
  agreement.small_bytes = bytes.size();
  VERGE_CHECK(judge_pictures(source, target, unseen, agreement));
  card.metrics["quantised"] = {{"judged", agreement.judged},
                               {"found_again", share(agreement.found_again, agreement.float_answers)},
                               {"precision", share(agreement.right, agreement.small_answers)}};
  VERGE_CHECK(write_card(target, card));
  return agreement;
}

}  // namespace verge::cli
