// vision/recognition/classify.h -- says what a picture, each object in it, or each zone of it looks like, with a
// classifier model.
//
// The card: head {"kind": "classes", "activation": "none" | "softmax" | "sigmoid"} and the labels; threshold "score".
// The likeliest label becomes an Attribute of the object, of the zone (whose bounding part of the picture is looked
// at), or of the scene when the whole picture is classified; one below the threshold says nothing. A label may have a
// threshold of its own, called like it: it is said when it reaches that, even if another is likelier, and never below;
// this is how the costs of a miss and of a false alarm are obeyed. A tracked object is not looked at in every picture:
// between two looks it keeps what was last said of it. Threads: a thread of its own computes (model_stage.h); submit()
// only queues.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/stage.h"
#include "vision/heads/head_reader.h"
#include "vision/picture/crop.h"
#include "vision/recognition/picture_model.h"

namespace verge::vision {

/// The core without threads: picture in, attribute out.
/// Threads: used by one thread at a time.
class Classifier {
 public:
  /// score_min  0..1; absent: the card's threshold "score", else 0
  /// Errors: invalid_argument when model and card do not fit.
  static Result<std::unique_ptr<Classifier>> make(models::LoadedModel model, std::optional<float> score_min);
  /// The likeliest label; nothing when its score is below the threshold or not a number.
  Result<std::optional<pipeline::Attribute>> classify(const pipeline::Frame& frame);
  /// Of every label, 0..1, in the order of the card's.
  Result<std::vector<float>> scores(const pipeline::Frame& frame);
  /// What the card's head says was looked at when it was taught: head/region.
  BoxPart region() const { return region_; }

 private:
  enum class Activation : std::uint8_t { none, softmax, sigmoid };
  Classifier() = default;

  std::unique_ptr<PictureModel> model_;
  HeadOutput scores_;
  Activation activation_ = Activation::none;
  BoxPart region_ = BoxPart::whole;
  float score_min_ = 0;
  std::vector<std::optional<float>> own_min_;  ///< Per label.
};

struct ClassifyOptions {
  enum class About : std::uint8_t { objects, picture, zones };
  About about = About::objects;
  std::vector<std::string> labels;   ///< Only objects with these labels; empty for all.
  std::vector<std::string> zones{};  ///< Only these zones, which stages before have; empty for all.
  BoxPart region = BoxPart::whole;   ///< Of an object's box.
  double margin = 0.1;               ///< Of the region's width and height, added on each side; 0..2.
  double every_s = 1;                ///< A tracked object, or a stream's whole picture, is looked at so often, 0..3600.
  int objects_max = 8;               ///< Looks per picture, 1..300: bounds its time. Longest not looked at first.
};

/// Decides who is looked at, and remembers what was said. Its model is a function, so that it can be tested alone.
/// Threads: used by one thread at a time.
class ClassifyLogic {
 public:
  using Look = std::function<Result<std::optional<pipeline::Attribute>>(const pipeline::Frame& frame)>;
  ClassifyLogic(ClassifyOptions options, Look look) : options_(std::move(options)), look_(std::move(look)) {}

  /// Adds attributes to the scene's objects or zones, or to the scene. Errors: those of the look; invalid_argument when
  /// the scene lacks a zone.
  Status update(const std::string& stream, std::int64_t monotonic_us, pipeline::Scene& scene);

 private:
  static constexpr std::int64_t kNeverLooked = std::numeric_limits<std::int64_t>::min();
  struct Said {
    std::optional<pipeline::Attribute> attribute;
    std::int64_t looked_us = kNeverLooked, seen_us = 0;
  };
  /// A part of the picture that may be looked at, with what was said of it last.
  struct Candidate {
    contract::Region part;
    std::string name;                                    ///< The object's track or the zone; empty: not remembered.
    std::vector<pipeline::Attribute>* target = nullptr;  ///< Gets what is said.
    Said said;
  };
  using Known = std::map<std::string, Said, std::less<>>;  ///< By track or zone; the whole picture has the empty name.

  Status update_picture(Known& known, std::int64_t monotonic_us, pipeline::Scene& scene);
  std::vector<Candidate> candidates_of(pipeline::Scene& scene) const;
  Status look_at(std::vector<Candidate> candidates, Known& known, std::int64_t monotonic_us,
                 const pipeline::Frame& frame);
  bool is_due(const Said& said, std::int64_t monotonic_us) const;

  ClassifyOptions options_;
  Look look_;
  std::map<std::string, Known> streams_;
};

pipeline::Kind<pipeline::SharedStage> classify_kind();

}  // namespace verge::vision
