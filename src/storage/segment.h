// storage/segment.h -- the bytes of one segment file of the append log; internal to this part.
//
// Source: docs/formats/append-log.md. All numbers are little-endian.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "base/result.h"

namespace verge::storage {

inline constexpr std::size_t kSegmentHeaderBytes = 40;
inline constexpr std::size_t kRecordHeaderBytes = 24;

struct SegmentHeader {
  std::uint32_t partition = 0;
  std::uint64_t base_offset = 0;  ///< Of the first record.
  std::int64_t created_us = 0;
  std::uint32_t salt = 0;  ///< Random, part of every check: a payload cannot pretend to be a record.
};

std::string encode_header(const SegmentHeader& header);
/// Errors: corrupt.
Result<SegmentHeader> decode_header(std::string_view bytes);

struct RecordView {
  std::uint32_t synced_bytes = 0;  ///< So much of the segment was durable when this record was written.
  std::int64_t received_us = 0;
  std::string_view bytes;
  std::size_t total_bytes() const { return kRecordHeaderBytes + bytes.size(); }
};

void append_record(std::string& target, const SegmentHeader& segment, const RecordView& record);
/// The record that begins at bytes[0]; nothing when it is incomplete or fails its check.
std::optional<RecordView> decode_record(std::string_view bytes, const SegmentHeader& segment);
/// How many bytes the record that begins at bytes[0] claims to have; nothing without a record's mark.
std::optional<std::size_t> claimed_bytes(std::string_view bytes);

/// Where to begin reading for a record: a note every 128 KiB.
struct IndexNote {
  std::uint64_t offset = 0, position = 0;
};

struct SegmentScan {
  std::uint64_t count = 0;         ///< Whole records.
  std::uint64_t end_position = 0;  ///< Behind the last of them.
  std::int64_t newest_us = 0;
  std::vector<IndexNote> index;
  bool is_damaged = false;  ///< Something follows that is no record.
};
/// Reads records from the header on, at most count_max. Errors: those of the disk.
Result<SegmentScan> scan_segment(const DiskFile& file, const SegmentHeader& segment, std::uint64_t count_max);

/// Whether the bytes at `position` were once acknowledged: a later record says that they were durable.
/// Tells a damaged disk (true) from a torn tail. Errors: those of the disk.
Result<bool> was_durable(const DiskFile& file, const SegmentHeader& segment, std::uint64_t position);

class PieceReader;
/// The record at the reader's position; nothing when no whole one is there. The view holds until the next peek.
Result<std::optional<RecordView>> next_record(PieceReader& reader, const SegmentHeader& segment);

/// Adds a note when the last one is far enough away.
void note_position(std::vector<IndexNote>& index, std::uint64_t offset, std::uint64_t position);

/// Reads a file from front to back in pieces.
class PieceReader {
 public:
  PieceReader(const DiskFile& file, std::uint64_t position, std::uint64_t end, std::size_t piece_bytes = 1U << 20U);
  /// The bytes at the current position, at least `wanted` unless the end comes first.
  Result<std::string_view> peek(std::size_t wanted);
  void skip(std::size_t count);
  std::uint64_t position() const { return position_; }

 private:
  const DiskFile& file_;
  std::uint64_t position_;
  const std::uint64_t end_;
  const std::size_t piece_bytes_;
  std::string piece_;
  std::size_t used_ = 0;  ///< Of piece_.
};

}  // namespace verge::storage
