#include "cli/access.h"

#include <fmt/format.h>

#include "base/disk.h"
#include "base/time.h"
#include "cli/teach_vision.h"
#include "connectors/camera/picture_folder.h"
#include "models/model_card.h"
#include "vision/access/enrolment.h"
#include "vision/access/false_accept.h"
#include "vision/access/galleries.h"
#include "vision/recognition/faces.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

Result<std::shared_ptr<vision::Gallery>> open_gallery(const AccessRequest& request, bool may_be_new) {
  if (!may_be_new && !std::filesystem::is_directory(request.gallery)) {
    return Error{ErrorCode::not_found,
                 fmt::format("there is no gallery {}; `verge access enrol` makes one", request.gallery.string())};
  }
  vision::Galleries galleries(system_disk());
  return galleries.open({request.gallery, request.keyring});
}

/// Finds and describes faces as the stage `faces` does.
struct FaceReader {
  std::unique_ptr<vision::Detector> detector;
  std::unique_ptr<vision::Embedder> embedder;

  static Result<FaceReader> make(const AccessRequest& request, const Home& home) {
    VERGE_CHECK(find_engine());
    VERGE_TRY(const path detector_folder, find_model_folder(request.detector, home));
    VERGE_TRY(const path embedder_folder, find_model_folder(request.embedder, home));
    VERGE_TRY(auto detector_model, models::open_model(detector_folder));
    VERGE_TRY(auto embedder_model, models::open_model(embedder_folder));
    FaceReader reader;
    VERGE_TRY(reader.detector, vision::Detector::make(std::move(detector_model), {}));
    VERGE_TRY(reader.embedder, vision::Embedder::make(std::move(embedder_model)));
    return reader;
  }
  Result<pipeline::Scene> read(const path& file) const {
    pipeline::Scene scene;
    VERGE_TRY(scene.frame, connectors::read_picture_file(file));
    VERGE_CHECK(vision::add_faces(*detector, embedder.get(), {}, scene));
    return scene;
  }
};

Result<std::vector<path>> picture_files(const std::vector<path>& given) {
  std::vector<path> files;
  for (const path& each : given) {
    if (!std::filesystem::is_directory(each)) {
      files.push_back(each);
      continue;
    }
    VERGE_TRY(const auto inside, connectors::pictures_in(each));
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

}  // namespace

Result<Json> enrol_person(const AccessRequest& request, const Home& home,
                          const std::function<void(const std::string& line)>& tell) {
  VERGE_TRY(const auto files, picture_files(request.pictures));
  VERGE_TRY(const FaceReader reader, FaceReader::make(request, home));
  const vision::EnrolmentOptions options;
  vision::Enrolment enrolment(options);
  for (const path& file : files) {
    VERGE_TRY(const pipeline::Scene scene, reader.read(file));
    const vision::FaceQuality quality = enrolment.add(*scene.frame, scene.objects);
    tell(fmt::format("{}: {}", file.string(), quality.is_good() ? "good" : quality.explanation(options.quality)));
  }
  vision::Person person;
  person.name = request.name;
  person.when = request.when;
  person.model = reader.embedder->model_digest();
  person.enrolled_us = system_clock().now_us();
  auto looks = enrolment.finish();
  if (!looks) return std::move(looks).error().within(fmt::format("enrol \"{}\"", request.name));
  person.looks = *std::move(looks);
  VERGE_TRY(const auto gallery, open_gallery(request, true));
  const auto same_from = request.may_be_alike ? std::nullopt : std::optional(request.threshold);
  VERGE_TRY(const vision::Person enrolled, gallery->enrol(std::move(person), same_from));
  Json report = enrolment.report();
  report["name"] = enrolled.name;
  report["looks"] = enrolled.looks.size();
  return report;
}

Result<Json> list_people(const AccessRequest& request) {
  VERGE_TRY(const auto gallery, open_gallery(request, false));
  Json people = Json::array();
  for (const vision::Person& person : *gallery->people()) {
    people.push_back({{"name", person.name},
                      {"looks", person.looks.size()},
                      {"enrolled", to_iso8601(person.enrolled_us)},
                      {"when", person.when},
                      {"model", person.model}});
  }
  return people;
}

Result<Json> remove_person(const AccessRequest& request) {
  VERGE_TRY(const auto gallery, open_gallery(request, false));
  VERGE_CHECK(gallery->remove(request.name));
  return Json{{"removed", request.name}};
}

Result<Json> check_people(const AccessRequest& request) {
  VERGE_TRY(const auto gallery, open_gallery(request, false));
  const vision::Pairs pairs = vision::pairs_of(*gallery->people());
  if (!request.false_accept) return vision::to_json(pairs, vision::bound_of(pairs, request.threshold));
  const auto bound = vision::threshold_for(pairs, *request.false_accept);
  if (!bound) return Error{ErrorCode::invalid_argument, bound.error().message};
  return vision::to_json(pairs, *bound);
}

}  // namespace verge::cli
