// base/websocket_frames.h -- WebSocket frames from and to bytes; private to base.
//
// Source: RFC 6455 section 5 (framing), 7.4.1 (status codes). Without extensions.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace verge {

enum class WebSocketOpcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

struct WebSocketFault {
  std::uint16_t close_code = 1002;
  std::string reason;
};

/// Puts messages together again and passes on the control frames between their fragments.
class WebSocketReader {
 public:
  /// Return false to stop reading for good.
  using OnMessage = std::function<bool(WebSocketOpcode opcode, std::string_view payload)>;

  /// A server's reader expects masked frames, a client's expects plain ones.
  WebSocketReader(bool expects_mask, std::size_t message_bytes_max)
      : expects_mask_(expects_mask), message_bytes_max_(message_bytes_max) {}

  /// Views are valid during the call. After a fault the stream cannot go on.
  std::optional<WebSocketFault> feed(std::string_view bytes, const OnMessage& on_message);

 private:
  struct Head;
  std::optional<WebSocketFault> read_head(std::string_view bytes, Head& head) const;
  std::optional<WebSocketFault> check(const Head& head) const;
  std::optional<WebSocketFault> take_frame(const Head& head, std::string_view payload, const OnMessage& on_message);
  std::optional<WebSocketFault> pass_on(WebSocketOpcode opcode, std::string_view payload, const OnMessage& on_message);

  const bool expects_mask_;
  const std::size_t message_bytes_max_;
  std::string buffer_;                                              // an incomplete frame
  std::string fragments_;                                           // of the message that is under way
  WebSocketOpcode message_opcode_ = WebSocketOpcode::continuation;  // continuation: none under way
  bool is_stopped_ = false;
};

/// The frame's head, to be sent before the payload. With a mask the payload is masked in place.
std::string websocket_head(WebSocketOpcode opcode, std::string& payload, std::optional<std::uint32_t> mask);

bool is_utf8(std::string_view text);

}  // namespace verge
