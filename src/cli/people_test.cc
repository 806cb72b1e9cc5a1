#include "cli/people.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <sstream>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "cli/fake_hub_for_tests.h"

namespace verge::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PeopleOfTheHub, APasswordIsTheFirstLine) {
  const auto read = [](const std::string& text) {
    std::istringstream input(text);
    return read_password_line(input, "it");
  };
  EXPECT_EQ(*read("correct horse\nmore"), "correct horse");
  EXPECT_EQ(*read("correct horse"), "correct horse");
  EXPECT_EQ(*read(" correct horse \r\n"), " correct horse ");
  EXPECT_THAT(read("\nlater").error().message, HasSubstr("the first line of it is empty"));
  EXPECT_EQ(read(std::string(1025, 'x')).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(read(std::string(1024, 'x'))->size(), 1024U);
}

TEST(PeopleOfTheHub, APasswordComesFromAFile) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "p", "correct horse\n"));
  EXPECT_EQ(*ask_password("grace", folder.path() / "p"), "correct horse");
  EXPECT_EQ(ask_password("grace", folder.path() / "none").error().code, ErrorCode::not_found);
}

TEST(PeopleOfTheHub, AreAddedListedAndRemoved) {
  std::mutex mutex;
  std::vector<std::string> calls;
  const FakeHub fake([&](const HttpRequest& request) {
    const std::lock_guard lock(mutex);
    calls.push_back(request.method + " " + request.path + " " + request.body);
    if (request.path == "/api/v1/people") return json_response({{"people", {{{"user", "admin"}, {"role", "admin"}}}}});
    if (request.method == "PUT") return json_response({{"user", "grace"}, {"role", "viewer"}}, 201);
    if (request.path == "/api/v1/people/admin" && request.method == "GET") {
      return json_response({{"user", "admin"}, {"role", "admin"}});
    }
    if (request.path == "/api/v1/people/admin") return hub_error(409, "\"admin\" is the only administrator");
    return hub_error(404, "there is nobody called \"grace\"");
  });
  const HubClient hub = fake.client();
  EXPECT_EQ((*list_hub_people(hub))[0]["role"], "admin");
  EXPECT_EQ((*add_hub_person(hub, "grace", "viewer", "correct horse"))["role"], "viewer");
  EXPECT_THAT(add_hub_person(hub, "admin", "viewer", "correct horse").error().message,
              HasSubstr("with the role admin"));
  EXPECT_EQ(remove_hub_person(hub, "admin").error().code, ErrorCode::conflict);
  EXPECT_EQ(remove_hub_person(hub, "grace").error().code, ErrorCode::not_found);
  EXPECT_THAT(calls,
              ElementsAre("GET /api/v1/people ", "GET /api/v1/people/grace ",
                          "PUT /api/v1/people/grace {\"password\":\"correct horse\",\"role\":\"viewer\"}",
                          "GET /api/v1/people/admin ", "DELETE /api/v1/people/admin ", "DELETE /api/v1/people/grace "));
}

}  // namespace
}  // namespace verge::cli
