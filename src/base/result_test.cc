#include "base/result.h"

#include <gtest/gtest.h>
#include <memory>

namespace verge {
namespace {

struct CodeRow {
  ErrorCode code;
  std::string_view name;
  int http_status;
  int exit_code;
};

TEST(Result, EveryCodeHasANameAStatusAndAnExitCode) {
  const CodeRow rows[] = {
      {ErrorCode::invalid_argument, "invalid_argument", 400, 2},
      {ErrorCode::not_found, "not_found", 404, 3},
      {ErrorCode::conflict, "conflict", 409, 4},
      {ErrorCode::unavailable, "unavailable", 503, 5},
      {ErrorCode::timeout, "timeout", 504, 6},
      {ErrorCode::limit, "limit", 413, 7},
      {ErrorCode::corrupt, "corrupt", 422, 8},
      {ErrorCode::internal, "internal", 500, 70},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(name_of(row.code), row.name);
    EXPECT_EQ(http_status_of(row.code), row.http_status) << row.name;
    EXPECT_EQ(exit_code_of(row.code), row.exit_code) << row.name;
  }
}

Result<int> half_of(int number) {
  if (number % 2 != 0) return Error{ErrorCode::invalid_argument, std::to_string(number) + " is odd"};
  return number / 2;
}

Result<int> quarter_of(int number) {
  VERGE_TRY(const int half, half_of(number));
  VERGE_CHECK(half_of(half));
  return half / 2;
}

TEST(Result, TryAndCheckReturnTheFirstError) {
  EXPECT_EQ(*quarter_of(8), 2);
  EXPECT_EQ(quarter_of(7).error().message, "7 is odd");
  EXPECT_EQ(quarter_of(6).error().message, "3 is odd");
}

TEST(Result, WithinPutsTheActionInFront) {
  const Error error = Error{ErrorCode::not_found, "no such file"}.within("load model a.onnx");
  EXPECT_EQ(error.message, "load model a.onnx: no such file");
  EXPECT_EQ(error.code, ErrorCode::not_found);
}

TEST(Result, CarriesValuesThatOnlyMove) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 5);
}

TEST(ResultDeathTest, ReadingTheWrongSideAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(half_of(3).value(), "assertion failed");
  EXPECT_DEATH(static_cast<void>(half_of(4).error()), "assertion failed");
}

}  // namespace
}  // namespace verge
