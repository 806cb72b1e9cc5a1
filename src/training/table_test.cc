#include "training/table.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"

namespace verge::training {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kNewYearUs = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z

TEST(Table, ReadsTheFormsThatPeopleHave) {
  const struct {
    const char *name, *text;
  } cases[] = {
      {"comma", "time,a,b\n2026-01-01T00:00:00Z,1,2.5\n2026-01-01T00:00:01Z,3,-4e1\n"},
      {"semicolon and decimal comma", "time;a;b\n2026-01-01T00:00:00Z;1;2,5\n2026-01-01T00:00:01Z;3;-4e1\n"},
      {"tab", "time\ta\tb\n2026-01-01T00:00:00Z\t1\t2.5\n2026-01-01T00:00:01Z\t3\t-4e1\n"},
      {"line ends of Windows, byte order mark",
       "\xEF\xBB\xBFtime,a,b\r\n2026-01-01T00:00:00Z,1,2.5\r\n"
       "2026-01-01T00:00:01Z,3,-4e1\r\n"},
      {"quotes", "\"time\",\"a\",\"b\"\n\"2026-01-01T00:00:00Z\",\"1\",\"2.5\"\n2026-01-01T00:00:01Z,3,-4e1\n"},
      {"blanks, signs, empty lines", "time, a, b\n\n2026-01-01T00:00:00Z, +1, 2.5\n\n2026-01-01T00:00:01Z, 3, -4e1"},
      {"a blank between day and hour", "time,a,b\n2026-01-01 00:00:00Z,1,2.5\n2026-01-01 00:00:01Z,3,-4e1\n"},
      {"without a zone", "time,a,b\n2026-01-01 00:00:00,1,2.5\n2026-01-01 00:00:01,3,-4e1\n"},
      {"Unix seconds", "time,a,b\n1767225600,1,2.5\n1767225601,3,-4e1\n"},
      {"Unix milliseconds", "time,a,b\n1767225600000,1,2.5\n1767225601000,3,-4e1\n"},
      {"Unix microseconds", "time,a,b\n1767225600000000,1,2.5\n1767225601000000,3,-4e1\n"},
      {"time last", "a,b,time\n1,2.5,2026-01-01T00:00:00Z\n3,-4e1,2026-01-01T00:00:01Z\n"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto table = parse_csv(c.text, "t.csv");
    ASSERT_TRUE(table) << table.error().message;
    EXPECT_THAT(table->names, ElementsAre("a", "b"));
    EXPECT_THAT(table->times_us, ElementsAre(kNewYearUs, kNewYearUs + 1'000'000));
    EXPECT_THAT(table->columns, ElementsAre(ElementsAre(1, 3), ElementsAre(2.5F, -40)));
    EXPECT_THAT(table->notes, IsEmpty());
  }
}

TEST(Table, NotesWhatItDid) {
  const struct {
    const char *name, *text, *note;
    std::size_t rows, columns;
  } cases[] = {
      {"out of order", "time,a\n1767225602,3\n1767225600,1\n1767225601,2\n", "sorted by time", 3, 1},
      {"twice the same time", "time,a\n1767225600,1\n1767225600,9\n1767225601,2\n", "1 rows had the time of another", 2,
       1},
      {"a column of words", "time,a,state\n1767225600,1,on\n1767225601,2,off\n", "\"state\" holds no numbers", 2, 1},
      {"nothing but words", "time,state\n1767225600,on\n1767225601,off\n", "\"state\" holds no numbers", 2, 0},
      {"beyond a float", "time,a\n1767225600,1\n1767225601,1e300\n", "1 readings are beyond", 2, 1},
      {"infinite", "time,a\n1767225600,1\n1767225601,-inf\n", "1 readings are beyond", 2, 1},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto table = parse_csv(c.text, "t.csv");
    ASSERT_TRUE(table) << table.error().message;
    ASSERT_EQ(table->notes.size(), 1U);
    EXPECT_THAT(table->notes.front(), HasSubstr(c.note));
    EXPECT_EQ(table->row_count(), c.rows);
    EXPECT_EQ(table->column_count(), c.columns);
    EXPECT_TRUE(std::is_sorted(table->times_us.begin(), table->times_us.end()));
    if (c.columns > 0) {
      EXPECT_EQ(table->columns[0][0], 1) << "the first of a time stays";
    }
  }
}

TEST(Table, MarksWhatIsMissing) {
  for (const char* word : {"", "NaN", "nan", "NA", "null", "-", "broken", "1.2.3", "7 bar"}) {
    const auto table = parse_csv(std::string("time,a\n1767225600,1\n1767225601,") + word + "\n", "t.csv");
    ASSERT_TRUE(table) << word;
    EXPECT_TRUE(std::isnan(table->columns[0][1])) << word;
  }
}

TEST(Table, AnUnnamedColumnGetsItsPlaceAsName) {
  const auto table = parse_csv(",time,\n0,1767225600,5\n1,1767225601,6\n", "t.csv");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->names, ElementsAre("column 1", "column 3"));
}

TEST(Table, SaysWhatIsWrongAndWhere) {
  using std::string_view_literals::operator""sv;
  const struct {
    const char* name;
    std::string_view text;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"empty", "", ErrorCode::invalid_argument, "t.csv: there are no rows"},
      {"only blank lines", "\n\n  \n", ErrorCode::invalid_argument, "t.csv: there are no rows"},
      {"only a header", "time,a\n", ErrorCode::invalid_argument, "t.csv: there are no rows"},
      {"no time", "a,b\n1,2\n3,4\n", ErrorCode::invalid_argument, "t.csv:2: no column holds a time"},
      {"a year before 2000 is no time", "time,a\n1999-01-01,4\n", ErrorCode::invalid_argument,
       "no column holds a time"},
      {"a short row", "time,a\n1767225600,1\n1767225601\n", ErrorCode::invalid_argument,
       "t.csv:3: 1 cells, but the header has 2 columns"},
      {"a long row", "time,a\n1767225600,1\n\n1767225601,2,3\n", ErrorCode::invalid_argument,
       "t.csv:4: 3 cells, but the header has 2 columns"},
      {"the time ends", "time,a\n1767225600,1\nyesterday,2\n", ErrorCode::invalid_argument,
       "t.csv:3: \"yesterday\" in column \"time\" is not a time"},
      {"one name twice", "time,a,a\n1767225600,1,2\n", ErrorCode::invalid_argument,
       "t.csv:1: two columns are called \"a\"; rename one"},
      {"a program",
       "\x7f"
       "ELF\2\1\1\0\n\0"sv,
       ErrorCode::invalid_argument, "t.csv is not a text table (byte 5 is 0x02)"},
      {"UTF-16", "\xff\xfet\0i\0m\0e\0"sv, ErrorCode::invalid_argument, "save it as CSV in UTF-8"},
      {"too many rows", "time,a\n1767225600,1\n1767225601,2\n1767225602,3\n1767225603,4\n", ErrorCode::limit,
       "more than 3 rows"},
      {"too many columns", "time,a,b,c,d\n1767225600,1,2,3,4\n", ErrorCode::limit, "5 columns, at most 4"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto table = parse_csv(c.text, "t.csv", {.rows_max = 3, .columns_max = 4});
    ASSERT_FALSE(table);
    EXPECT_EQ(table.error().code, c.code);
    EXPECT_THAT(table.error().message, HasSubstr(c.message));
  }
}

TEST(Table, AFileThatIsNotThere) {
  const auto table = read_csv("/nowhere/pump.csv");
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::not_found);
  EXPECT_THAT(table.error().message, HasSubstr("/nowhere/pump.csv"));
}

TEST(Table, ComesBackAsItWasWritten) {
  Table table;
  table.names = {"a", "b"};
  table.times_us = {kNewYearUs, kNewYearUs + 250'000, kNewYearUs + 500'001};
  table.columns = {{0.1F, 1e-30F, std::nanf("")}, {-3.4e38F, 16'777'217.0F, 0.0F}};
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "t.csv", to_csv(table)));
  const auto again = read_csv(folder.path() / "t.csv");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->names, table.names);
  EXPECT_EQ(again->times_us, table.times_us);
  EXPECT_EQ(again->columns[1], table.columns[1]) << "bit by bit";
  EXPECT_EQ(again->columns[0][0], 0.1F);
  EXPECT_EQ(again->columns[0][1], 1e-30F);
  EXPECT_TRUE(std::isnan(again->columns[0][2]));
}

TEST(Table, GivesAPart) {
  Table table;
  table.names = {"a"};
  table.times_us = {1, 2, 3, 4};
  table.columns = {{10, 20, 30, 40}};
  const auto part = table.rows(1, 3);
  EXPECT_EQ(part.names, table.names);
  EXPECT_THAT(part.times_us, ElementsAre(2, 3));
  EXPECT_THAT(part.columns, ElementsAre(ElementsAre(20, 30)));
  EXPECT_EQ(table.rows(2, 2).row_count(), 0U);
}

}  // namespace
}  // namespace verge::training
