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

TEST_F(Login, AnAdministratorAddsAViewerWhoOnlyLooks) {
  const std::string admin = cookie(log_in("admin", hub_.first_password()));
  const auto as = [&](const std::string& who, const std::string& method, const std::string& target,
                      const Json& body = nullptr) {
    return hub_.call(method, target, body.is_null() ? std::string() : to_text(body),
                     {{"Cookie", who}, {"X-Verge", "1"}, {"Content-Type", "application/json"}});
  };
  hub_.create_device("d");
  const auto added = as(admin, "PUT", "/api/v1/people/eve", {{"password", "correct horse"}, {"role", "viewer"}});
  EXPECT_EQ(added.status, 201) << added.text;
  EXPECT_EQ(added.body, (Json{{"user", "eve"}, {"role", "viewer"}}));
  const auto in = log_in("eve", "correct horse");
  ASSERT_EQ(in.status, 200) << in.text;
  const std::string viewer = cookie(in);
  EXPECT_EQ(as(viewer, "GET", "/api/v1/devices").status, 200);
  EXPECT_EQ(as(viewer, "GET", "/twins/d").status, 200);
  const Json patch = {{"properties", {{"desired", {{"a", 1}}}}}};
  EXPECT_EQ(as(viewer, "PATCH", "/twins/d", patch).status, 403);
  EXPECT_EQ(as(viewer, "GET", "/api/v1/people").status, 403);
  EXPECT_EQ(as(viewer, "PUT", "/api/v1/people/eve", {{"role", "admin"}}).status, 403);
  EXPECT_EQ(as(viewer, "DELETE", "/api/v1/people/admin").status, 403);
  EXPECT_EQ(as(admin, "PUT", "/api/v1/people/eve", {{"role", "operator"}}).body["role"], "operator");
  EXPECT_EQ(as(viewer, "PATCH", "/twins/d", patch).status, 200) << "the role counts in the same session";
  EXPECT_EQ(as(admin, "GET", "/api/v1/people").body["people"].size(), 2U);
  EXPECT_EQ(as(admin, "PUT", "/api/v1/people/eve", {{"role", "king"}}).status, 400);
  EXPECT_EQ(as(admin, "DELETE", "/api/v1/people/admin").status, 409);
  EXPECT_EQ(as(admin, "DELETE", "/api/v1/people/eve").status, 204);
  EXPECT_EQ(as(viewer, "GET", "/api/v1/me").status, 401);
  EXPECT_EQ(as(admin, "DELETE", "/api/v1/people/eve").status, 404);
  EXPECT_EQ(as(admin, "GET", "/api/v1/people/eve").status, 404);
}

TEST_F(Login, OnlyTheOwnersKeyAddsPeople) {
  const Json body = {{"password", "correct horse"}, {"role", "admin"}};
  EXPECT_EQ(hub_.call("GET", "/api/v1/people").status, 401);
  EXPECT_EQ(hub_.owner("PUT", "/api/v1/people/grace", body).status, 201);
  EXPECT_EQ(hub_.owner("GET", "/api/v1/people/grace").body["role"], "admin");
  EXPECT_EQ(hub_.owner("DELETE", "/api/v1/people/grace").status, 204);
  const auto key = hub_.create_device("d");
  EXPECT_EQ(
      hub_.call("PUT", "/api/v1/people/grace", to_text(body), {{"Authorization", hub_.device_token({"d", ""}, key)}})
          .status,
      403);
}

TEST_F(Login, RefusesNonsense) {
  for (const char* body : {"", "x", "[]", "{}", R"({"user":1})", R"({"user":"a","password":[]})"}) {
    const int status = hub_.call("POST", "/api/v1/login", body).status;
    EXPECT_TRUE(status == 400 || status == 401) << body << " gave " << status;
  }
}

}  // namespace
}  // namespace verge::hub
