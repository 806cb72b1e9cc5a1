// vision/logic/rule.h -- events by a condition: "a person without helmet has been at the press for two seconds".
//
// The condition (expression/condition.h) is asked with every picture, about each tracked object or about the whole
// scene; what it can ask is listed in rule_facts.h. The rule fires once it was true for `for_s` and is over once it was
// false for `gap_s`; then, for the same object, it keeps quiet for `cool_down_s`. Outside its `schedule` it is false.
// The event's time is when it became true. More events than `per_minute_max` are counted and left out.
//
//   - rule: {name: intrusion, when: "label = 'person' AND zone.press", for_s: 2, severity: warning}
//   - rule: {name: no helmet, when: "label = 'person' AND has.helmet < 0.5 AND dwell.site > 3"}
//   - rule: {name: crowd, per: scene, when: "inside.hall.person > 20", for_s: 10, tells_end: true}
//   - rule: {name: left behind, when: "label = 'suitcase' AND still_s > 60 AND (near.person ?? 1) > 0.3"}
//   - rule: {name: night visitor, when: "label = 'person'", schedule: {from: "22:00", to: "06:00"}, cool_down_s: 300}
//
// Event: type `emit` (at its end: `emit`.ended, with its duration), rule `name`; extension {"for_s", "take", "when"}.
// Threads: a RuleLogic is used by one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "expression/condition.h"
#include "pipeline/stage.h"
#include "vision/logic/rule_facts.h"
#include "vision/logic/schedule.h"

namespace verge::vision {

struct RuleOptions {
  std::string name = "rule";
  bool is_about_objects = true;        ///< Else about the scene.
  double for_s = 0;                    ///< The condition must be true for so long, 0..86400.
  double gap_s = 0.5;                  ///< False for less is a wobble, 0..3600.
  double cool_down_s = 10;             ///< After its end, about the same object, 0..86400.
  int per_minute_max = 60;             ///< Events, 1..1000.
  std::optional<Schedule> schedule{};  ///< At other times the condition is false.
};

class RuleLogic {
 public:
  RuleLogic(expression::Condition when, RuleOptions options) : when_(std::move(when)), options_(std::move(options)) {}

  struct Change {
    bool is_end = false;
    pipeline::Object object;  ///< As last seen; nothing in it for a rule about the scene.
    Moment began;             ///< When the condition became true.
    std::int64_t duration_us = 0;
  };
  /// What began and what ended with this picture. Errors: invalid_argument when an object bears no track. The zones
  /// that the condition asks for are there: who reads the pipeline has seen to it (rule_kind().check).
  Result<std::vector<Change>> update(const pipeline::Scene& scene, Moment moment);
  /// Events that were left out because there were more than per_minute_max.
  std::uint64_t left_out() const { return left_out_; }
  /// Forgets what is going on.
  void reset();

 private:
  struct Subject {
    std::optional<Moment> true_since;
    std::int64_t true_us = 0;  ///< When it was last true.
    std::int64_t seen_us = 0;
    std::int64_t quiet_until_us = 0;
    bool is_on = false;    ///< Fired and not over.
    bool is_told = false;  ///< Its beginning was not left out.
    pipeline::Object object;
  };

  Status check(const pipeline::Scene& scene) const;
  void ask(Subject& subject, const pipeline::Object* object, std::vector<Change>& changes);
  void begin(Subject& subject, std::vector<Change>& changes);
  void end(Subject& subject, std::vector<Change>& changes);
  bool has_room();

  const expression::Condition when_;
  const RuleOptions options_;
  RuleFacts facts_;
  Moment moment_;
  std::map<std::string, Subject> subjects_;  ///< By track; "" is the scene.
  std::deque<std::int64_t> told_us_;         ///< Of the last minute.
  std::uint64_t left_out_ = 0;
};

pipeline::Kind<pipeline::Stage> rule_kind();

}  // namespace verge::vision
