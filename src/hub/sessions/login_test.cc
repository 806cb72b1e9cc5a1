#include <algorithm>
#include <gmock/gmock.h>

#include "hub/test_hub.h"

namespace verge::hub {
namespace {

using testing::HasSubstr;

class Login : public testing::Test {
 protected:
  TestHub::Reply log_in(const std::string& user, const std::string& password) {
    return hub_.call("POST", "/api/v1/login", to_text({{"user", user}, {"password", password}}));
  }
  static std::string cookie(const TestHub::Reply& reply) {
    const std::string text(reply.headers.get("Set-Cookie"));
    return text.substr(0, text.find(';'));
  }
  TestHub hub_;
};

TEST_F(Login, OpensTheApiToAPerson) {
  EXPECT_EQ(hub_.call("GET", "/api/v1/me").status, 401);
  const auto in = log_in("admin", hub_.first_password());
  ASSERT_EQ(in.status, 200) << in.text;
  EXPECT_EQ(in.body["role"], "admin");
  const std::string attributes(in.headers.get("Set-Cookie"));
  for (const char* attribute : {"HttpOnly", "SameSite=Strict", "Secure"}) EXPECT_THAT(attributes, HasSubstr(attribute));
  EXPECT_EQ(hub_.call("GET", "/api/v1/me", "", {{"Cookie", cookie(in)}}).body["user"], "admin");
  EXPECT_EQ(hub_.call("GET", "/api/v1/devices", "", {{"Cookie", cookie(in)}}).status, 200);
  EXPECT_EQ(hub_.call("GET", "/api/v1/overview", "", {{"Cookie", cookie(in)}}).body["devices"]["total"], 0);
  EXPECT_EQ(hub_.call("POST", "/api/v1/logout", "", {{"Cookie", cookie(in)}, {"X-Verge", "1"}}).status, 204);
  EXPECT_EQ(hub_.call("GET", "/api/v1/me", "", {{"Cookie", cookie(in)}}).status, 401);
}

TEST_F(Login, RefusesChangesWithoutTheHeaderThatOtherSitesCannotSend) {
  const std::string in = cookie(log_in("admin", hub_.first_password()));
  EXPECT_EQ(hub_.call("PUT", "/devices/d", "{}", {{"Cookie", in}}).status, 403);
  EXPECT_EQ(hub_.call("PUT", "/devices/d", "{}", {{"Cookie", in}, {"X-Verge", "1"}}).status, 200);
  Json lines;
  const auto is_written = [&] {  // The audit log is written after the answer.
    lines = hub_.call("GET", "/api/v1/audit", "", {{"Cookie", in}}).body["lines"];
    return std::any_of(lines.begin(), lines.end(), [](const Json& line) {
      return line["who"] == "admin" && line["what"] == "PUT /devices/d" && line["outcome"] == "200";
    });
  };
  EXPECT_TRUE(eventually(is_written)) << lines;
}

TEST_F(Login, SlowsGuessing) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(log_in("admin", "guess").status, 401);
  EXPECT_EQ(log_in("admin", hub_.first_password()).status, 429);
  hub_.clock().advance_us(301'000'000);
  EXPECT_EQ(log_in("admin", hub_.first_password()).status, 200);
}

TEST_F(Login, ChangesThePassword) {
  const std::string first = hub_.first_password();
  const std::string in = cookie(log_in("admin", first));
  const auto change = [&](const std::string& old_one, const std::string& new_one) {
    return hub_
        .call("POST", "/api/v1/password", to_text({{"old", old_one}, {"new", new_one}}),
              {{"Cookie", in}, {"X-Verge", "1"}})
        .status;
  };
  EXPECT_EQ(change("wrong", "a longer password"), 400);
  EXPECT_EQ(change(first, "a longer password"), 204);
  EXPECT_EQ(log_in("admin", "a longer password").status, 200);
  EXPECT_FALSE(std::filesystem::exists(hub_.options().home / "first-password")) << "it is worth nothing any more";
}

TEST_F(Login, RefusesNonsense) {
  for (const char* body : {"", "x", "[]", "{}", R"({"user":1})", R"({"user":"a","password":[]})"}) {
    const int status = hub_.call("POST", "/api/v1/login", body).status;
    EXPECT_TRUE(status == 400 || status == 401) << body << " gave " << status;
  }
}

}  // namespace
}  // namespace verge::hub
