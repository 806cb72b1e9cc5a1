#include <gtest/gtest.h>
#include <sstream>

#include "base/bytes.h"
#include "storage/append_log.h"
#include "storage/segment.h"

namespace verge::storage {
namespace {

std::string documentation() { return *read_file("docs/formats/append-log.md"); }

/// The bytes of the page's hex block; what follows a semicolon explains them.
std::string documented_bytes() {
  const std::string page = documentation();
  const std::size_t begin = page.find("```hex\n") + 7;
  std::istringstream lines(page.substr(begin, page.find("```", begin) - begin));
  std::string bytes;
  for (std::string line; std::getline(lines, line);) {
    std::string digits = line.substr(0, line.find(';'));
    std::erase(digits, ' ');
    bytes += *from_hex(digits);
  }
  return bytes;
}

TEST(AppendLogFormat, IsWhatThePageShows) {
  const std::string bytes = documented_bytes();
  ASSERT_EQ(bytes.size(), kSegmentHeaderBytes + 2 * kRecordHeaderBytes + 5);
  const auto header = decode_header(bytes);
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->partition, 1U);
  EXPECT_EQ(header->base_offset, 7U);
  EXPECT_EQ(header->created_us, 1'764'601'205'123'456);
  const auto first = decode_record(std::string_view(bytes).substr(kSegmentHeaderBytes), *header);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->bytes, "hello");
  EXPECT_EQ(first->received_us, 1'764'601'205'123'461);
  EXPECT_EQ(first->synced_bytes, 40U);
  const auto second =
      decode_record(std::string_view(bytes).substr(kSegmentHeaderBytes + first->total_bytes()), *header);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->bytes, "");

  std::string written = encode_header(*header);
  append_record(written, *header, *first);
  append_record(written, *header, *second);
  EXPECT_EQ(to_hex(written), to_hex(bytes));
}

TEST(AppendLogFormat, EveryFlippedBitIsFound) {
  const std::string bytes = documented_bytes();
  const auto header = decode_header(bytes);
  ASSERT_TRUE(header);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto flipped_header = decode_header(flipped);
    if (bit / 8 < kSegmentHeaderBytes) {
      EXPECT_FALSE(flipped_header) << "bit " << bit;
      continue;
    }
    const std::size_t second = kSegmentHeaderBytes + kRecordHeaderBytes + 5;
    const std::size_t record = bit / 8 < second ? kSegmentHeaderBytes : second;
    EXPECT_FALSE(decode_record(std::string_view(flipped).substr(record), *header)) << "bit " << bit;
  }
}

TEST(AppendLogFormat, ALogReadsThePagesBytes) {
  FaultyDisk disk;
  const ManualClock clock;
  {
    const auto file = disk.open("/log/partition-0001/00000000000000000007.log", true);
    ASSERT_TRUE((*file)->write_at(0, documented_bytes()));
  }
  const auto log = AppendLog::open(disk, clock, "/log", {.partitions = 2});
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ((*log)->first_offset(1), 7U);
  EXPECT_EQ((*log)->end_offset(1), 9U);
  const auto records = (*log)->read(1, 0, 10);
  ASSERT_TRUE(records);
  EXPECT_EQ(records->front().bytes, "hello");
}

TEST(AppendLogFormat, APositionIsWhatThePageShows) {
  FaultyDisk disk;
  ASSERT_TRUE(OffsetFile(disk, "/data/o").store(1234));
  const auto file = disk.open("/data/o", false);
  EXPECT_NE(documentation().find("\n" + *(*file)->read_at(0, 100) + "```"), std::string::npos);
}

}  // namespace
}  // namespace verge::storage
