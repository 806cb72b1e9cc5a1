#include "vision/access/enrolment.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/json.h"
#include "vision/access/matching.h"

namespace verge::vision {
namespace {

double most_alike(const std::vector<Embedding>& chosen, const Embedding& face) {
  double most = Match::kNone;
  for (const Embedding& each : chosen) most = std::max(most, similarity(each, face));
  return most;
}

}  // namespace

FaceQuality Enrolment::add(const pipeline::Frame& frame, const std::vector<pipeline::Object>& objects) {
  ++pictures_;
  const pipeline::Object* face = largest_face(objects);
  FaceQuality quality = face_quality(frame, objects, face, options_.quality);
  if (quality.is_good() && face->embedding == nullptr) quality.problems.push_back(kNotDescribed);
  if (!quality.is_good()) {
    ++problems_[std::string(quality.problems.front())];
    return quality;
  }
  ++good_count_;
  if (good_.size() < options_.good_max) good_.push_back(face->embedding);
  return quality;
}

Error Enrolment::too_few() const {
  std::string reasons;
  for (const auto& [problem, count] : problems_) {
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", count, problem);
  }
  return {ErrorCode::invalid_argument,
          fmt::format("{} of {} pictures are good enough, {} are needed{}{}", good_count_, pictures_,
                      options_.looks_min, reasons.empty() ? "" : "; the others: ", reasons)};
}

Result<std::vector<Embedding>> Enrolment::finish() const {
  if (good_.size() < options_.looks_min) return too_few();
  std::vector<Embedding> faces;
  for (const auto& face : good_) faces.push_back(*face);
  const Embedding middle = middle_of(faces);
  for (const Embedding& face : faces) {
    if (similarity(face, middle) >= options_.same_min) continue;
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("the pictures show more than one person: one is {:.2f} alike to the others, at least {:.2f} is "
                    "needed; leave the others' pictures out",
                    similarity(face, middle), options_.same_min)};
  }
  std::vector<Embedding> chosen{
      *std::ranges::max_element(faces, {}, [&](const Embedding& face) { return similarity(face, middle); })};
  while (chosen.size() < std::min(options_.looks_max, Person::kLooksMax)) {
    const auto next =
        std::ranges::min_element(faces, {}, [&](const Embedding& face) { return most_alike(chosen, face); });
    if (most_alike(chosen, *next) > options_.different_max) break;
    chosen.push_back(*next);
  }
  if (chosen.size() >= options_.looks_min) return chosen;
  return Error{
      ErrorCode::invalid_argument,
      fmt::format("{} good pictures show {} different looks, {} are needed; turn and tilt the head a little, come "
                  "nearer and go back, change the light",
                  good_count_, chosen.size(), options_.looks_min)};
}

Json Enrolment::report() const {
  Json problems = Json::object();
  for (const auto& [problem, count] : problems_) problems[problem] = count;
  return {{"pictures", pictures_}, {"good", good_count_}, {"problems", std::move(problems)}};
}

}  // namespace verge::vision
