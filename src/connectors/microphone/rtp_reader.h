// connectors/microphone/rtp_reader.h -- what of a datagram is sound, by RTP, and what did not come before it.
//
// Source: RFC 3550 section 5.1 (header), RFC 3551 section 4.5.11 (L16). Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace verge::connectors {

struct RtpPacket {
  int payload_type = 0;  ///< 0..127
  std::uint32_t timestamp = 0, sender = 0;
  std::string_view payload;  ///< Views into the datagram; without padding, contributors and extension.
};
/// Nothing for what is no RTP of version 2, and for RTCP, which may come to the same port.
std::optional<RtpPacket> read_rtp(std::string_view datagram);

/// Which packets count, by their time stamps (frames at the sound's rate). A sender that is heard keeps the line:
/// another is refused until kLineFree_us without one.
class RtpOrder {
 public:
  static constexpr std::int64_t kLineFree_us = 1'000'000;
  static constexpr double kJump_s = 5;  ///< By more a time stamp does not go on but begins anew.

  enum class Verdict : std::uint8_t {
    next,     ///< Use it, after `missing` frames that did not come.
    begins,   ///< Use it: another sender, or its time begins anew.
    late,     ///< Came twice, or after it was counted as missing.
    refused,  ///< Of another sender than the one that is heard.
  };
  struct Judgement {
    Verdict verdict = Verdict::next;
    std::uint32_t missing = 0;
  };

  explicit RtpOrder(int rate_hz) : rate_hz_(rate_hz) {}
  /// `frames`: how many the packet holds.
  Judgement judge(const RtpPacket& packet, std::uint32_t frames, std::int64_t now_us);

 private:
  const int rate_hz_;
  std::optional<std::uint32_t> sender_;
  std::uint32_t next_ = 0;
  std::int64_t heard_us_ = 0;
};

}  // namespace verge::connectors
