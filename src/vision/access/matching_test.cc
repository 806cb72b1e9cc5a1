#include "vision/access/matching.h"

#include <gtest/gtest.h>

#include "vision/access/test_people.h"

namespace verge::vision {
namespace {

using testing::face_of;
using testing::like;
using testing::person;
using testing::unit;

TEST(AccessMatching, TellsWhoItIs) {
  const std::vector<Person> people{person("Ada", 1), person("Grace", 2), person("Edith", 3)};
  const Match known = match(people, like(face_of(2), 7), {});
  EXPECT_EQ(known.kind, MatchKind::known);
  EXPECT_EQ(known.best->name, "Grace");
  EXPECT_GT(known.best_similarity, 0.95);
  EXPECT_LT(known.second_similarity, 0.65);
  const Match unknown = match(people, face_of(99), {});
  EXPECT_EQ(unknown.kind, MatchKind::unknown);
  EXPECT_NE(unknown.best, nullptr);
  EXPECT_EQ(match({}, face_of(1), {}).kind, MatchKind::nobody);
}

TEST(AccessMatching, TwoWhoAreAlikeAreNobody) {
  const std::vector<Person> twins{person("Ada", 1), person("Grace", 1)};
  const Match unsure = match(twins, face_of(1), {});
  EXPECT_EQ(unsure.kind, MatchKind::unsure);
  EXPECT_EQ(unsure.second == &twins[0] || unsure.second == &twins[1], true);
  EXPECT_EQ(match({twins[0]}, face_of(1), {}).kind, MatchKind::known);
}

TEST(AccessMatching, Similarity) {
  const Embedding x{1, 0, 0, 0, 0}, y{0, 0, 0, 0, 1};
  EXPECT_DOUBLE_EQ(similarity(x, x), 1);
  EXPECT_DOUBLE_EQ(similarity(x, y), 0);
  EXPECT_NEAR(similarity(middle_of({x, y}), x), std::sqrt(0.5), 1e-6);
  EXPECT_EQ(middle_of({x, unit({-1, 0, 0, 0, 0})}), x);
}

}  // namespace
}  // namespace verge::vision
