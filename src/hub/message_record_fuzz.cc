#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hub/message_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = verge::hub::decode_record({reinterpret_cast<const char*>(data), size});
  if (record) {
    (void)verge::hub::encode_record(verge::hub::record_prefix(record->sender, "1", "{}"), record->epoch,
                                    record->sequence, record->properties, record->body);
  }
  return 0;
}
