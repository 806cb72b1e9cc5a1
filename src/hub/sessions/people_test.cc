#include "hub/sessions/people.h"

#include <gtest/gtest.h>

#include "base/crypto.h"

namespace verge::hub {
namespace {

constexpr const char* kPassword = "correct horse";
constexpr const char* kAddress = "10.0.0.1:5000";

class PeopleTest : public testing::Test {
 protected:
  PeopleTest() {
    auto opened = storage::Database::open(":memory:", People::migrations());
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    database_ = *std::move(opened);
    open();
    static const std::string kHash = hash_password(kPassword);  // Once: it takes a while by design.
    EXPECT_TRUE(database_->execute("INSERT INTO people (user, password, role) VALUES ('admin', ?, 'admin')", {kHash}));
  }
  void open(PeopleLimits limits = {}) { people_ = *People::open(*database_, clock_, limits); }

  ManualClock clock_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<People> people_;
};

TEST_F(PeopleTest, LogsInAndOut) {
  const auto in = people_->log_in("admin", kPassword, kAddress);
  ASSERT_TRUE(in) << in.error().message;
  EXPECT_EQ(in->person.role, Role::admin);
  ASSERT_TRUE(people_->find(in->token));
  EXPECT_EQ(people_->find(in->token)->user, "admin");
  EXPECT_FALSE(people_->find(in->token + "0"));
  EXPECT_FALSE(people_->find(std::string(64, '0')));
  ASSERT_TRUE(people_->log_out(in->token));
  EXPECT_FALSE(people_->find(in->token));
}

TEST_F(PeopleTest, SaysNotWhetherUserOrPasswordIsWrong) {
  const auto wrong_password = people_->log_in("admin", "wrong", kAddress);
  const auto wrong_user = people_->log_in("nobody", kPassword, kAddress);
  ASSERT_FALSE(wrong_password);
  ASSERT_FALSE(wrong_user);
  EXPECT_EQ(wrong_password.error().message, wrong_user.error().message);
}

TEST_F(PeopleTest, ClosesTheDoorAfterTenFailures) {
  open({.failures_max = 3});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(people_->log_in("admin", "wrong", kAddress).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(people_->log_in("admin", kPassword, "10.0.0.2:1").error().code, ErrorCode::limit)
      << "the user, from anywhere";
  EXPECT_EQ(people_->log_in("other", kPassword, "10.0.0.1:77").error().code, ErrorCode::limit)
      << "the address, any port";
  clock_.advance_us(PeopleLimits{}.failure_window_us + 1);
  EXPECT_TRUE(people_->log_in("admin", kPassword, kAddress));
}

TEST_F(PeopleTest, SessionsEndByTimeAndSurviveARestart) {
  const auto in = people_->log_in("admin", kPassword, kAddress);
  open();
  EXPECT_TRUE(people_->find(in->token));
  clock_.advance_us(PeopleLimits{}.session_age_us_max);
  EXPECT_FALSE(people_->find(in->token));
}

TEST_F(PeopleTest, BoundsSessions) {
  open({.sessions_max = 2});
  const auto first = people_->log_in("admin", kPassword, kAddress);
  for (int i = 0; i < 2; ++i) {
    clock_.advance_us(1);
    ASSERT_TRUE(people_->log_in("admin", kPassword, kAddress));
  }
  EXPECT_FALSE(people_->find(first->token));
}

TEST_F(PeopleTest, ChangingThePasswordEndsOtherSessions) {
  const auto here = people_->log_in("admin", kPassword, kAddress);
  const auto there = people_->log_in("admin", kPassword, kAddress);
  EXPECT_FALSE(people_->change_password("admin", "wrong", "a new password", here->token, kAddress));
  EXPECT_FALSE(people_->change_password("admin", kPassword, "short", here->token, kAddress));
  ASSERT_TRUE(people_->change_password("admin", kPassword, "a new password", here->token, kAddress));
  EXPECT_TRUE(people_->find(here->token));
  EXPECT_FALSE(people_->find(there->token));
  EXPECT_FALSE(people_->log_in("admin", kPassword, kAddress));
  EXPECT_TRUE(people_->log_in("admin", "a new password", kAddress));
}

TEST_F(PeopleTest, AreListedChangedAndRemoved) {
  EXPECT_TRUE(*people_->put("eve", {.password = kPassword, .role = Role::viewer}));
  ASSERT_EQ(people_->list()->size(), 2U);
  EXPECT_EQ((*people_->list())[1].user, "eve");
  const auto in = people_->log_in("eve", kPassword, kAddress);
  ASSERT_TRUE(in) << in.error().message;
  EXPECT_EQ(people_->find(in->token)->role, Role::viewer);
  EXPECT_FALSE(*people_->put("eve", {.password = {}, .role = Role::operator_}));
  EXPECT_EQ(people_->find(in->token)->role, Role::operator_) << "a role counts at once";
  EXPECT_FALSE(*people_->put("eve", {.password = "another password", .role = {}}));
  EXPECT_FALSE(people_->find(in->token)) << "a new password ends sessions";
  EXPECT_FALSE(people_->log_in("eve", kPassword, kAddress));
  const auto again = people_->log_in("eve", "another password", kAddress);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->person.role, Role::operator_);
  ASSERT_TRUE(people_->remove("eve"));
  EXPECT_FALSE(people_->find(again->token));
  open();
  EXPECT_FALSE(people_->find(again->token));
  EXPECT_FALSE(people_->log_in("eve", "another password", kAddress));
  EXPECT_EQ(people_->remove("eve").error().code, ErrorCode::not_found);
  EXPECT_EQ(people_->get("eve").error().code, ErrorCode::not_found);
}

TEST_F(PeopleTest, ThereIsAlwaysAnAdministrator) {
  EXPECT_EQ(people_->remove("admin").error().code, ErrorCode::conflict);
  EXPECT_EQ(people_->put("admin", {.password = {}, .role = Role::viewer}).error().code, ErrorCode::conflict);
  EXPECT_FALSE(*people_->put("admin", {.password = {}, .role = Role::admin}));
  ASSERT_TRUE(people_->put("grace", {.password = kPassword, .role = Role::admin}));
  EXPECT_FALSE(*people_->put("admin", {.password = {}, .role = Role::viewer}));
  EXPECT_EQ(people_->remove("grace").error().code, ErrorCode::conflict);
  EXPECT_TRUE(people_->remove("admin"));
}

TEST_F(PeopleTest, SomebodyNewNeedsANameAPasswordAndARole) {
  const auto code = [&](const std::string& user, const People::Change& change) {
    const auto done = people_->put(user, change);
    return done ? std::string("fine") : done.error().message;
  };
  EXPECT_NE(code("eve", {.password = {}, .role = Role::viewer}).find("send both"), std::string::npos);
  EXPECT_NE(code("eve", {.password = kPassword, .role = {}}).find("send both"), std::string::npos);
  EXPECT_NE(code("eve", {.password = "short", .role = Role::viewer}).find("10 to 1024"), std::string::npos);
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a/b"), std::string(65, 'a')}) {
    EXPECT_NE(code(name, {.password = kPassword, .role = Role::viewer}).find("a person's name"), std::string::npos)
        << name;
  }
}

TEST_F(PeopleTest, RefusesASecondPersonOfTheSameName) {
  EXPECT_EQ(people_->add("admin", kPassword, Role::viewer).error().code, ErrorCode::conflict);
  EXPECT_FALSE(people_->add("eve", "short", Role::viewer));
}

}  // namespace
}  // namespace verge::hub
