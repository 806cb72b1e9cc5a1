#include "cli/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/disk.h"
#include "base/temporary_folder.h"
#include "cli/fake_hub_for_tests.h"

namespace verge::cli {
namespace {

using ::testing::HasSubstr;

/// A module that keeps one file and gives it in pieces of 1000 bytes.
HttpResponse answer_piece(const HttpRequest& request, const std::string& digest, const std::string& content) {
  const Json body = *parse_json(request.body);
  const Json parameters = body.at("payload");
  const auto reply = [](int status, const Json& payload) {
    return json_response({{"status", status}, {"payload", payload}});
  };
  if (body.at("methodName") != "evidence") return hub_error(404, "no such method");
  if (!parameters.contains("digest")) return reply(200, {{"files", {{{"digest", digest}}}}});
  if (parameters.at("digest") != digest) return reply(404, {{"message", "it is not here"}});
  const auto offset = parameters.at("offset").get<std::size_t>();
  return reply(200, {{"bytes", content.size()}, {"data", to_base64(content.substr(offset, 1000))}});
}

TEST(Evidence, ComesInPiecesAndIsChecked) {
  const TemporaryFolder folder;
  const std::string content(2500, 'e');
  const std::string digest = sha256_digest(content);
  FakeHub hub([&](const HttpRequest& request) { return answer_piece(request, digest, content); });
  std::vector<std::uint64_t> steps;
  const auto bytes = fetch_evidence(hub.client(), {"door-1", "vision", digest.substr(7), folder.path() / "a.jpg"},
                                    [&](std::uint64_t done, std::uint64_t) { steps.push_back(done); });
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ(*bytes, 2500U);
  EXPECT_THAT(steps, ::testing::ElementsAre(1000, 2000, 2500));
  EXPECT_EQ(*read_file(folder.path() / "a.jpg"), content);
  EXPECT_EQ((*list_evidence(hub.client(), "door-1", "vision"))["files"][0]["digest"], digest);
}

TEST(Evidence, MistakesLeaveTheFileAsItWas) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.jpg";
  ASSERT_TRUE(write_file(file, "before"));
  const std::string digest = sha256_digest("another content");
  FakeHub hub([&](const HttpRequest& request) { return answer_piece(request, digest, "content"); });
  const auto fetch = [&](const std::string& wanted) {
    return fetch_evidence(hub.client(), {"door-1", "vision", wanted, file}, nullptr);
  };
  EXPECT_EQ(fetch("sha256:12").error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(fetch(sha256_digest("x")).error().message, HasSubstr("it is not here"));
  EXPECT_EQ(fetch(digest).error().code, ErrorCode::corrupt);
  EXPECT_EQ(*read_file(file), "before");
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".part"));
}

}  // namespace
}  // namespace verge::cli
