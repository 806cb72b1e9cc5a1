// connectors/microphone/socket_microphone.h -- raw samples over TCP or UDP, from a program or a device that knows
// nothing else.
//
//   TCP, connecting  the other side sends samples and nothing else.
//   TCP, listening   the same, one sender at a time. Beyond the loopback only with a token: the sender's first line,
//                    within kTokenWait_s; who sends another is closed. The token travels in the clear.
//   UDP              datagrams of whole frames, or of RTP with L16 (big-endian, 16 bits), whose time stamps tell what
//                    was lost. On the loopback only: a datagram cannot prove who sent it.
// Threads: as SoundLink.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "connectors/microphone/live_microphone.h"

namespace verge::connectors {

inline constexpr int kTokenWait_s = 5;
inline constexpr std::size_t kTokenBytesMin = 16, kTokenBytesMax = 256;

struct SocketSoundOptions {
  enum class Way : std::uint8_t { tcp_connect, tcp_listen, udp, rtp };

  Way way = Way::tcp_connect;
  std::string host;  ///< Who listens has an address here, no name; "localhost" is 127.0.0.1.
  std::uint16_t port = 0;
  pipeline::SoundShape shape{};
  pipeline::Channel channel = 0;
  std::string token{};  ///< A secret. Empty: none.
};

/// Errors: invalid_argument: listening beyond the loopback without a token, or by UDP; a token that is too short or not
/// one line; no such address.
Status check_socket_sound(const SocketSoundOptions& options);
/// The options are sound.
std::unique_ptr<SoundLink> make_socket_link(SocketSoundOptions options);

}  // namespace verge::connectors
