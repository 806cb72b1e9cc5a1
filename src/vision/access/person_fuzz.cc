#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "vision/access/person.h"

/// What is taken as a record is sound and is written as the same person again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace verge;
  const auto person = vision::person_of_record({reinterpret_cast<const char*>(bytes), count});
  if (!person) {
    VERGE_ASSERT(person.error().code == ErrorCode::corrupt && !person.error().message.empty());
    return 0;
  }
  VERGE_ASSERT(vision::check_person(*person));
  const auto again = vision::person_of_record(vision::to_record(*person));
  VERGE_ASSERT(again && again->name == person->name && again->looks == person->looks);
  return 0;
}
