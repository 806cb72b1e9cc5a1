// A real network says the same in every engine.
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "inference/openvino_cache_for_tests.h"
#include "models/catalogue.h"
#include "models/import.h"

namespace verge::models {
namespace {

TEST(EnginesAgree, OnNanoDet) {
  const char* cache = std::getenv("VERGE_CACHE");
  const auto* entry = find_in_catalogue("nanodet-coco");
  ASSERT_NE(entry, nullptr);
  if (cache == nullptr || !std::filesystem::exists(std::filesystem::path(cache) / entry->folder))
    GTEST_SKIP() << "NOT TESTED, no models in $VERGE_CACHE";
  if (!inference::find_openvino_for_tests())
    GTEST_SKIP() << "NOT TESTED, OpenVINO is not here: tools/fetch.sh openvino";
  const TemporaryFolder folder;
  const auto imported =
      import_from_catalogue(entry->name, std::filesystem::path(cache) / entry->folder, folder.path() / "people", false);
  ASSERT_TRUE(imported) << imported.error().message;
  const auto file = folder.path() / "people" / "model.onnx";
  auto ours = inference::load_onnx(file);
  auto other = inference::load_openvino(file);
  ASSERT_TRUE(ours) << ours.error().message;
  ASSERT_TRUE(other) << other.error().message;
  inference::Tensor picture(inference::DataType::float32, {1, 3, 416, 416});
  auto numbers = picture.values<float>();
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::sin(static_cast<float>(i % 997) * 0.1F);
  const inference::NamedTensor inputs[] = {{(*ours)->inputs()[0].name, &picture}};
  const auto expected = (*ours)->run(inputs);
  const auto given = (*other)->run(inputs);
  ASSERT_TRUE(expected) << expected.error().message;
  ASSERT_TRUE(given) << given.error().message;
  ASSERT_EQ(expected->size(), given->size());
  for (std::size_t at = 0; at < expected->size(); ++at) {
    EXPECT_EQ((*ours)->outputs()[at].name, (*other)->outputs()[at].name);
    ASSERT_EQ((*expected)[at].shape(), (*given)[at].shape());
    for (std::size_t i = 0; i < (*expected)[at].count(); ++i)
      ASSERT_NEAR((*expected)[at].values<float>()[i], (*given)[at].values<float>()[i], 1e-3);
  }
}

}  // namespace
}  // namespace verge::models
