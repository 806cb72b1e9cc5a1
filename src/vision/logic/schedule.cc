#include "vision/logic/schedule.h"

#include <algorithm>
#include <fmt/format.h>

#include "pipeline/nearest_word.h"

namespace verge::vision {
namespace {

constexpr int kDayMinutes = 24 * 60;

Error mistake(std::string_view member, const Json& value, std::string_view wanted) {
  return {ErrorCode::invalid_argument, fmt::format("schedule: {} is {}; give {}", member, to_text(value), wanted)};
}

/// "06:30" in minutes.
Result<int> read_time(const Json& json, const char* member) {
  const auto wrong = [&] { return mistake(member, json, "a time from \"00:00\" to \"24:00\""); };
  if (!json.is_string()) return wrong();
  const auto& text = json.get_ref<const std::string&>();
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool is_time = text.size() == 5 && text[2] == ':' && is_digit(text[0]) && is_digit(text[1]) &&
                       is_digit(text[3]) && is_digit(text[4]);
  if (!is_time) return wrong();
  const int hours = (text[0] - '0') * 10 + text[1] - '0', minutes = (text[3] - '0') * 10 + text[4] - '0';
  if (minutes > 59 || hours * 60 + minutes > kDayMinutes) return wrong();
  return hours * 60 + minutes;
}

Result<std::array<bool, 7>> read_days(const Json& json) {
  if (!json.is_array() || json.empty()) return mistake("days", json, "a list of days: [mon, fri]");
  const std::vector<std::string> names(kWeekdays.begin(), kWeekdays.end());
  std::array<bool, 7> days{};
  for (const Json& day : json) {
    const std::string name = day.is_string() ? day.get<std::string>() : to_text(day);
    const auto at = std::ranges::find(names, name);
    if (at == names.end()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("schedule: there is no day \"{}\"{}", name, pipeline::suggestion(name, names))};
    }
    days[static_cast<std::size_t>(at - names.begin())] = true;
  }
  return days;
}

}  // namespace

std::tm local_time(std::int64_t captured_us) {
  const auto time = static_cast<std::time_t>(captured_us / 1'000'000);
  std::tm local{};
  localtime_r(&time, &local);
  return local;
}

Result<Schedule> Schedule::read(const Json& json) {
  Schedule schedule;
  for (const auto& [member, value] : json.items()) {
    if (member == "days") {
      VERGE_TRY(schedule.days_, read_days(value));
    } else if (member == "from") {
      VERGE_TRY(schedule.from_, read_time(value, "from"));
    } else if (member == "to") {
      VERGE_TRY(schedule.to_, read_time(value, "to"));
    } else {
      return Error{ErrorCode::invalid_argument, fmt::format("schedule has no \"{}\"{}", member,
                                                            pipeline::suggestion(member, {"days", "from", "to"}))};
    }
  }
  return schedule;
}

bool Schedule::holds(std::int64_t captured_us) const {
  const std::tm local = local_time(captured_us);
  const int minute = local.tm_hour * 60 + local.tm_min;
  const auto today = static_cast<std::size_t>(local.tm_wday);
  const std::size_t yesterday = (today + 6) % 7;
  if (from_ < to_) return days_[today] && minute >= from_ && minute < to_;
  // Over midnight: the evening of its day, or the morning after.
  return (days_[today] && minute >= from_) || (days_[yesterday] && minute < to_);
}

}  // namespace verge::vision
