#include "connectors/home/broker_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/certificates.h"
#include "connectors/home/broker_for_tests.h"

namespace verge::connectors {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class BrokerLinkTest : public ::testing::Test {
 protected:
  BrokerLinkOptions options_for(std::uint16_t port) const {
    BrokerLinkOptions options;
    options.broker.host = "127.0.0.1";
    options.broker.port = port;
    options.broker.user = "cam";
    options.broker.password = "hush";
    options.broker.shown = "mqtt://***@127.0.0.1";
    options.client_id = "verge-test";
    options.available = "v/available";
    options.stop_max = milliseconds(60'000);
    options.retry_delay_min = milliseconds(10);
    options.retry_delay_max = milliseconds(50);
    return options;
  }
  void start(BrokerLinkOptions options, BrokerLink::Handlers handlers = {}) {
    link.reset();
    link = std::make_unique<BrokerLink>(std::move(options), system_clock(), metrics, std::move(handlers));
    link->start();
  }
  std::string value_of(const TestBroker& broker, const std::string& topic) {
    const auto retained = broker.retained();
    const auto at = retained.find(topic);
    return at == retained.end() ? "" : at->second;
  }
  std::uint64_t dropped() {
    return metrics
        .counter("verge_broker_dropped_total", "Messages and states left out: too many, old or large.",
                 {{"broker", "mqtt://***@127.0.0.1"}})
        .value();
  }

  Metrics metrics;
  std::unique_ptr<BrokerLink> link;
};

TEST_F(BrokerLinkTest, PublishesAndSaysGoodbye) {
  TestBroker broker;
  start(options_for(broker.port()));
  link->set_state("v/a", "1");
  link->send("v/m", "hello");
  EXPECT_TRUE(comes_true([&] { return value_of(broker, "v/a") == "1" && broker.messages().size() == 1; }));
  EXPECT_EQ(value_of(broker, "v/available"), "online");
  EXPECT_THAT(broker.messages(), ElementsAre("v/m=hello"));
  for (int i = 0; i < 100; ++i) link->send("v/m", std::to_string(i));
  link->stop();
  EXPECT_EQ(broker.messages().size(), 101U);  // stop() sends what waits
  EXPECT_EQ(value_of(broker, "v/available"), "offline");
}

TEST_F(BrokerLinkTest, StatesComeAgainToABrokerThatForgot) {
  auto broker = std::make_unique<TestBroker>();
  const std::uint16_t port = broker->port();
  start(options_for(port));
  link->set_state("v/a", "1");
  ASSERT_TRUE(comes_true([&] { return value_of(*broker, "v/a") == "1"; }));
  broker.reset();
  EXPECT_TRUE(comes_true([&] { return !link->is_connected(); }));
  EXPECT_THAT(link->state().error().message, HasSubstr("connect to broker mqtt://***@127.0.0.1"));
  link->set_state("v/b", "2");
  link->send("v/m", "late");
  TestBroker again({.port = port});
  EXPECT_TRUE(comes_true([&] { return value_of(again, "v/a") == "1" && again.messages().size() == 1; }));
  EXPECT_EQ(value_of(again, "v/b"), "2");
  EXPECT_EQ(value_of(again, "v/available"), "online");
  EXPECT_TRUE(link->state());
}

TEST_F(BrokerLinkTest, ARefusedPasswordIsToldWithoutIt) {
  TestBroker broker({.password = "another"});
  start(options_for(broker.port()));
  EXPECT_TRUE(comes_true([&] { return broker.refused_count() > 1 && !link->state(); }));
  EXPECT_EQ(link->state().error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(link->state().error().message, HasSubstr("bad user name or password"));
  EXPECT_THAT(link->state().error().message, Not(HasSubstr("hush")));
}

TEST_F(BrokerLinkTest, ASlowBrokerCostsOldMessagesAndStatesInBetweenButNoMemory) {
  TestBroker broker({.acknowledges = false});
  BrokerLinkOptions options = options_for(broker.port());
  options.limits.messages_max = 10;
  options.in_flight_max = 4;
  start(std::move(options));
  ASSERT_TRUE(comes_true([&] { return value_of(broker, "v/available") == "online"; }));
  for (int i = 0; i < 500; ++i) {
    link->set_state("v/a", std::to_string(i));
    link->send("v/m", std::to_string(i));
  }
  EXPECT_TRUE(comes_true([&] { return broker.publish_count() == 4; }));
  EXPECT_GE(dropped(), 500U - 10 - 4);
  broker.release();
  EXPECT_TRUE(comes_true([&] { return value_of(broker, "v/a") == "499"; }));
  EXPECT_TRUE(comes_true([&] { return broker.messages().back() == "v/m=499"; }));
  EXPECT_EQ(broker.messages().size(), 500U - dropped());
  EXPECT_LT(broker.publish_count(), 40U);
}

TEST_F(BrokerLinkTest, TooLargeIsLeftOut) {
  TestBroker broker;
  BrokerLinkOptions options = options_for(broker.port());
  options.packet_bytes_max = 1'000;
  start(std::move(options));
  link->set_state("v/a", std::string(2'000, 'x'));
  link->set_state("v/b", "small");
  EXPECT_TRUE(comes_true([&] { return value_of(broker, "v/b") == "small"; }));
  EXPECT_TRUE(comes_true([&] { return dropped() == 1; }));
  EXPECT_EQ(value_of(broker, "v/a"), "");
}

TEST_F(BrokerLinkTest, HearsWhatTheBrokerRetains) {
  TestBroker broker({.retained = {{"h/x/n/a/config", "old"}, {"h/x/other/a/config", "theirs"}}});
  BrokerLinkOptions options = options_for(broker.port());
  options.filter = "h/+/n/+/config";
  std::atomic<int> heard{0}, ticks{0};
  start(std::move(options), {[&](std::string_view topic, std::string_view payload) {
                               heard += topic == "h/x/n/a/config" && payload == "old" ? 1 : 100;
                             },
                             [&] { ++ticks; }});
  EXPECT_TRUE(comes_true([&] { return heard == 1 && ticks >= 1; }));
  link->stop();
}

TEST_F(BrokerLinkTest, OverTlsOnlyWithTheRightAuthority) {
  const auto authority = make_authority("test").value();
  CertificateRequest request;
  request.common_name = "127.0.0.1";
  request.ip_addresses = {"127.0.0.1"};
  const auto certificate = make_certificate(authority, request).value();
  TlsOptions server, client, stranger;
  server.certificate_chain_pem = certificate.certificate_pem;
  server.key_pem = certificate.key_pem;
  client.trust_pem = authority.certificate_pem;
  stranger.trust_pem = make_authority("another").value().certificate_pem;
  TestBroker broker({.tls = TlsContext::make_server(server).value()});
  BrokerLinkOptions options = options_for(broker.port());
  options.tls = TlsContext::make_client(stranger).value();
  start(options);
  EXPECT_TRUE(comes_true([&] { return !link->state(); }));
  EXPECT_THAT(link->state().error().message, HasSubstr("certificate"));
  options.tls = TlsContext::make_client(client).value();
  start(options);
  EXPECT_TRUE(comes_true([&] { return value_of(broker, "v/available") == "online"; }));
}

}  // namespace
}  // namespace verge::connectors
