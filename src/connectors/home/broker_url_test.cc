#include "connectors/home/broker_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Environment with_password(std::string password) {
  return [password = std::move(password)](const std::string& name) -> std::optional<std::string> {
    if (name != "PASSWORD") return std::nullopt;
    return password;
  };
}

TEST(BrokerUrl, ReadsHostPortAndLogin) {
  const auto broker = read_broker_url("mqtt://cam:${PASSWORD}@broker.lan:1999", with_password("p@ss:/w%rd"));
  ASSERT_TRUE(broker) << broker.error().message;
  EXPECT_EQ(broker->host, "broker.lan");
  EXPECT_EQ(broker->port, 1999);
  EXPECT_EQ(broker->user, "cam");
  EXPECT_EQ(broker->password, "p@ss:/w%rd");
  EXPECT_EQ(broker->shown, "mqtt://***@broker.lan:1999");
  EXPECT_FALSE(broker->is_tls);
}

TEST(BrokerUrl, PortsAndAddresses) {
  EXPECT_EQ(read_broker_url("mqtt://a", with_password(""))->port, 1883);
  EXPECT_EQ(read_broker_url("mqtts://a/", with_password(""))->port, 8883);
  const auto six = read_broker_url("mqtts://[fe80::1]:99", with_password(""));
  EXPECT_EQ(six->host, "fe80::1");
  EXPECT_EQ(six->port, 99);
}

TEST(BrokerUrl, SaysWhatIsWrongWithoutSecrets) {
  const std::vector<std::pair<const char*, const char*>> rows = {
      {"mqtt://x:${NONE}@a", "environment variable NONE is not set"},
      {"http://x:hush@a", "its scheme is unknown"},
      {"broker.lan", "its scheme is unknown"},
      {"mqtt://x:hush@", "it has no host"},
      {"mqtt://x:hush@a:0", "the port is \"0\""},
      {"mqtt://x:hush@a:70000", "the port is \"70000\""},
      {"mqtt://x:hush@a/topic", "topics are set by the option prefix"},
      {"mqtt://x:hush%zz@a", "begins no %XX"},
      {"mqtt://x:hush@[::1", "a [ lacks its ]"}};
  for (const auto& [url, words] : rows) {
    const auto broker = read_broker_url(url, with_password(""));
    ASSERT_FALSE(broker) << url;
    EXPECT_EQ(broker.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(broker.error().message, HasSubstr(words));
    EXPECT_THAT(broker.error().message, Not(HasSubstr("hush")));
  }
}

}  // namespace
}  // namespace verge::connectors
