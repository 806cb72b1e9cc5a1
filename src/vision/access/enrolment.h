// vision/access/enrolment.h -- from pictures of somebody to the looks that he is known by.
//
// Pictures that are not good enough are counted with their reasons (face_quality.h). Of the good ones some are chosen
// that differ: first the one in the middle, then always the one that is least like those chosen. A face that is not
// that of the others ends it: two people before the camera, or a folder with somebody else's picture in it. Threads: an
// Enrolment is used by one thread at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "pipeline/packet.h"
#include "vision/access/face_quality.h"
#include "vision/access/person.h"

namespace verge::vision {

struct EnrolmentOptions {
  std::size_t looks_min = 3;     ///< Different ones; with fewer it fails.
  std::size_t looks_max = 5;     ///< Chosen, up to Person::kLooksMax.
  double same_min = 0.5;         ///< To the look in the middle; below it is somebody else.
  double different_max = 0.985;  ///< More alike is the same picture once more.
  std::size_t good_max = 64;     ///< Good pictures that are kept to choose from; more are not looked at.
  FaceQualityOptions quality;
};

class Enrolment {
 public:
  explicit Enrolment(EnrolmentOptions options) : options_(options) {}
  /// A picture and what was found in it; the largest face is the one. Returns what was found of its quality.
  FaceQuality add(const pipeline::Frame& frame, const std::vector<pipeline::Object>& objects);
  /// The looks. Errors: invalid_argument: too few good pictures (with the reasons), too few different ones, several
  /// people.
  Result<std::vector<Embedding>> finish() const;
  /// {"pictures", "good", "problems": {"blurred": 3}}
  Json report() const;

 private:
  Error too_few() const;

  EnrolmentOptions options_;
  std::size_t pictures_ = 0, good_count_ = 0;
  std::map<std::string, int, std::less<>> problems_;
  std::vector<std::shared_ptr<const Embedding>> good_;
};

}  // namespace verge::vision
