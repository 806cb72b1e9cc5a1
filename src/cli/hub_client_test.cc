#include "cli/hub_client.h"

#include <gmock/gmock.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "cli/fake_hub_for_tests.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

HttpResponse echo(const HttpRequest& request) {
  return json_response({{"method", request.method},
                        {"target", request.target},
                        {"authorization", request.headers.get("Authorization")},
                        {"if_match", request.headers.get("If-Match")},
                        {"body", request.body}});
}

TEST(HubClient, SignsAndAddsTheVersionToAzuresPathsOnly) {
  const FakeHub hub(echo);
  const auto client = hub.client();
  const auto own = client.get("/api/v1/devices");
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(own->at("target"), "/api/v1/devices");
  EXPECT_THAT(own->at("authorization").get<std::string>(), StartsWith("SharedAccessSignature sr="));
  EXPECT_THAT(own->at("authorization").get<std::string>(), HasSubstr("skn=service"));
  EXPECT_THAT(client.get("/devices/a")->at("target").get<std::string>(), StartsWith("/devices/a?api-version="));
  EXPECT_THAT(client.get("/devices?top=5")->at("target").get<std::string>(), StartsWith("/devices?top=5&api-version="));
}

TEST(HubClient, SendsBodyAndIfMatch) {
  const FakeHub hub(echo);
  const auto answer = hub.client().call("PUT", "/devices/a", {{"deviceId", "a"}}, "\"*\"");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->at("method"), "PUT");
  EXPECT_EQ(answer->at("if_match"), "\"*\"");
  EXPECT_EQ(answer->at("body"), R"({"deviceId":"a"})");
}

TEST(HubClient, CallsMethodsOfModulesWithTheirNamesEncoded) {
  const FakeHub hub(echo);
  const auto answer = hub.client().call_method("dev/1", "$edgeAgent", "ping", Json::object());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->at("target").get<std::string>(), StartsWith("/twins/dev%2F1/modules/%24edgeAgent/methods?"));
  EXPECT_EQ(parse_json(answer->at("body").get<std::string>())->at("methodName"), "ping");
}

TEST(HubClient, AnErrorHasTheHubsWordsAndTheFittingCode) {
  const FakeHub hub([](const HttpRequest& request) {
    if (request.path == "/api/v1/empty") return HttpResponse{.status = 204};
    if (request.path == "/api/v1/garbage") return text_response("<html>");
    return hub_error(404, "there is no device nobody");
  });
  const auto client = hub.client();
  const auto missing = client.get("/api/v1/missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("there is no device nobody"));
  EXPECT_TRUE(client.get("/api/v1/empty")->is_null());
  EXPECT_FALSE(client.get("/api/v1/garbage"));
}

TEST(HubClient, NobodyThereIsUnavailable) {
  HubAddress address;
  {
    const FakeHub gone(echo);
    address = gone.client().address();
  }
  const auto answer = HubClient(address).get("/healthz");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
}

TEST(HubAddressFile, IsReadWithTheFilesItNames) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "connection.json";
  const auto missing = load_hub_address(file);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("verge up"));

  ASSERT_TRUE(write_file(folder.path() / "ca.pem", "PEM"));
  ASSERT_TRUE(write_file(
      file, R"({"host": "hub", "https_port": 9443, "connection_string": "HostName=hub", "ca_pem_file": "ca.pem"})"));
  const auto address = load_hub_address(file);
  ASSERT_TRUE(address) << address.error().message;
  EXPECT_EQ(address->host, "hub");
  EXPECT_EQ(address->https_port, 9443);
  EXPECT_EQ(address->mqtt_port, 8883);
  EXPECT_EQ(address->trust_pem, "PEM");
  EXPECT_FALSE(address->is_plain);

  ASSERT_TRUE(write_file(file, "{"));
  EXPECT_EQ(load_hub_address(file).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace verge::cli
