#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hub/live/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto frame = verge::hub::parse_frame({reinterpret_cast<const char*>(data), size});
  if (frame) (void)verge::hub::frame_bytes(frame->header, frame->payload);
  return 0;
}
