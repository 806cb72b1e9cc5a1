#include "messaging/packets.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace verge::messaging {
namespace {

constexpr std::size_t kTextBytesMax = 0xFFFF;
constexpr std::size_t kRemainingLengthMax = 268'435'455;
constexpr std::size_t kLengthBytesMax = 4;

constexpr std::uint8_t kUsernameFlag = 0x80;
constexpr std::uint8_t kPasswordFlag = 0x40;
constexpr std::uint8_t kWillRetainFlag = 0x20;
constexpr std::uint8_t kWillFlag = 0x04;
constexpr std::uint8_t kCleanSessionFlag = 0x02;
constexpr std::uint8_t kReservedConnectFlag = 0x01;

constexpr std::uint8_t kDuplicateFlag = 0x08;
constexpr std::uint8_t kRetainFlag = 0x01;

constexpr std::array<std::string_view, 15> kNames{
    "",          "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",    "PUBCOMP",
    "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT"};

Error corrupt(PacketType type, std::string_view what) {
  return Error{ErrorCode::corrupt, std::string(name_of(type)) + " packet: " + std::string(what)};
}

std::uint8_t byte_at(std::string_view bytes, std::size_t index) { return static_cast<std::uint8_t>(bytes[index]); }

bool is_ascii(std::string_view text) {
  std::size_t index = 0;
  for (; index + sizeof(std::uint64_t) <= text.size(); index += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + index, sizeof word);
    if ((word & 0x8080808080808080U) != 0) return false;
  }
  for (; index < text.size(); ++index) {
    if (byte_at(text, index) >= 0x80) return false;
  }
  return true;
}

/// Bytes of the well-formed sequence at the front (Unicode 15, table 3-7), or 0.
std::size_t sequence_bytes(std::string_view text) {
  const std::uint8_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  std::size_t count = 0;
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    count = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    count = 3;
    if (first == 0xE0) second_min = 0xA0;  // Shorter forms exist below.
    if (first == 0xED) second_max = 0x9F;  // Surrogates lie above.
  } else if (first >= 0xF0 && first <= 0xF4) {
    count = 4;
    if (first == 0xF0) second_min = 0x90;
    if (first == 0xF4) second_max = 0x8F;  // Beyond U+10FFFF.
  }
  if (count == 0 || text.size() < count) return 0;
  if (byte_at(text, 1) < second_min || byte_at(text, 1) > second_max) return 0;
  for (std::size_t index = 2; index < count; ++index) {
    if (byte_at(text, index) < 0x80 || byte_at(text, index) > 0xBF) return 0;
  }
  return count;
}

bool is_utf8(std::string_view text) {
  if (is_ascii(text)) return true;
  while (!text.empty()) {
    const std::size_t count = sequence_bytes(text);
    if (count == 0) return false;
    text.remove_prefix(count);
  }
  return true;
}

/// What is wrong with a text, or nothing.
std::string_view fault_of_text(std::string_view text) {
  if (text.size() > kTextBytesMax) return "a text is longer than 65535 bytes";
  if (text.find('\0') != std::string_view::npos) return "a text contains NUL";
  if (!is_utf8(text)) return "a text is not UTF-8";
  return {};
}

std::string_view fault_of_topic(std::string_view topic) {
  if (topic.empty()) return "the topic is empty";
  if (topic.find('#') != std::string_view::npos || topic.find('+') != std::string_view::npos) {
    return "the topic contains a wildcard";
  }
  return fault_of_text(topic);
}

std::string_view fault_of_filter(std::string_view filter) {
  if (filter.empty()) return "the topic filter is empty";
  for (std::size_t index = 0; index < filter.size(); ++index) {
    if (filter[index] != '+' && filter[index] != '#') continue;
    const bool is_last = index + 1 == filter.size();
    if (index > 0 && filter[index - 1] != '/') return "a wildcard does not fill its level of the topic filter";
    if (!is_last && filter[index] == '#') return "# is not at the end of the topic filter";
    if (!is_last && filter[index + 1] != '/') return "a wildcard does not fill its level of the topic filter";
  }
  return fault_of_text(filter);
}

Status check(std::string_view fault, std::string_view text) {
  if (fault.empty()) return Done{};
  return Error{ErrorCode::invalid_argument, std::string(fault) + ": \"" + std::string(text.substr(0, 200)) + "\""};
}

/// Reads fields from a body. The first fault stays; later reads give empty values.
class Cursor {
 public:
  explicit Cursor(const Frame& frame) : type_(frame.type), rest_(frame.body) {}

  std::uint8_t number8() { return has(1) ? byte_at(take(1), 0) : std::uint8_t{0}; }
  std::uint16_t number16() {
    if (!has(2)) return 0;
    const std::string_view two = take(2);
    return static_cast<std::uint16_t>(byte_at(two, 0) << 8U | byte_at(two, 1));
  }
  std::uint16_t packet_id() {
    const std::uint16_t id = number16();
    if (id == 0) fail("the packet identifier is 0");
    return id;
  }
  std::string_view binary() {
    const std::size_t count = number16();
    return has(count) ? take(count) : std::string_view{};
  }
  std::string_view text() { return checked(binary(), fault_of_text); }
  std::string_view topic() { return checked(binary(), fault_of_topic); }
  std::string_view filter() { return checked(binary(), fault_of_filter); }
  std::string_view rest() { return std::exchange(rest_, {}); }

  bool is_at_end() const { return rest_.empty(); }
  bool is_sound() const { return fault_.empty(); }
  void fail(std::string_view fault) {
    if (fault_.empty()) fault_ = fault;
    rest_ = {};
  }
  /// The packet, if all was well and nothing is left over.
  template <class T>
  Result<T> finish(T packet) {
    if (!rest_.empty()) fail("there are bytes behind its end");
    if (!fault_.empty()) return corrupt(type_, fault_);
    return packet;
  }

 private:
  bool has(std::size_t count) {
    if (rest_.size() >= count && is_sound()) return true;
    fail("it ends too early");
    return false;
  }
  std::string_view take(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view checked(std::string_view text, std::string_view (*fault_of)(std::string_view)) {
    if (!is_sound()) return {};
    if (const std::string_view fault = fault_of(text); !fault.empty()) fail(fault);
    return text;
  }

  PacketType type_;
  std::string_view rest_;
  std::string_view fault_;
};

void append_number16(std::string& out, std::uint16_t number) {
  out.push_back(static_cast<char>(number >> 8U));
  out.push_back(static_cast<char>(number & 0xFFU));
}

void append_text(std::string& out, std::string_view text) {
  VERGE_ASSERT(text.size() <= kTextBytesMax);
  append_number16(out, static_cast<std::uint16_t>(text.size()));
  out.append(text);
}

void append_header(std::string& out, PacketType type, unsigned flags, std::size_t remaining_bytes) {
  VERGE_ASSERT(remaining_bytes <= kRemainingLengthMax);
  out.push_back(static_cast<char>(static_cast<unsigned>(type) << 4U | flags));
  do {
    const std::size_t low = remaining_bytes & 0x7FU;
    remaining_bytes >>= 7U;
    out.push_back(static_cast<char>(remaining_bytes > 0 ? low | 0x80U : low));
  } while (remaining_bytes > 0);
}

std::size_t text_bytes(std::string_view text) { return 2 + text.size(); }

Will decode_will(Cursor& cursor, std::uint8_t flags) {
  Will will;
  will.qos = (flags >> 3U) & 3U;
  will.retain = (flags & kWillRetainFlag) != 0;
  will.topic = cursor.topic();
  will.payload = cursor.binary();
  if (will.qos == 3) cursor.fail("the will's QoS is 3");
  return will;
}

void check_connect_flags(Cursor& cursor, std::uint8_t flags) {
  constexpr unsigned kWillDetails = 0x38;
  if ((flags & kReservedConnectFlag) != 0) cursor.fail("the reserved flag is set");
  if ((flags & kWillFlag) == 0 && (flags & kWillDetails) != 0) cursor.fail("it describes a will that it does not have");
  if ((flags & kUsernameFlag) == 0 && (flags & kPasswordFlag) != 0) cursor.fail("it has a password but no user name");
}

bool are_flags_valid(PacketType type, unsigned flags) {
  switch (type) {
    case PacketType::publish: {
      const unsigned qos = (flags >> 1U) & 3U;
      return qos != 3 && !(qos == 0 && (flags & kDuplicateFlag) != 0);
    }
    case PacketType::pubrel:
    case PacketType::subscribe:
    case PacketType::unsubscribe:
      return flags == 2;
    default:
      return flags == 0;
  }
}

struct Header {
  Frame frame;                   ///< Without its body.
  std::size_t header_bytes = 0;  ///< 0: not all of the header is there yet.
  std::size_t body_bytes = 0;
};

/// Reads a fixed header, as far as it is there, and refuses what can be refused already.
Result<Header> read_header(std::string_view bytes, std::size_t packet_bytes_max) {
  Header header;
  if (bytes.empty()) return header;
  const unsigned type = byte_at(bytes, 0) >> 4U;
  if (type < 1 || type > 14) {
    return Error{ErrorCode::corrupt, "packet type " + std::to_string(type) + " does not exist in MQTT 3.1.1"};
  }
  header.frame.type = static_cast<PacketType>(type);
  header.frame.flags = byte_at(bytes, 0) & 0x0FU;
  if (!are_flags_valid(header.frame.type, header.frame.flags)) {
    return corrupt(header.frame.type, "flags " + std::to_string(header.frame.flags) + " are not allowed");
  }
  for (std::size_t index = 0; index < kLengthBytesMax && index + 1 < bytes.size(); ++index) {
    const std::size_t digit = byte_at(bytes, index + 1);
    header.body_bytes |= (digit & 0x7FU) << (7 * index);
    if ((digit & 0x80U) != 0) continue;
    header.header_bytes = index + 2;
    if (header.header_bytes + header.body_bytes > packet_bytes_max) {
      return Error{ErrorCode::limit, std::string(name_of(header.frame.type)) + " packet of " +
                                         std::to_string(header.header_bytes + header.body_bytes) +
                                         " bytes; the limit is " + std::to_string(packet_bytes_max)};
    }
    return header;
  }
  if (bytes.size() > kLengthBytesMax) return corrupt(header.frame.type, "its length has more than four bytes");
  return header;
}

}  // namespace

std::string_view name_of(PacketType type) { return kNames.at(static_cast<std::size_t>(type)); }

Result<ConnectPacket> decode_connect(const Frame& frame) {
  Cursor cursor(frame);
  ConnectPacket packet;
  packet.protocol_name = cursor.text();
  packet.protocol_level = cursor.number8();
  if (cursor.is_sound() && !packet.is_supported()) return packet;
  const std::uint8_t flags = cursor.number8();
  check_connect_flags(cursor, flags);
  packet.clean_session = (flags & kCleanSessionFlag) != 0;
  packet.keep_alive_s = cursor.number16();
  packet.client_id = cursor.text();
  if ((flags & kWillFlag) != 0) packet.will = decode_will(cursor, flags);
  if ((flags & kUsernameFlag) != 0) packet.username = cursor.text();
  if ((flags & kPasswordFlag) != 0) packet.password = cursor.binary();
  return cursor.finish(packet);
}

Result<ConnackPacket> decode_connack(const Frame& frame) {
  Cursor cursor(frame);
  const std::uint8_t flags = cursor.number8();
  ConnackPacket packet{(flags & 1U) != 0, cursor.number8()};
  if (flags > 1) cursor.fail("a reserved flag is set");
  if (packet.code > 5) cursor.fail("its return code is above 5");
  if (packet.session_present && packet.code != 0) cursor.fail("it refuses and has a session");
  return cursor.finish(packet);
}

Result<PublishPacket> decode_publish(const Frame& frame) {
  Cursor cursor(frame);
  PublishPacket packet;
  packet.qos = (frame.flags >> 1U) & 3U;
  packet.retain = (frame.flags & kRetainFlag) != 0;
  packet.duplicate = (frame.flags & kDuplicateFlag) != 0;
  packet.topic = cursor.topic();
  if (packet.qos > 0) packet.packet_id = cursor.packet_id();
  packet.payload = cursor.rest();
  return cursor.finish(packet);
}

Result<SubscribePacket> decode_subscribe(const Frame& frame) {
  Cursor cursor(frame);
  SubscribePacket packet;
  packet.packet_id = cursor.packet_id();
  if (cursor.is_at_end()) cursor.fail("it has no topic filter");
  while (!cursor.is_at_end()) {
    const std::string_view filter = cursor.filter();
    const std::uint8_t qos = cursor.number8();
    if (qos > 2) cursor.fail("a requested QoS is above 2");
    packet.subscriptions.push_back({filter, qos});
  }
  return cursor.finish(std::move(packet));
}

Result<SubackPacket> decode_suback(const Frame& frame) {
  Cursor cursor(frame);
  SubackPacket packet;
  packet.packet_id = cursor.packet_id();
  if (cursor.is_at_end()) cursor.fail("it has no return code");
  for (const char byte : cursor.rest()) {
    const auto code = static_cast<std::uint8_t>(byte);
    if (code > 2 && code != kSubscriptionRefused) cursor.fail("a return code is none of 0, 1, 2 and 128");
    packet.codes.push_back(code);
  }
  return cursor.finish(std::move(packet));
}

Result<UnsubscribePacket> decode_unsubscribe(const Frame& frame) {
  Cursor cursor(frame);
  UnsubscribePacket packet;
  packet.packet_id = cursor.packet_id();
  if (cursor.is_at_end()) cursor.fail("it has no topic filter");
  while (!cursor.is_at_end()) packet.filters.push_back(cursor.filter());
  return cursor.finish(std::move(packet));
}

Result<std::uint16_t> decode_packet_id(const Frame& frame) {
  Cursor cursor(frame);
  const std::uint16_t id = cursor.packet_id();
  return cursor.finish(id);
}

Status decode_empty(const Frame& frame) { return Cursor(frame).finish(Done{}); }

void append_connect(std::string& out, const ConnectPacket& packet) {
  unsigned flags = packet.clean_session ? kCleanSessionFlag : 0U;
  std::size_t count = text_bytes(packet.protocol_name) + 4 + text_bytes(packet.client_id);
  if (packet.will) {
    flags |= kWillFlag | static_cast<unsigned>(packet.will->qos) << 3U;
    if (packet.will->retain) flags |= kWillRetainFlag;
    count += text_bytes(packet.will->topic) + text_bytes(packet.will->payload);
  }
  if (packet.username) flags |= kUsernameFlag, count += text_bytes(*packet.username);
  if (packet.password) flags |= kPasswordFlag, count += text_bytes(*packet.password);

  append_header(out, PacketType::connect, 0, count);
  append_text(out, packet.protocol_name);
  out.push_back(static_cast<char>(packet.protocol_level));
  out.push_back(static_cast<char>(flags));
  append_number16(out, packet.keep_alive_s);
  append_text(out, packet.client_id);
  if (packet.will) append_text(out, packet.will->topic), append_text(out, packet.will->payload);
  if (packet.username) append_text(out, *packet.username);
  if (packet.password) append_text(out, *packet.password);
}

void append_connack(std::string& out, const ConnackPacket& packet) {
  append_header(out, PacketType::connack, 0, 2);
  out.push_back(packet.session_present ? 1 : 0);
  out.push_back(static_cast<char>(packet.code));
}

void append_publish(std::string& out, const PublishPacket& packet) {
  const unsigned flags = (packet.duplicate ? kDuplicateFlag : 0U) | static_cast<unsigned>(packet.qos) << 1U |
                         (packet.retain ? kRetainFlag : 0U);
  const std::size_t id_bytes = packet.qos > 0 ? 2 : 0;
  append_header(out, PacketType::publish, flags, text_bytes(packet.topic) + id_bytes + packet.payload.size());
  append_text(out, packet.topic);
  if (packet.qos > 0) append_number16(out, packet.packet_id);
  out.append(packet.payload);
}

void append_subscribe(std::string& out, const SubscribePacket& packet) {
  std::size_t count = 2;
  for (const Subscription& subscription : packet.subscriptions) count += text_bytes(subscription.filter) + 1;
  append_header(out, PacketType::subscribe, 2, count);
  append_number16(out, packet.packet_id);
  for (const Subscription& subscription : packet.subscriptions) {
    append_text(out, subscription.filter);
    out.push_back(static_cast<char>(subscription.qos));
  }
}

void append_suback(std::string& out, const SubackPacket& packet) {
  append_header(out, PacketType::suback, 0, 2 + packet.codes.size());
  append_number16(out, packet.packet_id);
  for (const std::uint8_t code : packet.codes) out.push_back(static_cast<char>(code));
}

void append_unsubscribe(std::string& out, const UnsubscribePacket& packet) {
  std::size_t count = 2;
  for (const std::string_view filter : packet.filters) count += text_bytes(filter);
  append_header(out, PacketType::unsubscribe, 2, count);
  append_number16(out, packet.packet_id);
  for (const std::string_view filter : packet.filters) append_text(out, filter);
}

void append_packet_id(std::string& out, PacketType type, std::uint16_t packet_id) {
  append_header(out, type, type == PacketType::pubrel ? 2 : 0, 2);
  append_number16(out, packet_id);
}

void append_empty(std::string& out, PacketType type) { append_header(out, type, 0, 0); }

std::size_t publish_bytes(std::size_t topic_bytes, std::size_t payload_bytes) {
  const std::size_t remaining = 2 + topic_bytes + 2 + payload_bytes;
  std::size_t length_bytes = 1;
  for (std::size_t rest = remaining >> 7U; rest > 0; rest >>= 7U) ++length_bytes;
  return 1 + length_bytes + remaining;
}

Status check_text(std::string_view text) { return check(fault_of_text(text), text); }
Status check_topic(std::string_view topic) { return check(fault_of_topic(topic), topic); }
Status check_filter(std::string_view filter) { return check(fault_of_filter(filter), filter); }

Status PacketReader::read(std::string_view bytes, const Use& use) {
  if (!buffer_.empty()) {
    VERGE_TRY(const Next next, read_buffered(bytes, use));
    if (next == Next::stop) {
      buffer_.append(bytes);
      return Done{};
    }
  }
  return read_direct(bytes, use);
}

/// Handles what lies in the buffer, completing its last packet from `bytes`. go_on: the buffer is empty, or
/// holds an unfinished packet and `bytes` is used up.
Result<PacketReader::Next> PacketReader::read_buffered(std::string_view& bytes, const Use& use) {
  while (!buffer_.empty()) {
    const std::string_view held = std::string_view(buffer_).substr(consumed_bytes_);
    VERGE_TRY(Header header, read_header(held, packet_bytes_max_));
    const std::size_t packet_bytes = header.header_bytes + header.body_bytes;
    if (header.header_bytes > 0 && held.size() >= packet_bytes) {
      header.frame.body = held.substr(header.header_bytes, header.body_bytes);
      const Next next = use(header.frame);
      consumed_bytes_ += packet_bytes;
      if (consumed_bytes_ == buffer_.size()) drop_consumed();
      if (next == Next::stop) return Next::stop;
      continue;
    }
    const std::size_t missing_bytes = header.header_bytes > 0 ? packet_bytes - held.size() : 1;
    const std::size_t taken_bytes = std::min(missing_bytes, bytes.size());
    if (consumed_bytes_ > 0) drop_consumed();
    if (taken_bytes == 0) break;
    buffer_.append(bytes.substr(0, taken_bytes));
    bytes.remove_prefix(taken_bytes);
  }
  return Next::go_on;
}

Status PacketReader::read_direct(std::string_view bytes, const Use& use) {
  while (!bytes.empty()) {
    VERGE_TRY(Header header, read_header(bytes, packet_bytes_max_));
    const std::size_t packet_bytes = header.header_bytes + header.body_bytes;
    if (header.header_bytes == 0 || bytes.size() < packet_bytes) break;
    header.frame.body = bytes.substr(header.header_bytes, header.body_bytes);
    const Next next = use(header.frame);
    bytes.remove_prefix(packet_bytes);
    if (next == Next::stop) break;
  }
  buffer_.append(bytes);
  return Done{};
}

/// An idle connection should hold no memory, so an emptied buffer gives its own back.
void PacketReader::drop_consumed() {
  if (consumed_bytes_ == buffer_.size()) {
    std::string().swap(buffer_);
  } else {
    buffer_.erase(0, consumed_bytes_);
  }
  consumed_bytes_ = 0;
}

}  // namespace verge::messaging
