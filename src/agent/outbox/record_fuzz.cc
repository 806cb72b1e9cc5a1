#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/outbox/record.h"

// What is read must be written back to the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto record = verge::agent::outbox_record_from(bytes);
  if (record) {
    const auto again = verge::agent::outbox_record_from(verge::agent::to_bytes(*record));
    VERGE_ASSERT(again && *again == *record);
  }
  return 0;
}
