#include "agent/workload/workload_api.h"

#include <gtest/gtest.h>
#include <thread>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/http_client.h"
#include "base/json.h"

namespace verge::agent {
namespace {

class WorkloadTest : public testing::Test {
 protected:
  WorkloadTest()
      : folder_(std::filesystem::temp_directory_path() / ("vw-" + new_uuid().substr(0, 8))),
        authority_(make_authority("test").value()),
        api_(std::make_unique<WorkloadApi>(loop_, folder_, authority_, std::string(32, 's'))) {
    ModuleIdentity identity;
    identity.primary_key = to_base64("a key");
    VERGE_ASSERT(api_->serve({{"m", identity}, {"n", identity}}));
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~WorkloadTest() override {
    loop_.stop();
    thread_.join();
    api_.reset();
    std::filesystem::remove_all(folder_);
  }
  HttpResponse call(const char* method, const std::string& target, const Json& body = nullptr) const {
    HttpCall call;
    call.method = method;
    call.url = "http://workload" + target;
    call.unix_socket = api_->socket_of("m");
    if (!body.is_null()) call.body = to_text(body);  // Without a Content-Type, as the Python SDK does.
    return verge::fetch(call).value();
  }
  static Json json_of(const HttpResponse& response) { return parse_json(response.body).value(); }

  std::filesystem::path folder_;
  Loop loop_;
  KeyAndCertificate authority_;
  std::unique_ptr<WorkloadApi> api_;
  std::thread thread_;
};

TEST_F(WorkloadTest, GivesTheTrustBundle) {
  const auto response = call("GET", "/trust-bundle?api-version=2018-06-28");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(json_of(response)["certificate"], authority_.certificate_pem);
}

TEST_F(WorkloadTest, SignsWithTheModulesKey) {
  const auto response = call("POST", "/modules/m/genid/1/sign?api-version=2021-12-07",
                             {{"keyId", "primary"}, {"algo", "HMACSHA256"}, {"data", to_base64("host\n123")}});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(json_of(response)["digest"], to_base64(hmac_sha256("a key", "host\n123")));
}

TEST_F(WorkloadTest, RefusesToSignForAnother) {
  EXPECT_EQ(call("POST", "/modules/n/genid/1/sign", {{"data", to_base64("x")}}).status, 403);
}

TEST_F(WorkloadTest, AnswersNonsenseWithAMessage) {
  EXPECT_EQ(call("GET", "/nothing").status, 404);
  EXPECT_EQ(call("POST", "/modules/m/genid/1/dance", Json::object()).status, 404);
  EXPECT_EQ(call("POST", "/modules/m/genid/1/sign", {{"data", "***"}}).status, 400);
  const auto response = call("POST", "/modules/m/genid/1/sign", Json::array());
  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(json_of(response).contains("message"));
}

TEST_F(WorkloadTest, EncryptsAndDecrypts) {
  const Json sealed = json_of(call("POST", "/modules/m/genid/1/encrypt",
                                   {{"plaintext", to_base64("secret")}, {"initializationVector", to_base64("iv")}}));
  const Json opened = json_of(call("POST", "/modules/m/genid/1/decrypt",
                                   {{"ciphertext", sealed["ciphertext"]}, {"initializationVector", to_base64("iv")}}));
  EXPECT_EQ(opened["plaintext"], to_base64("secret"));
  EXPECT_EQ(call("POST", "/modules/m/genid/1/decrypt",
                 {{"ciphertext", sealed["ciphertext"]}, {"initializationVector", to_base64("other")}})
                .status,
            422);
}

TEST_F(WorkloadTest, MakesAServerCertificate) {
  const auto response = call("POST", "/modules/m/genid/1/certificate/server",
                             {{"commonName", "press"}, {"expiration", "2030-01-01T00:00:00Z"}});
  EXPECT_EQ(response.status, 201);
  EXPECT_TRUE(certificate_end_s(json_of(response)["certificate"].get<std::string>()));
}

TEST(Seal, HidesAndProtectsEverySize) {
  const std::string key(32, 'k');
  for (const std::size_t size : {0U, 1U, 31U, 32U, 33U, 1000U}) {
    const std::string plain(size, 'p');
    std::string sealed = seal(key, "v", plain);
    EXPECT_EQ(unseal(key, "v", sealed).value(), plain);
    EXPECT_FALSE(unseal(key, "w", sealed));
    EXPECT_FALSE(unseal(std::string(32, 'x'), "v", sealed));
    sealed[0] = static_cast<char>(sealed[0] ^ 1);
    EXPECT_FALSE(unseal(key, "v", sealed));
  }
  EXPECT_FALSE(unseal(key, "v", "short"));
}

}  // namespace
}  // namespace verge::agent
