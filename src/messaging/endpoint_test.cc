#include "messaging/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/time.h"
#include "messaging/memory_connection.h"
#include "messaging/packets.h"

namespace verge::messaging {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string connect_packet(std::string_view client_id, std::uint16_t keep_alive_s = 0, bool clean_session = true) {
  ConnectPacket packet;
  packet.client_id = client_id;
  packet.username = "user";
  packet.password = "secret";
  packet.keep_alive_s = keep_alive_s;
  packet.clean_session = clean_session;
  std::string bytes;
  append_connect(bytes, packet);
  return bytes;
}

std::string publish_packet(std::string_view topic, std::string_view payload, std::uint16_t packet_id,
                           bool duplicate = false) {
  PublishPacket packet;
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = packet_id > 0 ? 1 : 0;
  packet.packet_id = packet_id;
  packet.duplicate = duplicate;
  std::string bytes;
  append_publish(bytes, packet);
  return bytes;
}

std::string subscribe_packet(std::uint16_t packet_id, const std::vector<Subscription>& wanted) {
  std::string bytes;
  append_subscribe(bytes, {packet_id, wanted});
  return bytes;
}

std::string id_packet(PacketType type, std::uint16_t packet_id) {
  std::string bytes;
  append_packet_id(bytes, type, packet_id);
  return bytes;
}

std::string empty_packet(PacketType type) {
  std::string bytes;
  append_empty(bytes, type);
  return bytes;
}

/// What a server sent, as words: "CONNACK:0", "PUBACK:7", "PUBLISH:topic:1".
std::vector<std::string> words_of(std::string_view bytes) {
  std::vector<std::string> words;
  PacketReader reader(1U << 22U);
  const Status read = reader.read(bytes, [&](const Frame& frame) {
    std::string word(name_of(frame.type));
    if (frame.type == PacketType::connack) word += ':' + std::to_string(decode_connack(frame)->code);
    if (frame.type == PacketType::puback || frame.type == PacketType::unsuback) {
      word += ':' + std::to_string(*decode_packet_id(frame));
    }
    if (frame.type == PacketType::suback) {
      const auto packet = decode_suback(frame);
      for (const unsigned code : packet->codes) word += ':' + std::to_string(code);
    }
    if (frame.type == PacketType::publish) {
      const auto packet = decode_publish(frame);
      word += ':' + std::string(packet->topic) + ':' + std::to_string(packet->qos);
    }
    words.push_back(word);
    return PacketReader::Next::go_on;
  });
  EXPECT_TRUE(read);
  return words;
}

class EndpointTest : public ::testing::Test {
 protected:
  void make(Endpoint::Options options = {}) {
    Endpoint::Handlers handlers;
    handlers.authenticate = [this](const ConnectRequest& request, auto reply) {
      requests.push_back(request);
      if (holds_verdicts) {
        verdicts.push_back(std::move(reply));
      } else {
        reply(verdict, request.client_id);
      }
    };
    handlers.has_session = [this](std::string_view) { return has_session; };
    handlers.connected = [this](const SessionPointer& session) { tell("connected " + session->identity()); };
    handlers.may_subscribe = [](const SessionPointer&, std::string_view filter, std::uint8_t) {
      return filter.substr(0, 6) != "secret";
    };
    handlers.subscribed = [this](const SessionPointer&, std::string_view filter) {
      tell("subscribed " + std::string(filter));
    };
    handlers.unsubscribed = [this](const SessionPointer&, std::string_view filter) {
      tell("unsubscribed " + std::string(filter));
    };
    handlers.publish = [this](const SessionPointer&, const PublishIn& publish, Acknowledge acknowledge) -> Status {
      if (publish.topic == "forbidden") return Error{ErrorCode::invalid_argument, "forbidden topic"};
      tell(std::string(publish.topic) + "=" + std::string(publish.payload.substr(0, 20)) +
           (publish.retain ? " retained" : ""));
      if (acknowledges_at_once) {
        acknowledge(Done{});
      } else {
        acknowledges.push_back(std::move(acknowledge));
      }
      return Done{};
    };
    handlers.closed = [this](const SessionPointer& session, bool clean, std::string_view reason) {
      tell("closed " + session->identity() + (clean ? " clean" : " unclean"));
      reasons.emplace_back(reason);
    };
    endpoint.emplace(loop, options, std::move(handlers));
  }

  std::shared_ptr<MemoryConnection> open(std::string_view client_id, std::uint16_t keep_alive_s = 0) {
    auto connection = accept();
    connection->give(connect_packet(client_id, keep_alive_s));
    settle();
    EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("CONNACK:0"));
    return connection;
  }
  std::shared_ptr<MemoryConnection> accept() {
    auto connection = std::make_shared<MemoryConnection>();
    endpoint->accept(connection, 8883);
    return connection;
  }
  /// Runs what is posted, and what that posts.
  void settle() {
    for (int turn = 0; turn < 5; ++turn) loop.stop(), loop.run();
  }
  template <class Condition>
  void wait_until(Condition is_true) {
    const std::int64_t end_us = system_clock().monotonic_us() + 60'000'000;
    while (!is_true() && system_clock().monotonic_us() < end_us) loop.run_for(milliseconds(2));
    EXPECT_TRUE(is_true());
  }
  void tell(std::string what) { told.push_back(std::move(what)); }
  std::vector<std::string> take_told() { return std::exchange(told, {}); }

  Loop loop;
  ConnectCode verdict = ConnectCode::accepted;
  bool holds_verdicts = false;
  bool has_session = false;
  bool acknowledges_at_once = true;
  std::vector<std::function<void(ConnectCode, std::string)>> verdicts;
  std::vector<Acknowledge> acknowledges;
  std::vector<ConnectRequest> requests;
  std::vector<std::string> told, reasons;
  std::optional<Endpoint> endpoint;
};

TEST_F(EndpointTest, ConnectTellsAllAndDisconnectIsClean) {
  make();
  auto connection = accept();
  ConnectPacket packet;
  packet.client_id = "d1";
  packet.username = "hub/d1";
  packet.password = "token";
  packet.keep_alive_s = 30;
  packet.will = Will{"w", "gone", 1, false};
  std::string bytes;
  append_connect(bytes, packet);
  connection->give(bytes);
  settle();
  ASSERT_EQ(requests.size(), 1U);
  const ConnectRequest& request = requests[0];
  EXPECT_EQ(request.client_id, "d1");
  EXPECT_EQ(request.username, "hub/d1");
  EXPECT_EQ(request.password, "token");
  EXPECT_EQ(request.keep_alive_s, 30);
  EXPECT_TRUE(request.has_will);
  EXPECT_EQ(request.will_topic, "w");
  EXPECT_EQ(request.will_payload, "gone");
  EXPECT_EQ(request.will_qos, 1);
  EXPECT_EQ(request.peer.address, "memory");
  EXPECT_EQ(request.local_port, 8883);
  EXPECT_NE(endpoint->find("d1"), nullptr);
  EXPECT_EQ(endpoint->session_count(), 1U);
  connection->give(empty_packet(PacketType::disconnect));
  settle();
  EXPECT_THAT(take_told(), ElementsAre("connected d1", "closed d1 clean"));
  EXPECT_FALSE(connection->is_open());
  EXPECT_EQ(endpoint->find("d1"), nullptr);
  EXPECT_EQ(endpoint->session_count(), 0U);
}

TEST_F(EndpointTest, LossOfTheConnectionIsUnclean) {
  make();
  auto connection = open("d1");
  connection->end();
  EXPECT_THAT(take_told(), ElementsAre("connected d1", "closed d1 unclean"));
}

TEST_F(EndpointTest, RefusalsOfConnect) {
  struct Row {
    const char* why;
    std::string bytes;
    ConnectCode verdict;
    std::string answer;
  };
  std::string old_protocol = connect_packet("d1");
  old_protocol[8] = 3;
  std::string other_name = connect_packet("d1");
  other_name[4] = 'm';
  for (const Row& row : {
           Row{"level 3", old_protocol, ConnectCode::accepted, "CONNACK:1"},
           Row{"other name", other_name, ConnectCode::accepted, "CONNACK:1"},
           Row{"no id, kept session", connect_packet("", 0, false), ConnectCode::accepted, "CONNACK:2"},
           Row{"credentials", connect_packet("d1"), ConnectCode::bad_credentials, "CONNACK:4"},
           Row{"not authorised", connect_packet("d1"), ConnectCode::not_authorized, "CONNACK:5"},
           Row{"not now", connect_packet("d1"), ConnectCode::unavailable, "CONNACK:3"},
       }) {
    make();
    verdict = row.verdict;
    auto connection = accept();
    connection->give(row.bytes);
    settle();
    EXPECT_THAT(words_of(connection->take_sent()), ElementsAre(row.answer)) << row.why;
    EXPECT_FALSE(connection->is_open()) << row.why;
    EXPECT_THAT(take_told(), IsEmpty()) << row.why;
  }
}

TEST_F(EndpointTest, ViolationsCloseWithoutAnAnswer) {
  struct Row {
    const char* why;
    bool is_connected;
    std::string bytes;
  };
  for (const Row& row : {
           Row{"PUBLISH before CONNECT", false, publish_packet("a", "x", 0)},
           Row{"garbage before CONNECT", false, "GET / HTTP/1.1\r\n\r\n"},
           Row{"zeros", false, std::string(64, '\0')},
           Row{"a second CONNECT", true, connect_packet("d1")},
           Row{"garbage", true, std::string("\xFF\xFF\xFF\xFF", 4)},
           Row{"QoS 2", true,
               std::string("\x34\x05\x00\x01"
                           "a\x00\x01",
                           7)},
           Row{"PUBREL", true, id_packet(PacketType::pubrel, 1)},
           Row{"CONNACK", true, std::string("\x20\x02\x00\x00", 4)},
           Row{"the owner's no", true, publish_packet("forbidden", "x", 1)},
           Row{"refused filter", true, subscribe_packet(1, {{"ok", 0}, {"secret/#", 0}})},
           Row{"long topic", true, publish_packet(std::string(20'000, 't'), "x", 1)},
           Row{"300 KB over a limit of 256", true, publish_packet("a", std::string(300'000, 'x'), 1)},
       }) {
    Endpoint::Options options;
    options.limits.packet_bytes_max = 256U << 10U;
    make(options);
    auto connection = row.is_connected ? open("d1") : accept();
    take_told();
    connection->give(row.bytes);
    settle();
    EXPECT_FALSE(connection->is_open()) << row.why;
    EXPECT_EQ(connection->take_sent(), "") << row.why;
    if (row.is_connected) {
      EXPECT_THAT(take_told(), ElementsAre("closed d1 unclean")) << row.why;
    }
    EXPECT_EQ(endpoint->session_count(), 0U);
  }
}

TEST_F(EndpointTest, LargeMessageWithinTheLimitPasses) {
  make();
  auto connection = open("d1");
  const std::string packet = publish_packet("a", std::string(300'000, 'x'), 1);
  for (std::size_t begin = 0; begin < packet.size(); begin += 65'536) connection->give(packet.substr(begin, 65'536));
  settle();
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PUBACK:1"));
}

TEST_F(EndpointTest, VerdictMayComeLateFromAnyThreadAndOnce) {
  make();
  holds_verdicts = true;
  auto connection = accept();
  connection->give(connect_packet("d1") + publish_packet("early", "x", 1));
  settle();
  EXPECT_TRUE(connection->is_paused());
  EXPECT_EQ(connection->take_sent(), "");
  std::thread other([&] {
    verdicts.at(0)(ConnectCode::accepted, "named");
    verdicts.at(0)(ConnectCode::bad_credentials, "");
  });
  other.join();
  settle();
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("CONNACK:0", "PUBACK:1"));
  EXPECT_FALSE(connection->is_paused());
  EXPECT_NE(endpoint->find("named"), nullptr);
}

TEST_F(EndpointTest, VerdictAfterTheEndIsIgnored) {
  make();
  holds_verdicts = true;
  auto connection = accept();
  connection->give(connect_packet("d1"));
  connection->end();
  verdicts.at(0)(ConnectCode::accepted, "d1");
  settle();
  EXPECT_THAT(take_told(), IsEmpty());
  endpoint.reset();
  verdicts.at(0)(ConnectCode::accepted, "d1");
  settle();
}

TEST_F(EndpointTest, SessionPresentIsTheOwnersWord) {
  make();
  has_session = true;
  for (const bool is_clean : {true, false}) {
    auto connection = accept();
    connection->give(connect_packet("d1", 0, is_clean));
    settle();
    EXPECT_EQ(connection->take_sent(), std::string("\x20\x02", 2) + std::string(1, is_clean ? 0 : 1) + '\0');
  }
}

TEST_F(EndpointTest, NewerConnectionTakesTheIdentityOver) {
  make();
  auto older = open("d1");
  const SessionPointer older_session = endpoint->find("d1");
  auto newer = open("d1");
  EXPECT_THAT(take_told(), ElementsAre("connected d1", "closed d1 unclean", "connected d1"));
  EXPECT_FALSE(older->is_open());
  EXPECT_TRUE(newer->is_open());
  EXPECT_FALSE(older_session->is_open());
  EXPECT_NE(endpoint->find("d1"), older_session);
  EXPECT_EQ(older_session->deliver("a", "x", 1, {}).error().code, ErrorCode::unavailable);
}

TEST_F(EndpointTest, SetIdentityMovesAndDisplaces) {
  make();
  auto first = open("d1");
  auto second = open("d2");
  take_told();
  endpoint->find("d2")->set_identity("d1");
  settle();
  EXPECT_FALSE(first->is_open());
  EXPECT_TRUE(second->is_open());
  EXPECT_EQ(endpoint->find("d2"), nullptr);
  EXPECT_NE(endpoint->find("d1"), nullptr);
  EXPECT_THAT(take_told(), ElementsAre("closed d1 unclean"));
}

TEST_F(EndpointTest, EmptyIdentitiesLiveSideBySide) {
  make();
  auto first = open("");
  auto second = open("");
  EXPECT_EQ(endpoint->session_count(), 2U);
  EXPECT_EQ(endpoint->find(""), nullptr);
}

TEST_F(EndpointTest, PubackOnlyAfterAcknowledgeAndInOrder) {
  make();
  acknowledges_at_once = false;
  auto connection = open("d1");
  for (std::uint16_t id = 11; id <= 14; ++id) connection->give(publish_packet("a", std::to_string(id), id));
  settle();
  EXPECT_EQ(connection->take_sent(), "");
  acknowledges.at(2)(Done{});
  acknowledges.at(1)(Done{});
  settle();
  EXPECT_EQ(connection->take_sent(), "") << "the first is not durable yet";
  std::thread other([&] { acknowledges.at(0)(Done{}), acknowledges.at(0)(Done{}); });
  other.join();
  settle();
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PUBACK:11", "PUBACK:12", "PUBACK:13"));
  acknowledges.at(3)(Done{});
  settle();
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PUBACK:14"));
}

TEST_F(EndpointTest, FailedAcknowledgeClosesWithoutPuback) {
  make();
  acknowledges_at_once = false;
  auto connection = open("d1");
  connection->give(publish_packet("a", "1", 1) + publish_packet("a", "2", 2));
  acknowledges.at(0)(Error{ErrorCode::limit, "disk full"});
  acknowledges.at(1)(Done{});
  settle();
  EXPECT_EQ(connection->take_sent(), "");
  EXPECT_FALSE(connection->is_open());
  ASSERT_FALSE(reasons.empty());
  EXPECT_THAT(reasons.back(), HasSubstr("disk full"));
}

TEST_F(EndpointTest, AcknowledgeAfterTheEndIsIgnored) {
  make();
  acknowledges_at_once = false;
  auto connection = open("d1");
  connection->give(publish_packet("a", "1", 1));
  connection->end();
  acknowledges.at(0)(Done{});
  settle();
  endpoint.reset();
  std::thread other([&] { acknowledges.at(0)(Done{}); });
  other.join();
  settle();
  EXPECT_EQ(connection->take_sent(), "");
}

TEST_F(EndpointTest, RepeatInFlightIsHandedOverOnce) {
  make();
  acknowledges_at_once = false;
  auto connection = open("d1");
  take_told();
  connection->give(publish_packet("a", "1", 5) + publish_packet("a", "1", 5, true));
  EXPECT_THAT(take_told(), ElementsAre("a=1"));
  acknowledges.at(0)(Done{});
  settle();
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PUBACK:5"));
  connection->give(publish_packet("a", "1", 5, true));
  EXPECT_THAT(take_told(), ElementsAre("a=1")) << "after PUBACK it is a new one";
}

TEST_F(EndpointTest, RetainAndQosZeroAreHandedOn) {
  make();
  auto connection = open("d1");
  take_told();
  connection->give(
      std::string("\x31\x04\x00\x01"
                  "ax",
                  6));
  settle();
  EXPECT_THAT(take_told(), ElementsAre("a=x retained"));
  EXPECT_EQ(connection->take_sent(), "");
}

TEST_F(EndpointTest, InflightLimitPausesReadingExactly) {
  Endpoint::Options options;
  options.limits.inflight_max = 4;
  make(options);
  acknowledges_at_once = false;
  auto connection = open("d1");
  std::string burst;
  for (std::uint16_t id = 1; id <= 20; ++id) burst += publish_packet("a", std::to_string(id), id);
  connection->give(burst);
  EXPECT_EQ(acknowledges.size(), 4U);
  EXPECT_TRUE(connection->is_paused());
  acknowledges[0](Done{});
  settle();
  EXPECT_EQ(acknowledges.size(), 4U) << "reads again when half is done";
  for (std::size_t index = 1; index < 20; ++index) {
    ASSERT_LT(index, acknowledges.size());
    ASSERT_LE(acknowledges.size(), index + 4);
    acknowledges[index](Done{});
    settle();
  }
  EXPECT_FALSE(connection->is_paused());
  EXPECT_EQ(words_of(connection->take_sent()).size(), 20U);
}

TEST_F(EndpointTest, InflightBytesPauseToo) {
  Endpoint::Options options;
  options.limits.inflight_bytes_max = 1'000;
  make(options);
  acknowledges_at_once = false;
  auto connection = open("d1");
  for (std::uint16_t id = 1; id <= 3; ++id) connection->give(publish_packet("a", std::string(600, 'x'), id));
  EXPECT_EQ(acknowledges.size(), 2U);
  EXPECT_TRUE(connection->is_paused());
  acknowledges[0](Done{});
  acknowledges[1](Done{});
  settle();
  EXPECT_FALSE(connection->is_paused());
  connection->give("");
  EXPECT_EQ(acknowledges.size(), 3U);
}

TEST_F(EndpointTest, SubackAnswersEveryFilter) {
  Endpoint::Options options;
  options.closes_on_refused_subscription = false;
  options.limits.subscriptions_max = 3;
  make(options);
  auto connection = open("d1");
  take_told();
  connection->give(subscribe_packet(9, {{"a/#", 0}, {"secret", 1}, {"b", 1}, {"c", 2}, {"d", 0}, {"a/#", 1}}));
  settle();
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("SUBACK:0:128:1:1:128:1"));
  EXPECT_THAT(take_told(), ElementsAre("subscribed a/#", "subscribed b", "subscribed c", "subscribed a/#"));
  const SessionPointer session = endpoint->find("d1");
  EXPECT_THAT(session->subscriptions(), ElementsAre("a/#", "b", "c"));
  EXPECT_TRUE(session->is_subscribed("a/x/y"));
  EXPECT_FALSE(session->is_subscribed("d"));
  std::string bytes;
  append_unsubscribe(bytes, {10, {"a/#", "never"}});
  connection->give(bytes);
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("UNSUBACK:10"));
  EXPECT_THAT(take_told(), ElementsAre("unsubscribed a/#"));
  EXPECT_FALSE(session->is_subscribed("a/x/y"));
}

TEST_F(EndpointTest, DeliveryWindowAndAcknowledgement) {
  Endpoint::Options options;
  options.limits.delivery_window = 2;
  options.limits.queued_max = 2;
  make(options);
  auto connection = open("d1");
  const SessionPointer session = endpoint->find("d1");
  std::string done;
  const auto deliver = [&](const char* name) {
    return session->deliver(name, "x", 1, [&done, name](const Status& status) { done += status ? name : "?"; });
  };
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_TRUE(deliver(name));
  const Status refused = deliver("e");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::limit);
  EXPECT_EQ(session->queued_count(), 2U);
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PUBLISH:a:1", "PUBLISH:b:1"));
  connection->give(id_packet(PacketType::puback, 1));
  EXPECT_EQ(done, "a");
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PUBLISH:c:1"));
  connection->end();
  EXPECT_EQ(done, "a???");
}

TEST_F(EndpointTest, DeliveryQosIsLoweredToTheGranted) {
  make();
  auto connection = open("d1");
  connection->give(subscribe_packet(1, {{"zero/#", 0}, {"one/#", 1}}));
  connection->take_sent();
  const SessionPointer session = endpoint->find("d1");
  bool is_done = false;
  EXPECT_TRUE(session->deliver("zero/a", "x", 1, [&](const Status& status) { is_done = static_cast<bool>(status); }));
  EXPECT_TRUE(is_done);
  EXPECT_TRUE(session->deliver("one/a", "x", 1));
  EXPECT_TRUE(session->deliver("unasked", "x", 1));
  EXPECT_TRUE(session->deliver("one/b", "x", 0));
  EXPECT_THAT(words_of(connection->take_sent()),
              ElementsAre("PUBLISH:zero/a:0", "PUBLISH:one/a:1", "PUBLISH:unasked:1", "PUBLISH:one/b:0"));
  EXPECT_EQ(session->deliver("one/+", "x", 0).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(session->deliver("a", std::string(600'000, 'x'), 0).error().code, ErrorCode::limit);
  EXPECT_EQ(session->deliver("a", std::string(600'000, 'x'), 1).error().code, ErrorCode::limit);
}

TEST_F(EndpointTest, ClientThatDoesNotReadIsClosed) {
  Endpoint::Options options;
  options.limits.unsent_bytes_max = 10'000;
  make(options);
  auto connection = open("d1");
  connection->set_peer_reading(false);
  const SessionPointer session = endpoint->find("d1");
  take_told();
  int sent = 0;
  while (session->deliver("a", std::string(1'000, 'x'), 0) && sent < 100) ++sent;
  EXPECT_LE(sent, 11);
  EXPECT_TRUE(connection->is_aborted());
  EXPECT_THAT(take_told(), IsEmpty()) << "not in the middle of the owner's call";
  settle();
  EXPECT_THAT(take_told(), ElementsAre("closed d1 unclean"));
}

TEST_F(EndpointTest, OwnersCloseComesBackLater) {
  make();
  auto connection = open("d1");
  take_told();
  const SessionPointer session = endpoint->find("d1");
  session->close("token ended");
  EXPECT_FALSE(session->is_open());
  EXPECT_FALSE(connection->is_open());
  EXPECT_EQ(endpoint->find("d1"), nullptr);
  EXPECT_THAT(take_told(), IsEmpty());
  settle();
  EXPECT_THAT(take_told(), ElementsAre("closed d1 unclean"));
  EXPECT_EQ(reasons.back(), "token ended");
}

TEST_F(EndpointTest, PingIsAnswered) {
  make();
  auto connection = open("d1");
  connection->give(empty_packet(PacketType::pingreq));
  EXPECT_THAT(words_of(connection->take_sent()), ElementsAre("PINGRESP"));
}

TEST_F(EndpointTest, SilenceBeyondTheCappedKeepAliveEnds) {
  Endpoint::Options options;
  options.limits.keep_alive_s_max = 1;
  make(options);
  const std::int64_t begin_us = system_clock().monotonic_us();
  auto asks_one = open("d1", 1);
  auto asks_none = open("d2", 0);
  auto asks_much = open("d3", 60'000);
  auto talks = open("d4", 1);
  wait_until([&] {
    talks->give(empty_packet(PacketType::pingreq));
    return !asks_one->is_open() && !asks_none->is_open() && !asks_much->is_open();
  });
  EXPECT_GE(system_clock().monotonic_us() - begin_us, 1'400'000);
  EXPECT_THAT(reasons.back(), HasSubstr("keep-alive"));
  EXPECT_TRUE(talks->is_open());
}

TEST_F(EndpointTest, PausedClientIsNotSilent) {
  Endpoint::Options options;
  options.limits.keep_alive_s_max = 1;
  options.limits.inflight_max = 1;
  make(options);
  acknowledges_at_once = false;
  auto connection = open("d1");
  auto silent = open("d2");
  connection->give(publish_packet("a", "x", 1));
  EXPECT_TRUE(connection->is_paused());
  wait_until([&] { return !silent->is_open(); });
  loop.run_for(milliseconds(100));
  EXPECT_TRUE(connection->is_open()) << "it is us who do not read";
}

TEST_F(EndpointTest, ConnectMustComeInTime) {
  Endpoint::Options options;
  options.limits.connect_timeout = milliseconds(30);
  make(options);
  auto connection = accept();
  connection->give("\x10");
  wait_until([&] { return !connection->is_open(); });
  auto in_time = open("d1");
  loop.run_for(milliseconds(60));
  EXPECT_TRUE(in_time->is_open());
}

TEST_F(EndpointTest, CloseEndsAllAndAcceptsNoMore) {
  make();
  auto first = open("d1");
  auto second = open("d2");
  take_told();
  endpoint->close();
  EXPECT_EQ(take_told().size(), 2U);
  EXPECT_FALSE(first->is_open());
  EXPECT_FALSE(accept()->is_open());
}

TEST_F(EndpointTest, DestructionIsSilent) {
  make();
  auto connection = open("d1");
  const SessionPointer kept = endpoint->find("d1");
  take_told();
  endpoint.reset();
  settle();
  EXPECT_FALSE(connection->is_open());
  EXPECT_FALSE(kept->is_open());
  EXPECT_THAT(take_told(), IsEmpty());
}

TEST(TopicMatches, ExamplesOfChapter47) {
  struct Row {
    const char* filter;
    const char* topic;
    bool matches;
  };
  for (const Row& row : {
           Row{"sport/tennis/player1/#", "sport/tennis/player1", true},
           Row{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
           Row{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
           Row{"sport/#", "sport", true},
           Row{"#", "sport/tennis", true},
           Row{"sport/tennis/+", "sport/tennis/player1", true},
           Row{"sport/tennis/+", "sport/tennis/player1/ranking", false},
           Row{"sport/+", "sport", false},
           Row{"sport/+", "sport/", true},
           Row{"+/+", "/finance", true},
           Row{"/+", "/finance", true},
           Row{"+", "/finance", false},
           Row{"#", "$SYS/monitor", false},
           Row{"+/monitor/Clients", "$SYS/monitor/Clients", false},
           Row{"$SYS/#", "$SYS/monitor", true},
           Row{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
           Row{"a/b", "a/b", true},
           Row{"a/b", "a/B", false},
           Row{"a/b", "a/b/", false},
           Row{"a/b/", "a/b", false},
           Row{"a", "ab", false},
           Row{"+/b/#", "a/b", true},
           Row{"a/+/c", "a//c", true},
           Row{"", "a", false},
           Row{"#", "", false},
       }) {
    EXPECT_EQ(topic_matches(row.filter, row.topic), row.matches) << row.filter << " on " << row.topic;
  }
}

}  // namespace
}  // namespace verge::messaging
