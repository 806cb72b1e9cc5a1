// models/protobuf_wire.h -- the protobuf wire format: tags, varints, lengths; nothing about any message.
//
// Source: Protocol Buffers encoding guide (varint, I64, LEN, I32; groups are refused).
// Threads: plain values.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace verge::models {

enum class WireKind : std::uint8_t { varint = 0, fixed64 = 1, length = 2, fixed32 = 5 };

struct WireField {
  std::uint32_t number = 0;
  WireKind kind = WireKind::varint;
  std::uint64_t value = 0;  ///< varint, fixed64, fixed32.
  std::string_view bytes;   ///< length; points into the reader's bytes.
  std::size_t offset = 0;   ///< Of `bytes` within the whole file.

  std::int64_t integer() const { return static_cast<std::int64_t>(value); }
  float real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
  std::string text() const { return std::string(bytes); }
};

/// Walks over the fields of one message. A broken message ends the walk and is_broken() turns true.
class WireReader {
 public:
  /// `offset` is where `bytes` starts within the whole file, for messages.
  explicit WireReader(std::string_view bytes, std::size_t offset = 0) : bytes_(bytes), base_(offset) {}
  explicit WireReader(const WireField& field) : WireReader(field.bytes, field.offset) {}

  bool next(WireField& field) {
    if (is_broken_ || at_ == bytes_.size()) return false;
    std::uint64_t tag = 0;
    if (!read_varint(tag) || tag >> 3U == 0 || tag >> 3U > 0x1FFFFFFFU) return fail();
    field.number = static_cast<std::uint32_t>(tag >> 3U);
    switch (tag & 7U) {
      case 0:
        field.kind = WireKind::varint;
        return read_varint(field.value) || fail();
      case 1:
        field.kind = WireKind::fixed64;
        return read_fixed(8, field.value) || fail();
      case 2:
        field.kind = WireKind::length;
        return read_bytes(field) || fail();
      case 5:
        field.kind = WireKind::fixed32;
        return read_fixed(4, field.value) || fail();
      default:
        return fail();
    }
  }
  /// A varint that stands alone (packed lists).
  bool next_varint(std::uint64_t& value) { return at_ < bytes_.size() && (read_varint(value) || fail()); }
  bool next_fixed32(std::uint64_t& value) { return at_ < bytes_.size() && (read_fixed(4, value) || fail()); }
  bool next_fixed64(std::uint64_t& value) { return at_ < bytes_.size() && (read_fixed(8, value) || fail()); }

  bool is_broken() const { return is_broken_; }
  std::size_t offset() const { return base_ + at_; }

 private:
  bool fail() {
    is_broken_ = true;
    return false;
  }
  bool read_varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) return true;
    }
    return false;
  }
  bool read_fixed(std::size_t count, std::uint64_t& value) {
    if (bytes_.size() - at_ < count) return false;
    value = 0;
    std::memcpy(&value, bytes_.data() + at_, count);
    at_ += count;
    return true;
  }
  bool read_bytes(WireField& field) {
    std::uint64_t count = 0;
    if (!read_varint(count) || count > bytes_.size() - at_) return false;
    field.offset = base_ + at_;
    field.bytes = bytes_.substr(at_, count);
    at_ += count;
    return true;
  }

  std::string_view bytes_;
  std::size_t base_ = 0, at_ = 0;
  bool is_broken_ = false;
};

/// Appends fields to a message.
class WireWriter {
 public:
  void varint(std::uint32_t number, std::uint64_t value) {
    tag(number, WireKind::varint);
    raw_varint(value);
  }
  void integer(std::uint32_t number, std::int64_t value) { varint(number, static_cast<std::uint64_t>(value)); }
  void real(std::uint32_t number, float value) {
    tag(number, WireKind::fixed32);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    bytes_.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  }
  void text(std::uint32_t number, std::string_view value) {
    tag(number, WireKind::length);
    raw_varint(value.size());
    bytes_.append(value);
  }
  void message(std::uint32_t number, const WireWriter& inner) { text(number, inner.bytes_); }
  std::string take() && { return std::move(bytes_); }

 private:
  void tag(std::uint32_t number, WireKind kind) {
    raw_varint(std::uint64_t{number} << 3U | static_cast<unsigned>(kind));
  }
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7U) bytes_.push_back(static_cast<char>(value | 0x80U));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

static_assert(std::endian::native == std::endian::little, "fixed-width fields are copied as they lie in memory");

}  // namespace verge::models
