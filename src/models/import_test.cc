#include "models/import.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/temporary_folder.h"
#include "models/catalogue.h"
#include "models/tfjs_for_tests.h"

namespace verge::models {
namespace {

using ::testing::HasSubstr;

const Json simple_card{{"task", "anomaly-score"}, {"family", "telemetry"}, {"licence", "MIT"}};

class Import : public ::testing::Test {
 protected:
  std::filesystem::path write_tfjs() {
    TinyTfjs graph;
    graph.input("x", {1, 2}).floats("w", {2, 1}, {3, 4}).node("MatMul", "y", {"x", "w"}).output("y:0", "y:0");
    EXPECT_TRUE(write_file(folder_.path() / "tiny.json", graph.text()));
    EXPECT_TRUE(write_file(folder_.path() / "weights.bin", graph.weight_bytes()));
    return folder_.path() / "tiny.json";
  }
  ImportOptions options(const Json& card = simple_card) {
    ImportOptions made;
    made.target = folder_.path() / "tiny-model";
    made.card = card;
    return made;
  }
  TemporaryFolder folder_;
};

TEST_F(Import, MakesAModelFolderThatOpens) {
  const auto report = import_model(write_tfjs(), options());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->format, "tfjs");
  EXPECT_TRUE(report->was_run);
  const auto model = open_model(folder_.path() / "tiny-model");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->card.name, "tiny-model");
  EXPECT_EQ(model->card.inputs[0].shape, (inference::Shape{1, 2}));
  EXPECT_EQ(model->card.digest, *sha256_digest_of_file(folder_.path() / "tiny-model/model.onnx"));
}

TEST_F(Import, TakesAnOnnxFileAsItIs) {
  ASSERT_TRUE(import_model(write_tfjs(), options()));
  const auto first = folder_.path() / "tiny-model/model.onnx";
  auto again = options();
  again.target = folder_.path() / "copy";
  again.file_name = "copy.onnx";
  again.extra_files = {{"notes.txt", folder_.path() / "tiny.json"}};
  const auto report = import_model(first, again);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->format, "onnx");
  EXPECT_EQ(*read_file(folder_.path() / "copy/copy.onnx"), *read_file(first));
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "copy/notes.txt"));
}

TEST_F(Import, GivesTheSameBytesTwice) {
  ASSERT_TRUE(import_model(write_tfjs(), options()));
  const auto first = *read_file(folder_.path() / "tiny-model/card.json");
  ASSERT_TRUE(import_model(write_tfjs(), options()));
  EXPECT_EQ(*read_file(folder_.path() / "tiny-model/card.json"), first);
}

TEST_F(Import, RefusesWhatItCannotUse) {
  EXPECT_THAT(import_model(folder_.path() / "m.tflite", options()).error().message, HasSubstr("format is not known"));
  EXPECT_EQ(import_model(folder_.path() / "m.onnx", options()).error().code, ErrorCode::not_found);
  EXPECT_THAT(import_model(write_tfjs(), options({{"family", "audio"}})).error().message,
              HasSubstr("/task is missing"));
  auto card = simple_card;
  card["inputs"] = Json::parse(R"([{"name": "x", "shape": [1, 5]}])");
  EXPECT_THAT(import_model(write_tfjs(), options(card)).error().message,
              HasSubstr("input \"x\" is [1,2], the card says [1,5]"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "tiny-model")) << "nothing is left behind";
}

TEST_F(Import, ChecksTheCataloguesFiles) {
  EXPECT_THAT(import_from_catalogue("unheard-of", folder_.path(), folder_.path() / "out").error().message,
              HasSubstr("it has: nanodet-coco, moonshine-tiny, silero-vad"));
  EXPECT_EQ(import_from_catalogue("silero-vad", folder_.path(), folder_.path() / "out").error().code,
            ErrorCode::not_found);
  ASSERT_TRUE(write_file(folder_.path() / "silero_vad.onnx", "something else"));
  const auto report = import_from_catalogue("silero-vad", folder_.path(), folder_.path() / "out");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::corrupt);
  EXPECT_THAT(report.error().message, HasSubstr("fetch silero-vad 6.2.3 again"));
}

/// Every catalogue model that set-up has fetched.
TEST_F(Import, ImportsTheCatalogue) {
  const char* cache = std::getenv("VERGE_CACHE");
  int imported = 0;
  for (const auto& entry : catalogue()) {
    const auto files = std::filesystem::path(cache ? cache : "") / entry.folder;
    if (!cache || entry.kind != "model" || !std::filesystem::exists(files / "LICENSE")) continue;
    SCOPED_TRACE(entry.name);
    const auto report = import_from_catalogue(entry.name, files, folder_.path() / entry.name, false);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(std::filesystem::exists(folder_.path() / entry.name / "LICENSE"));
    const auto model = open_model(folder_.path() / entry.name);
    EXPECT_TRUE(model) << model.error().message;
    ++imported;
  }
  if (imported == 0) GTEST_SKIP() << "no models in $VERGE_CACHE";
}

}  // namespace
}  // namespace verge::models
