#include "pipeline/pipeline_file.h"
#include "pipeline/test_parts.h"

namespace {

verge::pipeline::Catalog make_catalog() {
  using namespace verge::pipeline;
  Catalog catalog;
  catalog.add(testing::kind_of<Source>("camera", {{"url", "text", "", nullptr, true}},
                                       [](const auto&, const auto&) { return nullptr; }));
  catalog.add(testing::kind_of<Stage>("zone", {{"polygon", "points", "", nullptr, false}},
                                      [](const auto&, const auto&) { return nullptr; }));
  catalog.add(testing::kind_of<Sink>("stdout", {}, [](const auto&, const auto&) { return nullptr; }));
  return catalog;
}

}  // namespace

/// The bytes up to the first zero are a pipeline file, the rest is the twin's patch.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  static const verge::pipeline::Catalog catalog = make_catalog();
  const std::string_view input(reinterpret_cast<const char*>(bytes), count);
  const auto end = input.find('\0');
  verge::Json patch;
  if (end != std::string_view::npos) {
    if (auto parsed = verge::parse_json(input.substr(end + 1))) patch = *std::move(parsed);
  }
  auto spec = verge::pipeline::parse_pipeline(input.substr(0, end), "fuzz.yaml", catalog, patch);
  if (!spec) VERGE_ASSERT(!spec.error().message.empty());
  return 0;
}
