#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/tfjs_importer.h"

/// The first byte splits the rest into topology and weights.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verge::models;
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto weight_bytes = std::min<std::size_t>(data[0], rest.size());
  TfjsLimits limits;
  limits.weight_bytes_max = 1U << 16U;
  const auto graph =
      parse_tfjs_graph(rest.substr(weight_bytes), {{"weights.bin", std::string(rest.substr(0, weight_bytes))}}, limits);
  if (graph) static_cast<void>(import_tfjs(*graph));
  return 0;
}
