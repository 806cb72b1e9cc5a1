#include "base/time.h"

#include <gtest/gtest.h>
#include <optional>

namespace verge {
namespace {

struct Row {
  std::string_view text;
  std::optional<std::int64_t> epoch_us;
};

TEST(Time, ReadsIso8601) {
  // Seconds by `date -u -d TEXT +%s` of GNU coreutils 9.1.
  const Row rows[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-11-22T15:04:05.123456Z", 1795359845'123456},
      {"2026-11-22T15:04:05Z", 1795359845'000000},
      {"2026-11-22t15:04:05.5z", 1795359845'500000},
      {"2026-11-22T15:04:05.123456789Z", 1795359845'123456},
      {"2026-11-22T16:34:05+01:30", 1795359845'000000},
      {"2026-11-22T10:04:05-05:00", 1795359845'000000},
      {"2024-02-29T00:00:00Z", 1709164800'000000},
      {"1969-12-31T23:59:59Z", -1'000000},
      {"2016-12-31T23:59:60Z", 1483228800'000000},
      {"2023-02-29T00:00:00Z", std::nullopt},
      {"2026-13-01T00:00:00Z", std::nullopt},
      {"2026-11-22T24:00:00Z", std::nullopt},
      {"2026-11-22T15:04:05", std::nullopt},
      {"2026-11-22 15:04:05Z", std::nullopt},
      {"2026-11-22T15:04:05.Z", std::nullopt},
      {"2026-11-22T15:04:05Zx", std::nullopt},
      {"2026-11-22T15:04:05+25:00", std::nullopt},
      {"2026-11-2", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& row : rows) {
    const auto got = from_iso8601(row.text);
    ASSERT_EQ(bool(got), row.epoch_us.has_value()) << row.text;
    if (got) {
      EXPECT_EQ(*got, *row.epoch_us) << row.text;
    } else {
      EXPECT_EQ(got.error().code, ErrorCode::invalid_argument);
    }
  }
}

TEST(Time, WritesWhatItReads) {
  EXPECT_EQ(to_iso8601(1795359845'123456), "2026-11-22T15:04:05.123456Z");
  EXPECT_EQ(to_iso8601(-1), "1969-12-31T23:59:59.999999Z");
  for (std::int64_t us = -4'000'000'000'000'000; us < 4'000'000'000'000'000; us += 86'399'000'001) {
    ASSERT_EQ(*from_iso8601(to_iso8601(us)), us);
  }
}

TEST(Time, ClocksMove) {
  EXPECT_GT(system_clock().now_us(), 1'700'000'000'000'000);
  const auto before = system_clock().monotonic_us();
  EXPECT_GE(system_clock().monotonic_us(), before);
  ManualClock clock(5);
  clock.advance_us(7);
  EXPECT_EQ(clock.now_us(), 12);
  EXPECT_EQ(clock.monotonic_us(), 7);
}

TEST(Time, BootIdStaysTheSame) {
  EXPECT_EQ(boot_id(), boot_id());
  if (boot_id().empty()) GTEST_SKIP() << "/proc does not tell here";
  EXPECT_EQ(boot_id().size(), 36U);
}

}  // namespace
}  // namespace verge
