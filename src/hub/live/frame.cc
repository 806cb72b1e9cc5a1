#include "hub/live/frame.h"

namespace verge::hub {
namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kHeaderBytesMax = 64U << 10U;

}  // namespace

Result<Frame> parse_frame(std::string_view message) {
  const Error broken{ErrorCode::corrupt, "read a live frame: its header is no JSON object of the stated length"};
  if (message.size() < kLengthBytes) return broken;
  std::size_t header_bytes = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    header_bytes = (header_bytes << 8U) | static_cast<unsigned char>(message[i]);
  }
  if (header_bytes > kHeaderBytesMax || header_bytes > message.size() - kLengthBytes) return broken;
  auto header = parse_json(message.substr(kLengthBytes, header_bytes));
  if (!header || !header->is_object()) return broken;
  return Frame{*std::move(header), message.substr(kLengthBytes + header_bytes)};
}

std::string frame_bytes(const Json& header, std::string_view payload) {
  const std::string text = to_text(header);
  std::string bytes;
  bytes.reserve(kLengthBytes + text.size() + payload.size());
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    bytes += static_cast<char>((text.size() >> (8 * (kLengthBytes - 1 - i))) & 0xFF);
  }
  bytes += text;
  bytes += payload;
  return bytes;
}

}  // namespace verge::hub
