#include "packaging/registry_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <mutex>

#include "base/bytes.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/loop_for_tests.h"
#include "base/temporary_folder.h"
#include "packaging/image_builder.h"

namespace verge::packaging {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

HttpResponse answer(int status, std::string body = {}) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

/// A registry in memory with the faults that real ones show.
class FakeRegistry {
 public:
  FakeRegistry() {
    loop_.on_loop([this] {
      server_ = std::make_unique<HttpServer>(
          loop_.loop(),
          HttpServer::Handlers{.request = [this](HttpRequest request, Respond respond) { respond(handle(request)); },
                               .plan_body =
                                   [](const HttpRequest&) {
                                     return BodyPlan{64U << 20U, {}};
                                   }});
      port = *server_->listen({});
    });
  }
  ~FakeRegistry() {
    loop_.on_loop([this] { server_.reset(); });
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }

  std::uint16_t port = 0;
  std::mutex lock;
  std::map<std::string, std::string> blobs, manifests;  ///< By digest; by "name:version".
  std::map<std::string, std::string> types;
  std::vector<std::string> requests;
  std::string wanted_authorization, challenge;
  int failures = 0;           ///< So many answers are 503.
  std::size_t cut_after = 0;  ///< Blobs end after so many bytes, once.
  bool ignores_ranges = false, spoils_blobs = false;

 private:
  HttpResponse handle(const HttpRequest& request) {
    const std::lock_guard guard(lock);
    requests.push_back(request.method + " " + request.path);
    if (failures > 0) {
      --failures;
      return answer(503, "busy");
    }
    if (request.path == "/token") {
      EXPECT_EQ(request.query.at("scope"), "repository:verge/vision:pull");
      return json_response({{"token", request.headers.get("Authorization") == "Basic dTpw" ? "good" : "bad"}});
    }
    if (!wanted_authorization.empty() && request.headers.get("Authorization") != wanted_authorization) {
      auto response = answer(401, "who are you?");
      response.headers.set("WWW-Authenticate", challenge);
      return response;
    }
    const auto parts = request.segments();
    const auto& last = parts.back();
    if (parts[parts.size() - 2] == "manifests") return handle_manifest(request, last);
    if (request.path.ends_with("/blobs/uploads/") || request.path.ends_with("/blobs/uploads")) {
      auto response = answer(202);
      response.headers.set("Location", "/v2/verge/vision/blobs/uploads/1?state=x");
      return response;
    }
    if (request.method == "PUT") {
      blobs[request.query.at("digest")] = request.body;
      return answer(201);
    }
    return handle_blob(request, last);
  }

  HttpResponse handle_manifest(const HttpRequest& request, const std::string& version) {
    if (request.method == "PUT") {
      manifests[version] = manifests[sha256_digest(request.body)] = request.body;
      types[version] = types[sha256_digest(request.body)] = request.headers.get("Content-Type");
      return answer(201);
    }
    if (!manifests.contains(version)) return answer(404, R"({"errors": [{"code": "MANIFEST_UNKNOWN"}]})");
    auto response = answer(200, manifests[version]);
    response.headers.set("Content-Type", types[version]);
    return response;
  }

  HttpResponse handle_blob(const HttpRequest& request, const std::string& digest) {
    if (!blobs.contains(digest)) return answer(404);
    auto bytes = blobs[digest];
    if (request.method == "HEAD") return answer(200);
    if (spoils_blobs) bytes[0] = static_cast<char>(~bytes[0]);
    const auto range = std::string(request.headers.get("Range"));
    if (!range.empty()) requests.push_back(range);
    const std::size_t start = range.empty() || ignores_ranges ? 0 : std::stoul(range.substr(6));
    bytes = bytes.substr(start);
    if (cut_after > 0 && bytes.size() > cut_after) {
      bytes = bytes.substr(0, cut_after);
      cut_after = 0;
    }
    return answer(range.empty() || ignores_ranges ? 200 : 206, bytes);
  }

  LoopThread loop_;
  std::unique_ptr<HttpServer> server_;
};

class RegistryClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LayerWriter base, top;
    ASSERT_TRUE(base.add_bytes("/base", random_bytes(300'000)));
    ASSERT_TRUE(top.add_bytes("/top", "top"));
    Image image;
    image.layers = {*base.write(store_), *top.write(store_)};
    manifest_ = *write_image(store_, image);
    layer_ = image.layers[0].descriptor;
  }
  RegistryOptions options() {
    RegistryOptions made;
    made.url = registry_.url();
    made.retry_delay = std::chrono::milliseconds(1);
    return made;
  }
  RegistryClient client() { return RegistryClient(options()); }
  void push() {
    const auto digest = client().push(store_, manifest_.digest, "verge/vision", "1");
    ASSERT_TRUE(digest) << digest.error().message;
    registry_.requests.clear();
  }

  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(folder_.path() / "here");
  BlobStore other_ = *BlobStore::open(folder_.path() / "there");
  FakeRegistry registry_;
  Descriptor manifest_, layer_;
};

TEST_F(RegistryClientTest, PushesAndPulls) {
  auto with_progress = options();
  std::map<std::string, std::uint64_t> done;
  with_progress.progress = [&](const Descriptor& blob, std::uint64_t bytes) { done[blob.digest] = bytes; };
  const auto digest = RegistryClient(with_progress).push(store_, manifest_.digest, "verge/vision", "1");
  ASSERT_TRUE(digest) << digest.error().message;
  EXPECT_EQ(*digest, manifest_.digest);
  EXPECT_EQ(done.at(layer_.digest), layer_.size_bytes);
  EXPECT_EQ(registry_.requests.back(), "PUT /v2/verge/vision/manifests/1") << "the manifest comes last";

  const auto image = client().pull(other_, "verge/vision", "1");
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->manifest.digest, manifest_.digest);
  EXPECT_GT(image->fetched_bytes, 300'000U);
  EXPECT_TRUE(read_image(other_, manifest_.digest));
  EXPECT_TRUE(other_.read(layer_.digest));
  EXPECT_EQ(client().resolve("verge/vision", "1")->digest, manifest_.digest);
  EXPECT_EQ(client().pull(other_, "verge/vision", manifest_.digest)->fetched_bytes, 0U) << "all there already";
}

TEST_F(RegistryClientTest, SendsOnlyWhatIsMissing) {
  push();
  ASSERT_TRUE(client().push(store_, manifest_.digest, "verge/vision", "2"));
  for (const auto& request : registry_.requests) EXPECT_THAT(request, Not(HasSubstr("uploads")));
}

TEST_F(RegistryClientTest, GoesOnAfterACut) {
  push();
  registry_.cut_after = 100'000;
  const auto image = client().pull(other_, "verge/vision", "1");
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_THAT(registry_.requests, Contains("bytes=100000-"));
  EXPECT_TRUE(other_.read(layer_.digest));
}

TEST_F(RegistryClientTest, StartsOverWhenRangesAreIgnored) {
  push();
  registry_.cut_after = 100'000;
  registry_.ignores_ranges = true;
  const auto image = client().pull(other_, "verge/vision", "1");
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_TRUE(other_.read(layer_.digest));
}

TEST_F(RegistryClientTest, RefusesAWrongBlob) {
  push();
  registry_.spoils_blobs = true;
  const auto image = client().pull(other_, "verge/vision", "1");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::corrupt);
  EXPECT_THAT(other_.digests(), IsEmpty());
  registry_.spoils_blobs = false;
  EXPECT_TRUE(client().pull(other_, "verge/vision", "1")) << "nothing wrong was kept";
}

TEST_F(RegistryClientTest, RefusesAWrongManifest) {
  push();
  registry_.manifests[manifest_.digest] += " ";
  EXPECT_EQ(client().pull(other_, "verge/vision", manifest_.digest).error().code, ErrorCode::corrupt);
}

TEST_F(RegistryClientTest, TriesAgainWithAnEnd) {
  push();
  registry_.failures = 3;
  EXPECT_TRUE(client().pull(other_, "verge/vision", "1"));
  registry_.failures = 100;
  const auto image = client().resolve("verge/vision", "1");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::unavailable);
  EXPECT_EQ(registry_.failures, 96) << "four attempts";
}

TEST_F(RegistryClientTest, AnswersBasicChallenges) {
  push();
  registry_.wanted_authorization = "Basic dTpw";
  registry_.challenge = "Basic realm=\"hub\"";
  const auto refused = client().resolve("verge/vision", "1");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("who are you?"));
  auto known = options();
  known.credential = [] { return Result<RegistryCredential>({"u", "p", ""}); };
  EXPECT_TRUE(RegistryClient(known).pull(other_, "verge/vision", "1"));
  known.credential = [] { return Result<RegistryCredential>(Error{ErrorCode::unavailable, "no key yet"}); };
  EXPECT_THAT(RegistryClient(known).resolve("verge/vision", "1").error().message, HasSubstr("no key yet"));
}

TEST_F(RegistryClientTest, FetchesTokens) {
  push();
  registry_.wanted_authorization = "Bearer good";
  registry_.challenge =
      "Bearer realm=\"" + registry_.url() + "/token\",service=\"s\",scope=\"repository:verge/vision:pull\"";
  auto known = options();
  known.credential = [] { return Result<RegistryCredential>({"u", "p", ""}); };
  const auto image = RegistryClient(known).pull(other_, "verge/vision", "1");
  EXPECT_TRUE(image) << image.error().message;
  known.credential = [] { return Result<RegistryCredential>({"", "", "good"}); };
  EXPECT_TRUE(RegistryClient(known).resolve("verge/vision", "1")) << "a ready token is sent as it is";
  registry_.challenge = "Bearer realm=\"http://elsewhere.invalid/token\"";
  known.credential = [] { return Result<RegistryCredential>({"u", "p", ""}); };
  EXPECT_THAT(RegistryClient(known).resolve("verge/vision", "1").error().message, HasSubstr("not https"));
}

TEST_F(RegistryClientTest, ChoosesThePlatform) {
  push();
  Index index;
  index.manifests = {{std::string(media_types::manifest),
                      manifest_.digest,
                      manifest_.size_bytes,
                      {},
                      Platform{"arm64", "linux", "v8"}}};
  registry_.manifests["many"] = to_text(to_json(index));
  registry_.types["many"] = media_types::index;
  EXPECT_EQ(client().pull(other_, "verge/vision", "many", {"arm64", "linux", ""})->manifest.digest, manifest_.digest);
  const auto missing = client().pull(other_, "verge/vision", "many", {"amd64", "linux", ""});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("no image for linux/amd64"));
}

TEST_F(RegistryClientTest, SaysWhatIsNotThere) {
  const auto image = client().pull(other_, "verge/vision", "7");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::not_found);
  EXPECT_THAT(image.error().message, HasSubstr("fetch the manifest of verge/vision:7"));
  EXPECT_EQ(client().push(store_, "sha256:" + std::string(64, '0'), "a", "1").error().code, ErrorCode::not_found);
  auto nobody = options();
  nobody.url = "http://127.0.0.1:1";
  nobody.attempts_max = 2;
  EXPECT_EQ(RegistryClient(nobody).resolve("a", "1").error().code, ErrorCode::unavailable);
}

TEST_F(RegistryClientTest, CanBeCancelled) {
  push();
  registry_.failures = 100;
  auto cancelled = options();
  cancelled.is_cancelled = [] { return true; };
  EXPECT_FALSE(RegistryClient(cancelled).pull(other_, "verge/vision", "1"));
  EXPECT_GE(registry_.failures, 99) << "no second attempt";
}

}  // namespace
}  // namespace verge::packaging
