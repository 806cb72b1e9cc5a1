// messaging/packets.h -- MQTT 3.1.1 control packets as values and as bytes.
//
// Decoding is strict wherever the standard says "must": reserved flags, lengths, UTF-8 without NUL, topic names
// without wildcards, packet identifiers above 0. Every such fault is corrupt and means: close the connection.
// Views in decoded packets point into the bytes that were decoded.
// Source: OASIS MQTT Version 3.1.1, chapters 2 to 4.
// Threads: pure functions and values; a PacketReader by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::messaging {

enum class PacketType : std::uint8_t {
  connect = 1,
  connack = 2,
  publish = 3,
  puback = 4,
  pubrec = 5,
  pubrel = 6,
  pubcomp = 7,
  subscribe = 8,
  suback = 9,
  unsubscribe = 10,
  unsuback = 11,
  pingreq = 12,
  pingresp = 13,
  disconnect = 14,
};
/// "CONNECT", as the standard writes it.
std::string_view name_of(PacketType type);

/// One packet as it lies in the byte stream; type and flags are checked, the body is not.
struct Frame {
  PacketType type = PacketType::connect;
  std::uint8_t flags = 0;  ///< Low half of the first byte.
  std::string_view body;   ///< Variable header and payload.
};

struct Will {
  std::string_view topic, payload;
  std::uint8_t qos = 0;
  bool retain = false;
};

struct ConnectPacket {
  std::string_view protocol_name = "MQTT";
  std::uint8_t protocol_level = 4;
  bool clean_session = true;
  std::uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> username, password;

  /// Other protocols get CONNACK 1; of them only name and level were decoded.
  bool is_supported() const { return protocol_name == "MQTT" && protocol_level == 4; }
};

struct ConnackPacket {
  bool session_present = false;
  std::uint8_t code = 0;  ///< 0 accepted, 1..5 refused.
};

struct PublishPacket {
  std::string_view topic, payload;
  std::uint8_t qos = 0;  ///< 0..2
  bool retain = false;
  bool duplicate = false;
  std::uint16_t packet_id = 0;  ///< 0 with QoS 0, else above 0.
};

struct Subscription {
  std::string_view filter;
  std::uint8_t qos = 0;
};
struct SubscribePacket {
  std::uint16_t packet_id = 0;
  std::vector<Subscription> subscriptions;  ///< At least one.
};
inline constexpr std::uint8_t kSubscriptionRefused = 0x80;
struct SubackPacket {
  std::uint16_t packet_id = 0;
  std::vector<std::uint8_t> codes;  ///< Granted QoS or kSubscriptionRefused, in the order asked.
};
struct UnsubscribePacket {
  std::uint16_t packet_id = 0;
  std::vector<std::string_view> filters;  ///< At least one.
};

/// Each expects the frame of its own type. Errors: corrupt.
Result<ConnectPacket> decode_connect(const Frame& frame);
Result<ConnackPacket> decode_connack(const Frame& frame);
Result<PublishPacket> decode_publish(const Frame& frame);
Result<SubscribePacket> decode_subscribe(const Frame& frame);
Result<SubackPacket> decode_suback(const Frame& frame);
Result<UnsubscribePacket> decode_unsubscribe(const Frame& frame);
/// The packet identifier of PUBACK, PUBREC, PUBREL, PUBCOMP and UNSUBACK.
Result<std::uint16_t> decode_packet_id(const Frame& frame);
/// Checks that PINGREQ, PINGRESP and DISCONNECT have no body.
Status decode_empty(const Frame& frame);

/// Each appends one packet. The values must be encodable: texts up to 65,535 bytes, the whole up to 256 MiB.
void append_connect(std::string& out, const ConnectPacket& packet);
void append_connack(std::string& out, const ConnackPacket& packet);
void append_publish(std::string& out, const PublishPacket& packet);
void append_subscribe(std::string& out, const SubscribePacket& packet);
void append_suback(std::string& out, const SubackPacket& packet);
void append_unsubscribe(std::string& out, const UnsubscribePacket& packet);
/// PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK.
void append_packet_id(std::string& out, PacketType type, std::uint16_t packet_id);
/// PINGREQ, PINGRESP or DISCONNECT.
void append_empty(std::string& out, PacketType type);

/// Bytes of a PUBLISH packet with these lengths, QoS 1, fixed header included.
std::size_t publish_bytes(std::size_t topic_bytes, std::size_t payload_bytes);

/// A UTF-8 text of at most 65,535 bytes without NUL. Errors: invalid_argument.
Status check_text(std::string_view text);
/// A text that is not empty and has no + or #. Errors: invalid_argument.
Status check_topic(std::string_view topic);
/// A text that is not empty; + fills a whole level, # fills the last one. Errors: invalid_argument.
Status check_filter(std::string_view filter);

/// Cuts a byte stream into frames. Frames lie in the caller's bytes unless a part of them came earlier.
class PacketReader {
 public:
  enum class Next : std::uint8_t { go_on, stop };
  /// Gets each whole packet; the frame is valid during the call, which must not call read().
  using Use = std::function<Next(const Frame&)>;

  /// packet_bytes_max bounds one packet with its header, and so what is buffered of an unfinished one.
  explicit PacketReader(std::size_t packet_bytes_max) : packet_bytes_max_(packet_bytes_max) {}

  /// Takes bytes as they came. After `stop` the rest is kept; read({}, use) goes on with it.
  /// Errors: corrupt, limit (a packet beyond packet_bytes_max, told from its header). After an error the stream
  /// has no meaning any more.
  Status read(std::string_view bytes, const Use& use);
  std::size_t buffered_bytes() const { return buffer_.size() - consumed_bytes_; }

 private:
  Result<Next> read_buffered(std::string_view& bytes, const Use& use);
  Status read_direct(std::string_view bytes, const Use& use);
  void drop_consumed();

  const std::size_t packet_bytes_max_;
  std::string buffer_;
  std::size_t consumed_bytes_ = 0;  ///< At the front of buffer_.
};

}  // namespace verge::messaging
