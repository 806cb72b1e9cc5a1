// agent/outbox/record.h -- one stored message, as bytes of the append log.
//
// Layout: version byte (2), then integers as little-endian and texts with a 32-bit length:
// time_to_live_s i64, monotonic_us i64, sequence u64, rank u8, target, sender, properties, boot, payload. Bytes:
// docs/formats/outbox.md. Threads: plain values, pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::agent {

/// What goes first when there is no room: the highest rank, and of one rank the oldest.
inline constexpr std::uint8_t kAlarmRank = 0;
inline constexpr std::uint8_t kRouteRankFirst = 1;  ///< Of a route's priority 0; its priority 9 is rank 10.
inline constexpr std::uint8_t kOrdinaryRank = 255;

struct OutboxRecord {
  std::string target;      ///< "up:SENDER" for the hub, "in:MODULE/INPUT" for a module.
  std::string sender;      ///< Module that published it.
  std::string properties;  ///< A property bag as topic text.
  std::string payload;
  std::uint64_t sequence = 0;  ///< Per sender towards the hub, from 1; 0 towards modules.
  std::uint8_t rank = kOrdinaryRank;
  std::int64_t time_to_live_s = -1;  ///< Negative: for ever.
  std::string boot;                  ///< Boot id at append; with monotonic_us an age that ignores clock jumps.
  std::int64_t monotonic_us = 0;
  bool operator==(const OutboxRecord&) const = default;
};

std::string to_bytes(const OutboxRecord& record);
/// Errors: corrupt.
Result<OutboxRecord> outbox_record_from(std::string_view bytes);

}  // namespace verge::agent
