#include "hub/images/registry_calls.h"

#include <gmock/gmock.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "hub/test_hub.h"

namespace verge::hub {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

class RegistryCallsTest : public testing::Test {
 protected:
  std::string basic() const { return "Basic " + to_base64("iothubowner:" + hub_.owner_token()); }
  TestHub::Reply call(const std::string& method, const std::string& path, const std::string& body = {},
                      Headers headers = {}) const {
    headers.emplace_back("Authorization", basic());
    return hub_.call(method, path, body, headers);
  }
  /// In two pieces, as clients with large layers do.
  std::string push(const std::string& repository, const std::string& bytes) const {
    const auto begun = call("POST", "/v2/" + repository + "/blobs/uploads/");
    EXPECT_EQ(begun.status, 202) << begun.text;
    const std::string where(begun.headers.get("Location"));
    const std::size_t half = bytes.size() / 2;
    EXPECT_EQ(call("PATCH", where, bytes.substr(0, half), {{"Content-Range", "0-" + std::to_string(half - 1)}}).status,
              202);
    const std::string digest = sha256_digest(bytes);
    const auto done = call("PUT", where + "?digest=" + digest, bytes.substr(half));
    EXPECT_EQ(done.status, 201) << done.text;
    return digest;
  }
  TestHub hub_;
};

TEST_F(RegistryCallsTest, PushesAndPullsAnImage) {
  EXPECT_EQ(call("GET", "/v2/").status, 200);
  const std::string config = push("team/app", "{\"os\":\"linux\"}");
  const std::string layer = push("team/app", std::string(300'000, 'l'));
  const std::string manifest =
      to_text({{"schemaVersion", 2}, {"config", {{"digest", config}}}, {"layers", {{{"digest", layer}}}}});
  const std::string type = "application/vnd.oci.image.manifest.v1+json";
  EXPECT_EQ(call("HEAD", "/v2/team/app/blobs/" + layer).status, 200);
  const auto put = call("PUT", "/v2/team/app/manifests/1.0", manifest, {{"Content-Type", type}});
  ASSERT_EQ(put.status, 201) << put.text;
  const std::string digest(put.headers.get("Docker-Content-Digest"));
  EXPECT_EQ(digest, sha256_digest(manifest));
  for (const auto& reference : {std::string("1.0"), digest}) {
    const auto got = call("GET", "/v2/team/app/manifests/" + reference);
    EXPECT_EQ(got.text, manifest);
    EXPECT_EQ(got.headers.get("Content-Type"), type);
  }
  EXPECT_EQ(call("HEAD", "/v2/team/app/manifests/1.0").headers.get("Docker-Content-Digest"), digest);
  EXPECT_EQ(call("GET", "/v2/team/app/blobs/" + layer).text, std::string(300'000, 'l'));
  const auto part = call("GET", "/v2/team/app/blobs/" + config, {}, {{"Range", "bytes=1-4"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.text, "\"os\"");
  EXPECT_EQ(call("GET", "/v2/team/app/tags/list").body["tags"], Json({"1.0"}));
  EXPECT_EQ(call("GET", "/v2/_catalog").body["repositories"], Json({"team/app"}));
  const auto mounted = call("POST", "/v2/other/blobs/uploads/?mount=" + layer + "&from=team/app");
  EXPECT_EQ(mounted.status, 201) << mounted.text;
  EXPECT_EQ(call("HEAD", "/v2/other/blobs/" + layer).status, 200);
}

TEST_F(RegistryCallsTest, TakesAWholeBlobInOneRequest) {
  const std::string digest = sha256_digest("whole");
  EXPECT_EQ(call("POST", "/v2/app/blobs/uploads/?digest=" + digest, "whole").status, 201);
  EXPECT_EQ(call("GET", "/v2/app/blobs/" + digest).text, "whole");
}

TEST_F(RegistryCallsTest, RefusesWhatDoesNotFit) {
  const std::string where(call("POST", "/v2/app/blobs/uploads/").headers.get("Location"));
  EXPECT_EQ(call("PATCH", where, "abc", {{"Content-Range", "7-9"}}).status, 416);
  EXPECT_EQ(call("PATCH", where, "abc", {{"Content-Range", "0-2"}}).status, 202);
  EXPECT_EQ(call("GET", where).headers.get("Range"), "0-2");
  EXPECT_EQ(call("PUT", where + "?digest=" + sha256_digest("other")).status, 400) << "wrong digest";
  EXPECT_EQ(call("PUT", where + "?digest=" + sha256_digest("abc")).status, 404) << "the upload is gone";
  EXPECT_EQ(call("GET", "/v2/app/blobs/" + sha256_digest("abc")).status, 404);
  const std::string manifest = to_text({{"config", {{"digest", sha256_digest("absent")}}}, {"layers", Json::array()}});
  EXPECT_EQ(call("PUT", "/v2/app/manifests/1", manifest).body["errors"][0]["code"], "MANIFEST_BLOB_UNKNOWN");
  EXPECT_EQ(call("PUT", "/v2/app/manifests/1", "nonsense").body["errors"][0]["code"], "MANIFEST_INVALID");
  EXPECT_EQ(call("GET", "/v2/app/manifests/1").body["errors"][0]["code"], "MANIFEST_UNKNOWN");
  EXPECT_EQ(call("POST", "/v2/App/blobs/uploads/").status, 404);
  EXPECT_EQ(call("GET", "/v2/app/blobs/..%2F..%2Fhub.db").status, 404);
}

TEST_F(RegistryCallsTest, DevicesPullAndDoNotPush) {
  const std::string digest = push("app", "layer");
  const std::string key = hub_.create_device("d");
  const Headers device{{"Authorization", "Basic " + to_base64("d:" + hub_.device_token({"d", ""}, key))}};
  EXPECT_EQ(hub_.call("GET", "/v2/app/blobs/" + digest, "", device).text, "layer");
  EXPECT_EQ(hub_.call("POST", "/v2/app/blobs/uploads/", "", device).status, 401);
  const auto nobody = hub_.call("GET", "/v2/");
  EXPECT_EQ(nobody.status, 401);
  EXPECT_THAT(std::string(nobody.headers.get("WWW-Authenticate")), testing::StartsWith("Basic"));
  EXPECT_EQ(hub_.call("PUT", "/v2/app/manifests/1", std::string(100'000, 'x'), device).status, 413) << "not even read";
}

}  // namespace
}  // namespace verge::hub
