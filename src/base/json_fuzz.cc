// What we read, we can write and read again to the same value.
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto value = verge::parse_json({reinterpret_cast<const char*>(bytes), size});
  if (!value) {
    VERGE_ASSERT(!value.error().message.empty());
    return 0;
  }
  const auto again = verge::parse_json(verge::to_text(*value));
  VERGE_ASSERT(again && *again == *value);
  verge::Json patched = *value;
  verge::merge_patch(patched, *value);
  return 0;
}
