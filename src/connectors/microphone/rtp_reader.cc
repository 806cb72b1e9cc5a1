#include "connectors/microphone/rtp_reader.h"

namespace verge::connectors {
namespace {

constexpr std::size_t kRtpHeaderBytes = 12;
constexpr int kRtcpFirst = 72, kRtcpLast = 76;  // 200..204 without the marker's bit (RFC 5761 section 4).

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t number = 0;
  for (const char byte : bytes) number = number << 8U | static_cast<unsigned char>(byte);
  return number;
}

}  // namespace

std::optional<RtpPacket> read_rtp(std::string_view datagram) {
  if (datagram.size() < kRtpHeaderBytes) return std::nullopt;
  const std::uint32_t flags = big_endian(datagram.substr(0, 1));
  if (flags >> 6U != 2) return std::nullopt;
  RtpPacket packet;
  packet.payload_type = static_cast<int>(big_endian(datagram.substr(1, 1)) & 127U);
  if (packet.payload_type >= kRtcpFirst && packet.payload_type <= kRtcpLast) return std::nullopt;
  packet.timestamp = big_endian(datagram.substr(4, 4));
  packet.sender = big_endian(datagram.substr(8, 4));
  std::size_t begin = kRtpHeaderBytes + 4UL * (flags & 15U);
  if ((flags & 16U) != 0) {
    if (datagram.size() < begin + 4) return std::nullopt;
    begin += 4 + 4UL * big_endian(datagram.substr(begin + 2, 2));
  }
  if (datagram.size() < begin) return std::nullopt;
  packet.payload = datagram.substr(begin);
  if ((flags & 32U) == 0) return packet;
  const std::uint32_t padding =
      packet.payload.empty() ? 0 : big_endian(packet.payload.substr(packet.payload.size() - 1));
  if (padding == 0 || padding > packet.payload.size()) return std::nullopt;
  packet.payload.remove_suffix(padding);
  return packet;
}

RtpOrder::Judgement RtpOrder::judge(const RtpPacket& packet, std::uint32_t frames, std::int64_t now_us) {
  if (sender_ && *sender_ != packet.sender && now_us - heard_us_ < kLineFree_us) return {Verdict::refused, 0};
  const std::uint32_t ahead = packet.timestamp - next_;  // Time stamps wrap around.
  const auto jump = static_cast<std::uint32_t>(kJump_s * rate_hz_);
  const bool is_same = sender_ == packet.sender;
  heard_us_ = now_us;
  if (is_same && -ahead <= jump && ahead != 0) return {Verdict::late, 0};
  sender_ = packet.sender;
  next_ = packet.timestamp + frames;
  if (!is_same || ahead > jump) return {Verdict::begins, 0};
  return {Verdict::next, ahead};
}

}  // namespace verge::connectors
