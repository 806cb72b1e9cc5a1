#include "base/time.h"

#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <time.h>

namespace verge {
namespace {

constexpr std::int64_t kSecond_us = 1'000'000;

std::int64_t read_clock_us(clockid_t id) {
  timespec time{};
  ::clock_gettime(id, &time);
  return std::int64_t(time.tv_sec) * kSecond_us + std::int64_t(time.tv_nsec) / 1000;
}

class SystemClock final : public Clock {
 public:
  std::int64_t now_us() const override { return read_clock_us(CLOCK_REALTIME); }
  std::int64_t monotonic_us() const override { return read_clock_us(CLOCK_BOOTTIME); }
};

/// Reads a date-time from left to right; the first thing that does not fit makes it bad for good.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  int number(std::size_t digits) {
    int value = 0;
    if (rest_.size() < digits) is_good_ = false;
    for (std::size_t i = 0; i < digits && is_good_; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') is_good_ = false;
      value = value * 10 + (rest_[i] - '0');
    }
    if (!is_good_) return 0;
    rest_.remove_prefix(digits);
    return value;
  }
  bool take(std::string_view any_of) {
    if (!is_good_ || rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) return false;
    taken_ = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any_of) {
    if (!take(any_of)) is_good_ = false;
  }
  /// Any number of digits; those behind the microsecond are dropped.
  std::int64_t fraction_us() {
    std::int64_t value = 0;
    std::int64_t digit_us = kSecond_us / 10;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      value += (rest_[digits] - '0') * digit_us;
      digit_us /= 10;
    }
    if (digits == 0) is_good_ = false;
    rest_.remove_prefix(digits);
    return value;
  }
  char taken() const { return taken_; }
  bool is_done() const { return is_good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  char taken_ = 0;
  bool is_good_ = true;
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::string to_iso8601(std::int64_t epoch_us) {
  using std::chrono::days;
  const auto time = std::chrono::sys_time<std::chrono::microseconds>(std::chrono::microseconds(epoch_us));
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::int64_t within_us = (time - day).count();
  const std::int64_t within_s = within_us / kSecond_us;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", int(date.year()), unsigned(date.month()),
                     unsigned(date.day()), within_s / 3600, within_s / 60 % 60, within_s % 60, within_us % kSecond_us);
}

Result<std::int64_t> from_iso8601(std::string_view text) {
  const Error error{ErrorCode::invalid_argument,
                    fmt::format("read time \"{:.40}\": expected a form like 2026-11-22T15:04:05.123Z", text)};
  Reader reader(text);
  const int year = reader.number(4);
  reader.expect("-");
  const int month = reader.number(2);
  reader.expect("-");
  const int day = reader.number(2);
  reader.expect("Tt");
  const int hour = reader.number(2);
  reader.expect(":");
  const int minute = reader.number(2);
  reader.expect(":");
  const int second = reader.number(2);
  const std::int64_t fraction_us = reader.take(".,") ? reader.fraction_us() : 0;
  int offset_minutes = 0;
  reader.expect("Zz+-");
  if (const char sign = reader.taken(); sign == '+' || sign == '-') {
    const int hours = reader.number(2);
    reader.expect(":");
    const int minutes = reader.number(2);
    if (hours > 23 || minutes > 59) return error;
    offset_minutes = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(unsigned(month)),
                                         std::chrono::day(unsigned(day))};
  // 60 is a leap second; it becomes the first second of the next minute.
  if (!reader.is_done() || !date.ok() || hour > 23 || minute > 59 || second > 60) return error;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = days * 86'400 + hour * 3600 + (minute - offset_minutes) * 60 + second;
  return seconds * kSecond_us + fraction_us;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace verge
