#include "base/result.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace verge {
namespace {

struct Row {
  std::string_view name;
  int http_status;
  int exit_code;
};

constexpr std::array<Row, 8> kRows{{
    {"invalid_argument", 400, 2},
    {"not_found", 404, 3},
    {"conflict", 409, 4},
    {"unavailable", 503, 5},
    {"timeout", 504, 6},
    {"limit", 413, 7},
    {"corrupt", 422, 8},
    {"internal", 500, 70},
}};

const Row& row_of(ErrorCode code) { return kRows.at(static_cast<std::size_t>(code)); }

}  // namespace

std::string_view name_of(ErrorCode code) { return row_of(code).name; }
int http_status_of(ErrorCode code) { return row_of(code).http_status; }
int exit_code_of(ErrorCode code) { return row_of(code).exit_code; }

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace verge
