#include "contract/sas.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace verge::contract {
namespace {

// Signatures by Python 3.11: base64(hmac.new(key, f"{sr}\n{se}", sha256)), key = bytes 0 to 31.
constexpr std::string_view kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr std::string_view kOtherKey = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr std::int64_t kEnd = 1'700'003'600;

TEST(Sas, TokensOfOthersVerify) {
  struct Row {
    std::string behaviour, text, resource, policy;
  };
  const Row rows[] = {
      {"device",
       "SharedAccessSignature sr=localhost%2Fdevices%2Fd1&sig=M5JJVyITwN8a%2FrsotDvl0ZmmWCN1kht5iotJrrz%2F0Mg%3D&"
       "se=1700003600",
       "localhost/devices/d1", ""},
      {"module, another order",
       "SharedAccessSignature sig=iRVQQashZ6yjQWoEACoN8IY1ycFRVOGVNBXnlGFMSgE%3D&se=1700003600&"
       "sr=localhost%2Fdevices%2Fd1%2Fmodules%2Fm1",
       "localhost/devices/d1/modules/m1", ""},
      {"a port in the host",
       "SharedAccessSignature sr=localhost%3A18883%2Fdevices%2Fd1&sig=jSAdvorK6PBhKQe4sYfg2%2BbWGh2nK50M0w1UBXRqIiI%3D&"
       "se=1700003600",
       "localhost:18883/devices/d1", ""},
      {"sr in lower-case escapes is signed as sent",
       "SharedAccessSignature sr=localhost%2fdevices%2fd1&sig=zHABsEnD0KJJECbRAkrXrJ24pMbexfte19xqCEMjo5Q%3D&"
       "se=1700003600",
       "localhost/devices/d1", ""},
      {"sr not encoded at all",
       "SharedAccessSignature sr=localhost/devices/d1&sig=LGZIlc739rFPVsl4FIgpjTT2XaHKO7Ld58FyvNJqLB8%3D&se=1700003600",
       "localhost/devices/d1", ""},
      {"a policy; sig with a raw slash, a raw plus and raw equals",
       "SharedAccessSignature sr=localhost&sig=7yoM+OdCFiW4/NVUdp5RIPluIaoOT57/c/QRuynBjCU=&se=1700000004&skn=service",
       "localhost", "service"},
  };
  for (const Row& row : rows) {
    const auto token = parse_sas(row.text);
    ASSERT_TRUE(token) << row.behaviour << ": " << token.error().message;
    EXPECT_EQ(token->resource, row.resource) << row.behaviour;
    EXPECT_EQ(token->policy, row.policy) << row.behaviour;
    EXPECT_TRUE(verify_sas(*token, kKey)) << row.behaviour;
    EXPECT_FALSE(verify_sas(*token, kOtherKey)) << row.behaviour;
    auto later = *token;
    ++later.end_s;
    EXPECT_FALSE(verify_sas(later, kKey)) << row.behaviour;
    auto elsewhere = *token;
    elsewhere.raw_resource += "x";
    EXPECT_FALSE(verify_sas(elsewhere, kKey)) << row.behaviour;
  }
}

TEST(Sas, OursAreTheSame) {
  const auto text = make_sas("localhost/devices/d1", kKey, kEnd);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "SharedAccessSignature sr=localhost%2Fdevices%2Fd1&sig=M5JJVyITwN8a%2FrsotDvl0ZmmWCN1kht5iotJrrz%2F0Mg%3D&"
            "se=1700003600");
  const auto policy = parse_sas(*make_sas("localhost", kKey, kEnd, "iothubowner"));
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->policy, "iothubowner");
  EXPECT_TRUE(verify_sas(*policy, kKey));
  EXPECT_EQ(sas_signing_text("localhost/devices/d1", kEnd), "localhost%2Fdevices%2Fd1\n1700003600");
  EXPECT_EQ(sas_from_signature("localhost/devices/d1", "M5JJVyITwN8a/rsotDvl0ZmmWCN1kht5iotJrrz/0Mg=", kEnd), *text);

  const auto refused = make_sas("localhost", "not base64!", kEnd);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(refused.error().message.find("not base64!"), std::string::npos) << "a message must not hold a key";
}

TEST(Sas, BrokenTokensAreRefused) {
  const std::string sig = "sig=M5JJVyITwN8a%2FrsotDvl0ZmmWCN1kht5iotJrrz%2F0Mg%3D";
  const std::string rows[] = {
      "",
      "Bearer x",
      "SharedAccessSignature ",
      "SharedAccessSignature sr=a&se=1",
      "SharedAccessSignature sr=a&" + sig,
      "SharedAccessSignature se=1&" + sig,
      "SharedAccessSignature sr=&se=1&" + sig,
      "SharedAccessSignature sr=a&se=x&" + sig,
      "SharedAccessSignature sr=a&se=-1&" + sig,
      "SharedAccessSignature sr=a&se=99999999999999999999&" + sig,
      "SharedAccessSignature sr=a&se=1&sig=%%%",
      "SharedAccessSignature sr=a&se=1&sig=abc",
      "SharedAccessSignature sr=%zz&se=1&" + sig,
      "SharedAccessSignature sr=a&sr=b&se=1&" + sig,
      "SharedAccessSignature sr=a&se=1&oops&" + sig,
      "SharedAccessSignature sr=" + std::string(5000, 'a') + "&se=1&" + sig,
  };
  for (const std::string& row : rows) {
    const auto token = parse_sas(row);
    ASSERT_FALSE(token) << row.substr(0, 80);
    EXPECT_EQ(token.error().code, ErrorCode::invalid_argument) << row.substr(0, 80);
    EXPECT_EQ(token.error().message.find("M5JJ"), std::string::npos) << "a message must not hold a signature";
  }
  EXPECT_FALSE(verify_sas(SasToken{}, ""));
  EXPECT_FALSE(verify_sas(SasToken{}, kKey));
}

TEST(ConnectionString, ReadsWhatItWrites) {
  struct Row {
    std::string behaviour, text;
    bool is_good;
  };
  const std::string key = ";SharedAccessKey=" + std::string(kKey);
  const Row rows[] = {
      {"device", "HostName=hub;DeviceId=d1" + key, true},
      {"module", "HostName=hub;DeviceId=d1;ModuleId=m1" + key, true},
      {"policy", "HostName=hub;SharedAccessKeyName=service" + key, true},
      {"gateway", "HostName=hub;DeviceId=d1" + key + ";GatewayHostName=edge:8883", true},
      {"X.509 has no key", "HostName=hub;DeviceId=d1;x509=true", true},
      {"a semicolon at the end", "HostName=hub;DeviceId=d1" + key + ";", true},
      {"no host", "DeviceId=d1" + key, false},
      {"nobody", "HostName=hub" + key, false},
      {"module of no device", "HostName=hub;ModuleId=m1;SharedAccessKeyName=p" + key, false},
      {"key cut short", "HostName=hub;DeviceId=d1;SharedAccessKey=AAEC=", false},
      {"bad device", "HostName=hub;DeviceId=a/b" + key, false},
      {"twice", "HostName=hub;HostName=hub;DeviceId=d1" + key, false},
      {"no pair", "HostName", false},
      {"nothing", "", false},
  };
  for (const Row& row : rows) {
    const auto value = parse_connection_string(row.text);
    ASSERT_EQ(static_cast<bool>(value), row.is_good) << row.behaviour;
    if (!value) continue;
    const auto again = parse_connection_string(to_text(*value));
    ASSERT_TRUE(again) << row.behaviour;
    EXPECT_EQ(again->device, value->device);
    EXPECT_EQ(again->module, value->module);
    EXPECT_EQ(again->key, value->key);
    EXPECT_EQ(again->policy, value->policy);
    EXPECT_EQ(again->gateway, value->gateway);
  }
}

}  // namespace
}  // namespace verge::contract
