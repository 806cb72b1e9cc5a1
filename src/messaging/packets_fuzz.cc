// The reader must cut any bytes without fault, and what it decodes must encode to packets that decode again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "messaging/packets.h"

namespace {

using namespace verge::messaging;

template <class Packet>
void round_trip(const verge::Result<Packet>& packet, void (*append)(std::string&, const Packet&),
                verge::Result<Packet> (*decode)(const Frame&)) {
  if (!packet) return;
  std::string bytes;
  append(bytes, *packet);
  PacketReader reader(bytes.size());
  bool is_same = false;
  const verge::Status read = reader.read(bytes, [&](const Frame& frame) {
    is_same = static_cast<bool>(decode(frame));
    return PacketReader::Next::go_on;
  });
  VERGE_ASSERT(read && is_same);
}

void decode(const Frame& frame) {
  switch (frame.type) {
    case PacketType::connect:
      return round_trip(decode_connect(frame), append_connect, decode_connect);
    case PacketType::connack:
      return round_trip(decode_connack(frame), append_connack, decode_connack);
    case PacketType::publish:
      return round_trip(decode_publish(frame), append_publish, decode_publish);
    case PacketType::subscribe:
      return round_trip(decode_subscribe(frame), append_subscribe, decode_subscribe);
    case PacketType::suback:
      return round_trip(decode_suback(frame), append_suback, decode_suback);
    case PacketType::unsubscribe:
      return round_trip(decode_unsubscribe(frame), append_unsubscribe, decode_unsubscribe);
    case PacketType::pingreq:
    case PacketType::pingresp:
    case PacketType::disconnect:
      static_cast<void>(static_cast<bool>(decode_empty(frame)));
      return;
    default:
      static_cast<void>(static_cast<bool>(decode_packet_id(frame)));
  }
}

}  // namespace

/// The first byte says how large the pieces are that arrive.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] + 1U;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  PacketReader reader(4'096);
  while (!rest.empty()) {
    const verge::Status read = reader.read(rest.substr(0, step), [](const Frame& frame) {
      decode(frame);
      return frame.body.size() % 3 == 0 ? PacketReader::Next::stop : PacketReader::Next::go_on;
    });
    if (!read) break;
    VERGE_ASSERT(reader.buffered_bytes() <= size);
    rest.remove_prefix(std::min(step, rest.size()));
  }
  return 0;
}
