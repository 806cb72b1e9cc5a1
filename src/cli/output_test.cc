#include "cli/output.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace verge::cli {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
  EXPECT_EQ(to_table({"NAME", "COUNT"}, {{"a", "7"}, {"longer", "1234"}}),
            "NAME    COUNT\n"
            "a           7\n"
            "longer   1234\n");
}

TEST(Table, CountsCharactersNotBytes) {
  EXPECT_EQ(to_table({"NAME", "X"}, {{"Tür", "a"}, {"door", "b"}}),
            "NAME  X\n"
            "Tür   a\n"
            "door  b\n");
}

TEST(Table, TakesShortRowsAndNoRows) {
  EXPECT_EQ(to_table({"A", "B"}, {}), "A  B\n");
  EXPECT_EQ(to_table({"A", "B"}, {{"x"}}), "A  B\nx\n");
}

TEST(Table, AMissingNumberDoesNotMakeTheColumnText) {
  EXPECT_EQ(to_table({"COUNT"}, {{"-"}, {"12"}}), "COUNT\n    -\n   12\n");
}

TEST(Age, IsSaidInTheLargestFittingUnit) {
  constexpr std::int64_t kNow = 1'000'000'000'000;
  const auto ago = [](std::int64_t seconds) { return to_age(kNow - seconds * 1'000'000, kNow); };
  EXPECT_EQ(to_age(0, kNow), "never");
  EXPECT_EQ(ago(3), "3 s ago");
  EXPECT_EQ(ago(-5), "0 s ago") << "clocks differ";
  EXPECT_EQ(ago(3600), "60 min ago");
  EXPECT_EQ(ago(5 * 3600), "5 h ago");
  EXPECT_EQ(ago(5 * 86'400), "5 d ago");
}

TEST(Size, HasDecimalUnits) {
  EXPECT_EQ(to_size(0), "0 B");
  EXPECT_EQ(to_size(999), "999 B");
  EXPECT_EQ(to_size(1'000), "1.0 kB");
  EXPECT_EQ(to_size(1'234'567), "1.2 MB");
  EXPECT_EQ(to_size(7'000'000'000), "7.0 GB");
}

TEST(Cell, ShowsScalarsAsPeopleWriteThem) {
  EXPECT_EQ(to_cell(nullptr), "");
  EXPECT_EQ(to_cell("text"), "text");
  EXPECT_EQ(to_cell(7), "7");
  EXPECT_EQ(to_cell(true), "true");
}

}  // namespace
}  // namespace verge::cli
