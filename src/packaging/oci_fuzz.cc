#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "base/json.h"
#include "packaging/closure.h"
#include "packaging/oci.h"

/// What registries, archives and other people's files can hold.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verge::packaging;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto manifest = parse_manifest(text)) VERGE_ASSERT(parse_manifest(verge::to_text(to_json(*manifest))));
  if (const auto config = parse_image_config(text)) VERGE_ASSERT(parse_image_config(verge::to_text(to_json(*config))));
  if (const auto index = parse_index(text)) VERGE_ASSERT(parse_index(verge::to_text(to_json(*index))));
  if (const auto reference = parse_reference(text)) VERGE_ASSERT(parse_reference(reference->text()));
  static_cast<void>(parse_elf(text));
  return 0;
}
