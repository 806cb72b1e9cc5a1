#include "base/websocket_frames.h"

#include <array>
#include <cstring>
#include <utility>

namespace verge {
namespace {

constexpr std::size_t kControlBytesMax = 125;
constexpr std::size_t kKeptCapacityMax = 64U << 10U;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8U | static_cast<unsigned char>(c);
  return value;
}

void append_big_endian(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

/// Applies the four bytes of `mask` round and round; doing it twice undoes it.
void apply_mask(char* bytes, std::size_t count, const std::array<char, 4>& mask) {
  std::uint64_t wide_mask = 0;
  std::memcpy(&wide_mask, mask.data(), 4);
  std::memcpy(reinterpret_cast<char*>(&wide_mask) + 4, mask.data(), 4);
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, 8);
    word ^= wide_mask;
    std::memcpy(bytes + i, &word, 8);
  }
  for (; i < count; ++i) bytes[i] = static_cast<char>(bytes[i] ^ mask[i % 4]);
}

bool is_control(WebSocketOpcode opcode) { return static_cast<std::uint8_t>(opcode) >= 8; }

bool is_known(WebSocketOpcode opcode) {
  const auto number = static_cast<std::uint8_t>(opcode);
  return number <= 2 || (number >= 8 && number <= 10);
}

WebSocketFault broken(std::string reason) { return {1002, std::move(reason)}; }

}  // namespace

struct WebSocketReader::Head {
  std::size_t size = 0;  // 0: not complete yet
  std::uint64_t payload_bytes = 0;
  WebSocketOpcode opcode = WebSocketOpcode::continuation;
  bool is_final = false;
  bool is_masked = false;
  std::array<char, 4> mask{};
};

std::optional<WebSocketFault> WebSocketReader::read_head(std::string_view bytes, Head& head) const {
  head = Head();
  if (bytes.size() < 2) return std::nullopt;
  const auto first = static_cast<unsigned char>(bytes[0]);
  const auto second = static_cast<unsigned char>(bytes[1]);
  if ((first & 0x70U) != 0) return broken("reserved bits are set");
  head.is_final = (first & 0x80U) != 0;
  head.opcode = static_cast<WebSocketOpcode>(first & 0x0FU);
  head.is_masked = (second & 0x80U) != 0;
  const unsigned short_length = second & 0x7FU;
  const std::size_t length_bytes = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
  const std::size_t size = 2 + length_bytes + (head.is_masked ? 4 : 0);
  if (bytes.size() < size) return std::nullopt;
  head.payload_bytes = length_bytes == 0 ? short_length : big_endian(bytes.substr(2, length_bytes));
  if (head.is_masked) std::memcpy(head.mask.data(), bytes.data() + 2 + length_bytes, 4);
  head.size = size;
  return check(head);
}

std::optional<WebSocketFault> WebSocketReader::check(const Head& head) const {
  if (!is_known(head.opcode)) return broken("unknown opcode");
  if (head.is_masked != expects_mask_) return broken(expects_mask_ ? "a frame is not masked" : "a frame is masked");
  if (is_control(head.opcode)) {
    if (!head.is_final) return broken("a control frame is fragmented");
    if (head.payload_bytes > kControlBytesMax) return broken("a control frame is longer than 125 bytes");
    return std::nullopt;
  }
  const bool is_under_way = message_opcode_ != WebSocketOpcode::continuation;
  if ((head.opcode == WebSocketOpcode::continuation) != is_under_way) return broken("fragments out of order");
  if (head.payload_bytes > message_bytes_max_ || fragments_.size() + head.payload_bytes > message_bytes_max_) {
    return WebSocketFault{1009, "message longer than " + std::to_string(message_bytes_max_) + " bytes"};
  }
  return std::nullopt;
}

std::optional<WebSocketFault> WebSocketReader::feed(std::string_view bytes, const OnMessage& on_message) {
  buffer_.append(bytes);
  std::size_t done = 0;
  while (!is_stopped_) {
    Head head;
    if (auto fault = read_head(std::string_view(buffer_).substr(done), head)) return fault;
    if (head.size == 0 || buffer_.size() - done - head.size < head.payload_bytes) break;
    char* payload = buffer_.data() + done + head.size;
    const auto count = static_cast<std::size_t>(head.payload_bytes);
    if (head.is_masked) apply_mask(payload, count, head.mask);
    done += head.size + count;
    if (auto fault = take_frame(head, {payload, count}, on_message)) return fault;
  }
  buffer_.erase(0, done);
  if (buffer_.empty() && buffer_.capacity() > kKeptCapacityMax) buffer_.shrink_to_fit();
  return std::nullopt;
}

std::optional<WebSocketFault> WebSocketReader::take_frame(const Head& head, std::string_view payload,
                                                          const OnMessage& on_message) {
  if (is_control(head.opcode)) {
    is_stopped_ = !on_message(head.opcode, payload);
    return std::nullopt;
  }
  if (head.opcode != WebSocketOpcode::continuation) {
    if (head.is_final) return pass_on(head.opcode, payload, on_message);  // the common case, without a copy
    message_opcode_ = head.opcode;
  }
  fragments_.append(payload);
  if (!head.is_final) return std::nullopt;
  const auto opcode = std::exchange(message_opcode_, WebSocketOpcode::continuation);
  const std::string message = std::exchange(fragments_, {});
  return pass_on(opcode, message, on_message);
}

std::optional<WebSocketFault> WebSocketReader::pass_on(WebSocketOpcode opcode, std::string_view payload,
                                                       const OnMessage& on_message) {
  if (opcode == WebSocketOpcode::text && !is_utf8(payload)) return WebSocketFault{1007, "text is not UTF-8"};
  is_stopped_ = !on_message(opcode, payload);
  return std::nullopt;
}

std::string websocket_head(WebSocketOpcode opcode, std::string& payload, std::optional<std::uint32_t> mask) {
  std::string head;
  head += static_cast<char>(0x80U | static_cast<std::uint8_t>(opcode));
  const unsigned mask_bit = mask ? 0x80U : 0U;
  if (payload.size() < 126) {
    head += static_cast<char>(mask_bit | payload.size());
  } else if (payload.size() <= 0xFFFF) {
    head += static_cast<char>(mask_bit | 126U);
    append_big_endian(head, payload.size(), 2);
  } else {
    head += static_cast<char>(mask_bit | 127U);
    append_big_endian(head, payload.size(), 8);
  }
  if (mask) {
    std::array<char, 4> bytes{};
    std::memcpy(bytes.data(), &*mask, 4);
    head.append(bytes.data(), 4);
    apply_mask(payload.data(), payload.size(), bytes);
  }
  return head;
}

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const std::size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < more) return false;
    // The second byte's range excludes long forms, surrogates and what lies beyond U+10FFFF.
    const auto second = static_cast<unsigned char>(text[i]);
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (second < low || second > high) return false;
    for (std::size_t k = 1; k < more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0U) != 0x80U) return false;
    }
    i += more;
  }
  return true;
}

}  // namespace verge
