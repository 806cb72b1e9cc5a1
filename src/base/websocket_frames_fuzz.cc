// Frames: nothing crashes, and the messages are the same however the stream is cut.
#include "base/assert.h"
#include "base/websocket_frames.h"

namespace {

std::string read_all(std::string_view text, std::size_t step, bool expects_mask) {
  verge::WebSocketReader reader(expects_mask, 10'000);
  std::string seen;
  while (!text.empty()) {
    const auto piece = text.substr(0, step);
    text.remove_prefix(piece.size());
    const auto fault = reader.feed(piece, [&](verge::WebSocketOpcode opcode, std::string_view payload) {
      seen += std::to_string(static_cast<int>(opcode)) + ":" + std::string(payload) + ";";
      return true;
    });
    if (fault) return seen + std::to_string(fault->close_code);
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  for (const bool expects_mask : {false, true}) {
    VERGE_ASSERT(read_all(text, size + 1, expects_mask) == read_all(text, 1, expects_mask));
  }
  return 0;
}
