#include "pipeline/nearest_word.h"

#include <gtest/gtest.h>

namespace verge::pipeline {
namespace {

TEST(NearestWord, CountsEdits) {
  const struct {
    const char *a, *b;
    std::size_t edits;
  } cases[] = {{"", "", 0},
               {"", "abc", 3},
               {"detect", "detect", 0},
               {"detetc", "detect", 1},
               {"dtect", "detect", 1},
               {"detecct", "detect", 1},
               {"zone", "line", 2}};
  for (const auto& c : cases) EXPECT_EQ(edit_distance(c.a, c.b), c.edits) << c.a << " " << c.b;
}

TEST(NearestWord, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> allowed{"detect", "track", "zone"};
  EXPECT_EQ(nearest_word("detcet", allowed), "detect");
  EXPECT_EQ(nearest_word("tracker", allowed), "track");
  EXPECT_EQ(nearest_word("banana", allowed), "");
  EXPECT_EQ(nearest_word(std::string(1000, 'x'), allowed), "");
  EXPECT_EQ(suggestion("zon", allowed), "; did you mean \"zone\"? Allowed: detect, track, zone");
  EXPECT_EQ(suggestion("banana", {}), ". Allowed: nothing");
}

}  // namespace
}  // namespace verge::pipeline
