#include "connectors/camera/multipart_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

struct PartsRead {
  std::vector<std::string> parts;
  Status status = Done{};
};

PartsRead read_parts(std::string_view content_type, std::string_view bytes, std::size_t piece_bytes) {
  MultipartReader reader(content_type);
  PartsRead read;
  for (std::size_t at = 0; read.status && at < bytes.size(); at += piece_bytes) {
    read.status = reader.put(bytes.substr(at, piece_bytes), [&](std::string_view part) -> Status {
      read.parts.emplace_back(part);
      return Done{};
    });
  }
  return read;
}

TEST(Multipart, TakesThePartsHoweverTheBytesAreCut) {
  const struct {
    const char* name;
    const char* type;
    std::string bytes;
    std::vector<std::string> parts;
  } rows[] = {
      {"with lengths",
       "multipart/x-mixed-replace; boundary=frame",
       "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "
       "3\r\n\r\none\r\n--frame\r\ncontent-length:5\r\n\r\nt\r\nwo"
       "\r\n--frame\r\n",
       {"one", "t\r\nwo"}},
      {"without lengths",
       "multipart/x-mixed-replace;boundary=frame",
       "--frame\r\nContent-Type: image/jpeg\r\n\r\none\r\n--frame\r\nX: y\r\n\r\ntwo\r\n--frame\r\n",
       {"one", "two"}},
      {"dashes in the field",
       "multipart/x-mixed-replace; boundary=--frame",
       "--frame\r\nContent-Length: 3\r\n\r\none\r\n--frame\r\n",
       {"one"}},
      {"quotes, another case",
       "multipart/x-mixed-replace; charset=x; BOUNDARY=\"my frame\"",
       "--my frame\r\nCONTENT-LENGTH: 3\r\n\r\none\r\n--my frame\r\n",
       {"one"}},
      {"no boundary named",
       "multipart/x-mixed-replace",
       "\r\n--any\r\nContent-Length: 3\r\n\r\none\r\n--any\r\n\r\ntwo\r\n"
       "--any\r\n",
       {"one", "two"}},
      {"bare line feeds",
       "multipart/x-mixed-replace; boundary=f",
       "--f\nContent-Length: 3\n\none\n--f\nX: y\n\ntwo\n--f\n",
       {"one", "two"}},
      {"no fields", "multipart/x-mixed-replace; boundary=f", "--f\r\n\r\none\r\n--f\r\n", {"one"}},
      {"garbage around",
       "multipart/x-mixed-replace; boundary=f",
       "hello\r\n\r\nworld\r\n--f\r\nContent-Length: 3\r\n\r\none and more\r\n--frog\r\n--f\r\nContent-Length: "
       "3\r\n\r\n"
       "two\r\n--f\r\n",
       {"one", "two"}},
      {"a length that is none",
       "multipart/x-mixed-replace; boundary=f",
       "--f\r\nContent-Length: many\r\n\r\none\r\n--f\r\nContent-Length: 0\r\n\r\ntwo\r\n--f\r\n",
       {"one", "two"}},
      {"an empty part",
       "multipart/x-mixed-replace; boundary=f",
       "--f\r\nA: b\r\n\r\n\r\n--f\r\n\r\ntwo\r\n--f\r\n",
       {"two"}},
  };
  for (const auto& row : rows) {
    for (const std::size_t piece_bytes : {row.bytes.size(), std::size_t{1}, std::size_t{7}}) {
      const auto read = read_parts(row.type, row.bytes, piece_bytes);
      EXPECT_TRUE(read.status) << row.name;
      EXPECT_THAT(read.parts, ElementsAreArray(row.parts)) << row.name << " in pieces of " << piece_bytes;
    }
  }
}

TEST(Multipart, HasBounds) {
  const std::string type = "multipart/x-mixed-replace; boundary=f";
  const auto long_head = read_parts(type, "--f\r\nX: " + std::string(20'000, 'y'), 4096);
  ASSERT_FALSE(long_head.status);
  EXPECT_EQ(long_head.status.error().code, ErrorCode::limit);
  EXPECT_FALSE(read_parts(type, "--f\r\nContent-Length: 99999999\r\n\r\n", 4096).status);
  EXPECT_FALSE(read_parts(type, "--f\r\n\r\n" + std::string(34U << 20U, 'x'), 1U << 20U).status);
  const auto garbage = read_parts(type, std::string(1U << 20U, 'x') + "\n--f\r\n\r\none\r\n--f\r\n", 4096);
  EXPECT_TRUE(garbage.status);
  EXPECT_THAT(garbage.parts, ElementsAre("one"));
}

}  // namespace
}  // namespace verge::connectors
