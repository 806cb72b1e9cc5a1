// vision/logic/schedule.h -- the hours of a week: "22:00 to 06:00 on working days".
//
// Local time: the TZ environment variable, else the machine's zone. Over midnight, a night belongs to the day on which
// it begins: fri, 22:00 to 06:00 ends on Saturday morning. When clocks are changed it follows them. Threads: pure
// functions.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>

#include "base/json.h"
#include "base/result.h"

namespace verge::vision {

inline constexpr std::array<const char*, 7> kWeekdays{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
std::tm local_time(std::int64_t captured_us);

class Schedule {
 public:
  /// {"days": ["mon", "fri"], "from": "22:00", "to": "06:00"}; without days all, without from and to the whole day; the
  /// same time twice is a whole day from then on. Errors: invalid_argument naming the member.
  static Result<Schedule> read(const Json& json);
  bool holds(std::int64_t captured_us) const;

 private:
  std::array<bool, 7> days_{true, true, true, true, true, true, true};  ///< From Sunday on.
  int from_ = 0, to_ = 24 * 60;                                         ///< Minutes of the day.
};

}  // namespace verge::vision
