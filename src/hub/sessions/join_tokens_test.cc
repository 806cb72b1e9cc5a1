#include "hub/sessions/join_tokens.h"

#include <gtest/gtest.h>

namespace verge::hub {
namespace {

class JoinTokensTest : public testing::Test {
 protected:
  ManualClock clock_;
  std::unique_ptr<storage::Database> database_ = *storage::Database::open(":memory:", JoinTokens::migrations());
  JoinTokens tokens_{*database_, clock_};
};

TEST_F(JoinTokensTest, AreGoodForOneUse) {
  const auto made = tokens_.make("", 10);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->expires_us, clock_.now_us() + 600'000'000);
  EXPECT_EQ(*tokens_.spend(made->token, "any"), "");
  EXPECT_FALSE(tokens_.spend(made->token, "any"));
}

TEST_F(JoinTokensTest, MayBeForOneDevice) {
  const auto made = tokens_.make("press-4", 10);
  EXPECT_FALSE(tokens_.spend(made->token, "press-5"));
  EXPECT_EQ(*tokens_.spend(made->token, "press-4"), "press-4");
}

TEST_F(JoinTokensTest, End) {
  const auto made = tokens_.make("", 1);
  clock_.advance_us(60'000'000);
  EXPECT_FALSE(tokens_.spend(made->token, "d"));
}

TEST_F(JoinTokensTest, RefuseNonsense) {
  EXPECT_FALSE(tokens_.make("", 0));
  EXPECT_FALSE(tokens_.make("", JoinTokens::minutes_max + 1));
  EXPECT_FALSE(tokens_.spend("", "d"));
  EXPECT_FALSE(tokens_.spend("' OR 1 --", "d"));
}

}  // namespace
}  // namespace verge::hub
