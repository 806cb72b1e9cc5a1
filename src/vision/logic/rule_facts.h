// vision/logic/rule_facts.h -- what a rule's condition can ask, by name, about an object and the whole scene.
//
//   of an object  label, score, track
//                 x, y           where it stands (foot point), parts of the picture, 0..1
//                 width, height  of its box, parts of the picture, 0..1
//                 age_s          seconds since it was first seen
//                 still_s        seconds since it last moved by more than a quarter of its own height
//                 speed          of the foot point over the last second, heights of the picture per second
//                 heading        where to, degrees: 0 up, 90 right, 180 down; undefined below 0.02 of speed
//                 zone.NAME      true while it stands in the zone
//                 dwell.NAME     seconds it has been standing there; 0 outside
//                 has.NAME       what classifiers say of it, 0..1; 0 when they say something else, undefined when they
//                                say nothing
//                 near.LABEL     gap to the nearest other object with this label, heights of the picture; undefined
//                                when there is none
//   of the scene  objects              how many there are
//                 count.LABEL          how many of this label
//                 inside.NAME          how many stand in the zone
//                 inside.NAME.LABEL    how many of this label stand in the zone
//                 picture.NAME         what a classifier says of the whole picture, 0..1; 0 when it says something
//                                      else, undefined when it says nothing
//                 looks.NAME.LABEL     what a classifier says of the zone's part of the picture, 0..1; 0 when it says
//                                      something else, undefined when it says nothing
//                 hour                 local time of day, 0 to below 24: 18.5 is half past six in the evening
//                 weekday              'mon' 'tue' 'wed' 'thu' 'fri' 'sat' 'sun', local
//                 since.RULE           seconds since that rule fired, undefined when it has not. Asked about an object:
//                                      fired about this object or about the scene; rules see those before them
//
// Names with blanks, dots or hyphens: zone.[[loading bay]], inside.[[hall.2]].person. Local means the TZ environment
// variable, else the machine's zone. Threads: used by one thread at a time.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "expression/condition.h"
#include "pipeline/stage.h"
#include "vision/logic/scene_event.h"

namespace verge::vision {

/// What has to be remembered of a stream so that conditions can be answered.
class RuleFacts {
 public:
  /// An object unseen for longer is forgotten.
  static constexpr std::int64_t kForgetUs = 3'000'000;

  /// The newest picture; `scene` must live until the next call. Times must not go back.
  void update(const pipeline::Scene& scene, Moment moment);
  /// The rule fired; `track` is empty for a rule about the scene.
  void note(const std::string& rule, const std::string& track, std::int64_t monotonic_us);
  /// Forgets everything.
  void reset() { *this = RuleFacts(); }

  /// object  of the newest picture; nullptr asks about the scene only
  expression::Value answer(const pipeline::Object* object, const std::vector<std::string>& path) const;

 private:
  struct Place {
    std::int64_t monotonic_us = 0;
    double x = 0, y = 0;  ///< Heights of the picture.
  };
  struct Memory {
    std::int64_t first_us = 0, seen_us = 0, still_since_us = 0;
    Place anchor;              ///< Where it has stood since still_since_us.
    std::deque<Place> lately;  ///< Of the last second.
    std::map<std::string, std::int64_t> in_zone_since_us;
  };

  void remember(const pipeline::Object& object);
  expression::Value answer_object(const pipeline::Object& object, const std::vector<std::string>& path) const;
  expression::Value answer_scene(const pipeline::Object* object, const std::vector<std::string>& path) const;
  expression::Value gap_to(const pipeline::Object& object, const std::string& label) const;
  std::optional<std::int64_t> last_fired(const std::string& rule, const pipeline::Object* object) const;
  /// x and y in heights of the picture per second.
  static std::pair<double, double> velocity(const Memory& memory);

  const pipeline::Scene* scene_ = nullptr;
  Moment moment_;
  double aspect_ = 1;
  std::map<std::string, Memory> memories_;                                      ///< By track.
  std::map<std::string, std::int64_t> fired_us_;                                ///< By rule, about whatever.
  std::map<std::pair<std::string, std::string>, std::int64_t> fired_about_us_;  ///< By rule and track.
};

/// The names of a condition as RuleFacts answers them. Threads: as RuleFacts.
class RuleScope final : public expression::Scope {
 public:
  RuleScope(const RuleFacts& facts, const pipeline::Object* object) : facts_(facts), object_(object) {}
  expression::Value name(const std::vector<std::string>& path) const override { return facts_.answer(object_, path); }

 private:
  const RuleFacts& facts_;
  const pipeline::Object* object_;
};

/// "hour" and "weekday" as above at a wall clock's time; undefined for other names.
expression::Value time_fact(const std::string& name, std::int64_t captured_us);

/// Every name must be one of the list above. Errors: invalid_argument naming the name and what there is.
Status check_names(const expression::Condition& condition, bool is_about_objects);
/// What of the stages before it a condition asks for (provided.h): {"zone", NAME}, {"peopled", NAME}, {"rule", NAME}.
pipeline::Provided asked_in(const expression::Condition& condition);

}  // namespace verge::vision
