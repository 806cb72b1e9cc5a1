#include "storage/segment.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"

namespace verge::storage {
namespace {

constexpr std::string_view kSegmentMark = "VERGELOG";
constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kRecordMark = "VREC";
constexpr std::uint64_t kNoteDistance = 128U << 10U;
constexpr std::size_t kLengthAt = 4;
constexpr std::size_t kSyncedAt = 8;
constexpr std::size_t kReceivedAt = 12;
constexpr std::size_t kCheckAt = 20;

template <class Number>
void put(std::string& target, Number number) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    target += static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i) & 0xFFU);
  }
}

template <class Number>
Number get(std::string_view bytes, std::size_t at) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  }
  return static_cast<Number>(number);
}

/// Covers the base offset and the salt too, so that a record of another segment never fits.
std::uint32_t check_of(const SegmentHeader& segment, std::string_view header, std::string_view bytes) {
  std::string place;
  put(place, segment.base_offset);
  put(place, segment.salt);
  return crc32c(bytes, crc32c(header.substr(kLengthAt, kCheckAt - kLengthAt), crc32c(place)));
}

Error bad_header(std::string_view why) { return Error{ErrorCode::corrupt, "segment header: " + std::string(why)}; }

}  // namespace

std::string encode_header(const SegmentHeader& header) {
  std::string bytes(kSegmentMark);
  put(bytes, kVersion);
  put(bytes, header.partition);
  put(bytes, header.base_offset);
  put(bytes, header.created_us);
  put(bytes, header.salt);
  put(bytes, crc32c(bytes));
  return bytes;
}

Result<SegmentHeader> decode_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes) return bad_header("too short");
  if (!bytes.starts_with(kSegmentMark)) return bad_header("not a segment of an append log");
  if (get<std::uint32_t>(bytes, 36) != crc32c(bytes.substr(0, 36))) return bad_header("check failed");
  if (get<std::uint32_t>(bytes, 8) != kVersion) return bad_header("made by a newer program; update this one");
  return SegmentHeader{get<std::uint32_t>(bytes, 12), get<std::uint64_t>(bytes, 16), get<std::int64_t>(bytes, 24),
                       get<std::uint32_t>(bytes, 32)};
}

void append_record(std::string& target, const SegmentHeader& segment, const RecordView& record) {
  const std::size_t start = target.size();
  target += kRecordMark;
  put(target, static_cast<std::uint32_t>(record.bytes.size()));
  put(target, record.synced_bytes);
  put(target, record.received_us);
  put(target, check_of(segment, std::string_view(target).substr(start), record.bytes));
  target += record.bytes;
}

std::optional<std::size_t> claimed_bytes(std::string_view bytes) {
  if (bytes.size() < kRecordHeaderBytes || !bytes.starts_with(kRecordMark)) return std::nullopt;
  return kRecordHeaderBytes + get<std::uint32_t>(bytes, kLengthAt);
}

std::optional<RecordView> decode_record(std::string_view bytes, const SegmentHeader& segment) {
  const auto total = claimed_bytes(bytes);
  if (!total || *total > bytes.size()) return std::nullopt;
  const std::string_view payload = bytes.substr(kRecordHeaderBytes, *total - kRecordHeaderBytes);
  if (get<std::uint32_t>(bytes, kCheckAt) != check_of(segment, bytes, payload)) return std::nullopt;
  return RecordView{get<std::uint32_t>(bytes, kSyncedAt), get<std::int64_t>(bytes, kReceivedAt), payload};
}

void note_position(std::vector<IndexNote>& index, std::uint64_t offset, std::uint64_t position) {
  if (index.empty() || position - index.back().position >= kNoteDistance) index.push_back({offset, position});
}

PieceReader::PieceReader(const DiskFile& file, std::uint64_t position, std::uint64_t end, std::size_t piece_bytes)
    : file_(file), position_(position), end_(end), piece_bytes_(piece_bytes) {}

Result<std::string_view> PieceReader::peek(std::size_t wanted) {
  if (piece_.size() - used_ < wanted && position_ + (piece_.size() - used_) < end_) {
    const std::uint64_t room = end_ - position_;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(room, std::max(wanted, piece_bytes_)));
    VERGE_TRY(piece_, file_.read_at(position_, count));
    used_ = 0;
  }
  return std::string_view(piece_).substr(used_);
}

void PieceReader::skip(std::size_t count) {
  used_ += count;
  position_ += count;
}

Result<std::optional<RecordView>> next_record(PieceReader& reader, const SegmentHeader& segment) {
  VERGE_TRY(std::string_view bytes, reader.peek(kRecordHeaderBytes));
  const auto total = claimed_bytes(bytes);
  if (!total) return std::optional<RecordView>();
  if (bytes.size() < *total) {
    VERGE_TRY(bytes, reader.peek(*total));
  }
  return decode_record(bytes, segment);
}

Result<SegmentScan> scan_segment(const DiskFile& file, const SegmentHeader& segment, std::uint64_t count_max) {
  VERGE_TRY(const std::uint64_t file_bytes, file.size_bytes());
  SegmentScan scan;
  scan.newest_us = std::numeric_limits<std::int64_t>::min();
  PieceReader reader(file, kSegmentHeaderBytes, file_bytes);
  while (scan.count < count_max) {
    VERGE_TRY(const auto record, next_record(reader, segment));
    if (!record) break;
    note_position(scan.index, segment.base_offset + scan.count, reader.position());
    scan.newest_us = std::max(scan.newest_us, record->received_us);
    ++scan.count;
    reader.skip(record->total_bytes());
  }
  scan.end_position = std::min(reader.position(), std::max<std::uint64_t>(file_bytes, kSegmentHeaderBytes));
  scan.is_damaged = scan.count < count_max && scan.end_position < file_bytes;
  return scan;
}

Result<bool> was_durable(const DiskFile& file, const SegmentHeader& segment, std::uint64_t position) {
  VERGE_TRY(const std::uint64_t file_bytes, file.size_bytes());
  PieceReader reader(file, std::min(position, file_bytes), file_bytes);
  for (;;) {
    VERGE_TRY(const std::string_view bytes, reader.peek(kRecordHeaderBytes));
    if (bytes.size() < kRecordHeaderBytes) return false;
    const std::size_t mark = bytes.find(kRecordMark);
    if (mark != 0) {
      // A mark may lie across the end of this piece, so its last bytes are looked at again.
      const std::size_t passed = bytes.size() - (kRecordMark.size() - 1);
      reader.skip(std::min(mark, passed));
      continue;
    }
    VERGE_TRY(const auto record, next_record(reader, segment));
    if (record && record->synced_bytes > position) return true;
    reader.skip(record ? record->total_bytes() : kRecordMark.size());
  }
}

}  // namespace verge::storage
