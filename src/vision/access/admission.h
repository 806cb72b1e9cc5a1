// vision/access/admission.h -- when and where somebody may come in: a condition about the time and the door.
//
//   weekday NIN ['sat', 'sun'] AND hour >= 7 AND hour < 19
//   door = 'yard' OR hour >= 8
//
// Names: hour and weekday as in rules (rule_facts.h), door: the stream's name. Threads: immutable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "expression/condition.h"

namespace verge::vision {

class Admission {
 public:
  /// Empty: always. Errors: invalid_argument for a text that is no condition or asks for something else.
  static Result<Admission> read(const std::string& text);
  /// A schedule that asks for the time is never true on a clock that was never set.
  bool allows(std::int64_t captured_us, const std::string& door) const;

 private:
  std::optional<expression::Condition> when_;
};

}  // namespace verge::vision
