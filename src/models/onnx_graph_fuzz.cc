#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "models/inspect.h"
#include "models/onnx_graph.h"
#include "models/simplify.h"

/// Whatever is read can be inspected, shortened and written, and reads back as what was written.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verge::models;
  auto model = parse_model({reinterpret_cast<const char*>(data), size});
  if (!model) return 0;
  (void)to_text(inspect(*model));
  const auto bytes = to_bytes(*model);
  const auto again = parse_model(bytes);
  VERGE_ASSERT(again && to_bytes(*again) == bytes);
  simplify(model->graph);
  return 0;
}
