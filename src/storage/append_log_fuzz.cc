#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/log.h"
#include "storage/partition.h"
#include "storage/segment.h"

using namespace verge;
using namespace verge::storage;

namespace {

const SegmentHeader kHeader{0, 0, 1'700'000'000'000'000, 42};

/// A segment that is good up to a damage that the input chooses; the first byte says which kind it is.
std::string segment_from(std::string_view input) {
  if (input.empty()) return {};
  const int kind = input.front() & 3;
  input.remove_prefix(1);
  if (kind == 0) return std::string(input);
  std::string bytes = encode_header(kHeader);
  if (kind == 1) return bytes + std::string(input);
  while (input.size() > 4) {
    const std::size_t count = static_cast<unsigned char>(input[0]) % (input.size() - 3);
    append_record(bytes, kHeader, {static_cast<std::uint32_t>(bytes.size()), 0, input.substr(1, count)});
    input.remove_prefix(1 + count);
  }
  if (kind == 3 && input.size() > 2) {
    const std::size_t at =
        (static_cast<unsigned char>(input[0]) * 256U + static_cast<unsigned char>(input[1])) % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ input[2]);
  }
  return bytes;
}

}  // namespace

// Works on a partition, which has no thread of its own: many more runs per second than with the whole log.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  set_log_level(LogLevel::error);
  FaultyDisk disk;
  const ManualClock clock;
  const std::filesystem::path path = "/l/partition-0000/00000000000000000000.log";
  {
    const auto file = disk.open(path, true);
    VERGE_ASSERT((*file)->write_at(0, segment_from({reinterpret_cast<const char*>(data), size})));
  }
  LogCounters counters;
  const auto partition = Partition::open(disk, clock, path.parent_path(), 0, {}, counters);
  if (!partition) {
    VERGE_ASSERT(partition.error().code == ErrorCode::corrupt);
    return 0;
  }
  const std::uint64_t end = (*partition)->end_offset();
  const auto records = (*partition)->read(0, ~std::size_t{0}, ~std::size_t{0});
  VERGE_ASSERT(records && records->size() == end);
  std::vector<PendingRecord> more(1);
  const auto offset = (*partition)->commit(more);
  VERGE_ASSERT(offset && *offset == end);
  const auto again = Partition::open(disk, clock, path.parent_path(), 0, {}, counters);
  VERGE_ASSERT(again && (*again)->end_offset() == end + 1);
  return 0;
}
