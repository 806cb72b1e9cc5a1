// Client and Endpoint with each other, over TLS on the loopback; one loop for both.
#include "messaging/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/certificates.h"
#include "base/http_server.h"
#include "base/time.h"
#include "messaging/endpoint.h"
#include "messaging/packets.h"

namespace verge::messaging {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// One server's and one client's TLS for all tests: making keys takes time.
struct TestTls {
  TlsPointer server, client;

  static const TestTls& get() {
    static const TestTls tls = make();
    return tls;
  }
  static TestTls make() {
    const auto authority = make_authority("test authority").value();
    CertificateRequest request;
    request.common_name = "localhost";
    request.dns_names = {"localhost"};
    request.ip_addresses = {"127.0.0.1"};
    const auto certificate = make_certificate(authority, request).value();
    TlsOptions server_options;
    server_options.certificate_chain_pem = certificate.certificate_pem;
    server_options.key_pem = certificate.key_pem;
    TlsOptions client_options;
    client_options.trust_pem = authority.certificate_pem;
    return {TlsContext::make_server(server_options).value(), TlsContext::make_client(client_options).value()};
  }
};

/// An endpoint behind a TLS port, which notes what it gets.
struct Server {
  Server(Loop& loop, Endpoint::Options options, std::uint16_t port = 0) {
    Endpoint::Handlers handlers;
    handlers.authenticate = [this](const ConnectRequest& request, auto reply) {
      passwords.push_back(request.password);
      const ConnectCode code = verdicts.empty() ? ConnectCode::accepted : verdicts.front();
      if (!verdicts.empty()) verdicts.erase(verdicts.begin());
      reply(code, request.client_id);
    };
    handlers.may_subscribe = [](const SessionPointer&, std::string_view filter, std::uint8_t) {
      return filter != "secret";
    };
    handlers.publish = [this](const SessionPointer&, const PublishIn& publish, Acknowledge acknowledge) -> Status {
      received.emplace_back(publish.payload);
      if (publish.retain) retained.emplace_back(publish.payload);
      duplicate_count += publish.duplicate ? 1 : 0;
      held.push_back(std::move(acknowledge));
      held_max = std::max(held_max, held.size());
      if (acknowledges_at_once) release();
      return Done{};
    };
    handlers.closed = [this](const SessionPointer& session, bool clean, std::string_view) {
      clean ? ++clean_count : ++unclean_count;
      last_request = session->request();
    };
    endpoint.emplace(loop, options, std::move(handlers));
    ListenOptions listen;
    listen.port = port;
    listen.tls = TestTls::get().server;
    auto listening = listen_tcp(loop, listen, [this](ConnectionPointer connection) {
      endpoint->accept(std::move(connection), listener->port());
    });
    EXPECT_TRUE(listening) << listening.error().message;
    listener = *std::move(listening);
  }
  void release(std::size_t count = SIZE_MAX) {
    count = std::min(count, held.size());
    for (std::size_t index = 0; index < count; ++index) held[index](Done{});
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(count));
  }

  std::vector<ConnectCode> verdicts;
  std::vector<std::string> passwords, received, retained;
  ConnectRequest last_request;
  std::vector<Acknowledge> held;
  std::size_t held_max = 0;
  bool acknowledges_at_once = true;
  int duplicate_count = 0, clean_count = 0, unclean_count = 0;
  std::unique_ptr<Listener> listener;
  std::optional<Endpoint> endpoint;
};

class ClientTest : public ::testing::Test {
 protected:
  Server& serve(Endpoint::Options options = {}, std::uint16_t port = 0) {
    server.reset();
    server = std::make_unique<Server>(loop, options, port);
    return *server;
  }
  ClientOptions options_for(std::uint16_t port) const {
    ClientOptions options;
    options.connect.host = "127.0.0.1";
    options.connect.port = port;
    options.connect.tls = TestTls::get().client;
    options.connect.timeout = milliseconds(60'000);
    options.client_id = "d1";
    options.username = "hub/d1";
    options.retry_delay_min = milliseconds(10);
    options.retry_delay_max = milliseconds(50);
    return options;
  }
  ClientOptions options() const { return options_for(server->listener->port()); }
  Client::Handlers handlers() {
    Client::Handlers use;
    use.password = [this](auto reply) { reply("token " + std::to_string(++password_count)); };
    use.connected = [this](bool) { ++connected_count; };
    use.disconnected = [this](const Error& reason) { errors.push_back(reason); };
    use.message = [this](std::string_view topic, std::string_view payload, std::uint8_t qos) {
      messages.push_back(std::string(topic) + "=" + std::string(payload) + ":" + std::to_string(qos));
    };
    return use;
  }
  void start(ClientOptions use) {
    client = std::make_unique<Client>(loop, std::move(use), handlers());
    client->start();
  }
  template <class Condition>
  void wait_until(Condition is_true) {
    const std::int64_t end_us = system_clock().monotonic_us() + 60'000'000;
    while (!is_true() && system_clock().monotonic_us() < end_us) loop.run_for(milliseconds(2));
    ASSERT_TRUE(is_true());
  }
  void publish_numbers(int begin, int end) {
    for (int number = begin; number < end; ++number) {
      ASSERT_TRUE(client->publish("a", std::to_string(number), 1,
                                  [this](const Status& status) { status ? ++done_count : ++failed_count; }));
    }
  }

  Loop loop;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
  int password_count = 0, connected_count = 0, done_count = 0, failed_count = 0;
  std::vector<Error> errors;
  std::vector<std::string> messages;
};

TEST_F(ClientTest, PublishesAndReceives) {
  serve();
  start(options());
  std::string verdicts;
  client->subscribe("in/#", 1, [&](const Status& status) { verdicts += status ? "early " : "? "; });
  wait_until([&] { return client->is_connected(); });
  EXPECT_EQ(connected_count, 1);
  EXPECT_EQ(verdicts, "early ");
  EXPECT_THAT(server->passwords, ElementsAre("token 1"));
  client->subscribe("zero", 0, [&](const Status& status) { verdicts += status ? "late " : "? "; });
  publish_numbers(0, 3);
  bool is_sent = false;
  ASSERT_TRUE(client->publish("a", "zero", 0, [&](const Status& status) { is_sent = static_cast<bool>(status); }));
  wait_until([&] { return done_count == 3 && verdicts == "early late "; });
  EXPECT_TRUE(is_sent);
  EXPECT_THAT(server->received, ElementsAre("0", "1", "2", "zero"));
  const SessionPointer session = server->endpoint->find("d1");
  bool is_acknowledged = false;
  ASSERT_TRUE(
      session->deliver("in/x", "hello", 1, [&](const Status& status) { is_acknowledged = static_cast<bool>(status); }));
  ASSERT_TRUE(session->deliver("zero", "low", 1));
  wait_until([&] { return is_acknowledged && messages.size() == 2; });
  EXPECT_THAT(messages, ElementsAre("in/x=hello:1", "zero=low:0"));
  client->unsubscribe("in/#");
  wait_until([&] { return !session->is_subscribed("in/x"); });
  EXPECT_EQ(client->unacknowledged_count(), 0U);
}

TEST_F(ClientTest, RetainedPublishesSaySo) {
  serve();
  start(options());
  const auto count = [this](const Status&) { ++done_count; };
  ASSERT_TRUE(client->publish("a", "kept", 1, count, true));
  ASSERT_TRUE(client->publish("a", "passing", 1, count));
  wait_until([&] { return done_count == 2; });
  ASSERT_TRUE(client->publish("a", "kept too", 0, count, true));
  wait_until([&] { return server->received.size() == 3; });
  EXPECT_THAT(server->retained, ElementsAre("kept", "kept too"));
}

TEST_F(ClientTest, TheWillIsTheServersUntilItIsLeftProperly) {
  serve();
  ClientOptions use = options();
  use.will = LastWill{"v/available", "offline", true};
  start(use);
  wait_until([&] { return client->is_connected(); });
  client->stop();
  wait_until([&] { return server->clean_count == 1; });
  EXPECT_TRUE(server->last_request.has_will);
  EXPECT_EQ(server->last_request.will_topic, "v/available");
  EXPECT_EQ(server->last_request.will_payload, "offline");
  EXPECT_EQ(server->last_request.will_qos, 1);
  EXPECT_TRUE(server->last_request.will_is_retained);
  use.will = LastWill{"v/+", "offline", true};
  start(use);
  wait_until([&] { return !errors.empty(); });
  EXPECT_EQ(errors.front().code, ErrorCode::invalid_argument);
}

TEST_F(ClientTest, OrderHoldsUnderBackPressure) {
  Endpoint::Options limits;
  limits.limits.inflight_max = 16;
  Server& slow = serve(limits);
  slow.acknowledges_at_once = false;
  start(options());
  publish_numbers(0, 2'000);
  wait_until([&] {
    slow.release(5);
    return done_count == 2'000;
  });
  EXPECT_LE(slow.held_max, 16U);
  std::vector<std::string> expected;
  for (int number = 0; number < 2'000; ++number) expected.push_back(std::to_string(number));
  EXPECT_EQ(slow.received, expected);
}

TEST_F(ClientTest, LargeMessages) {
  serve();
  start(options());
  const std::string large(300'000, 'L');
  ASSERT_TRUE(client->publish("a", large, 1, [&](const Status&) { ++done_count; }));
  wait_until([&] { return done_count == 1; });
  EXPECT_EQ(server->received.at(0), large);
  EXPECT_EQ(client->publish("a", std::string(600'000, 'x'), 1).error().code, ErrorCode::limit);
  EXPECT_EQ(client->publish("a", std::string(600'000, 'x'), 0).error().code, ErrorCode::limit);
}

TEST_F(ClientTest, WindowBoundsWhatIsOnTheWire) {
  serve().acknowledges_at_once = false;
  ClientOptions use = options();
  use.inflight_max = 3;
  start(use);
  publish_numbers(0, 10);
  wait_until([&] { return server->held.size() == 3; });
  loop.run_for(milliseconds(30));
  EXPECT_EQ(server->held.size(), 3U);
  EXPECT_EQ(client->unacknowledged_count(), 10U);
  wait_until([&] {
    server->release();
    return done_count == 10;
  });
  EXPECT_EQ(server->held_max, 3U);
}

TEST_F(ClientTest, RestartOfTheServerLosesNothing) {
  Server* first = &serve();
  first->acknowledges_at_once = false;
  const std::uint16_t port = first->listener->port();
  ClientOptions use = options();
  use.inflight_max = 50;
  start(use);
  publish_numbers(0, 200);
  wait_until([&] { return first->received.size() >= 50; });
  first->release(20);
  wait_until([&] { return done_count == 20; });
  const std::vector<std::string> before = first->received;

  Server& second = serve({}, port);
  publish_numbers(200, 250);
  wait_until([&] { return done_count == 250; });
  EXPECT_EQ(failed_count, 0);
  EXPECT_EQ(connected_count, 2);
  EXPECT_FALSE(errors.empty());
  // What was not acknowledged comes again from number 20 on, in order, marked, before what is new.
  std::vector<std::string> expected;
  for (int number = 20; number < 250; ++number) expected.push_back(std::to_string(number));
  EXPECT_EQ(second.received, expected);
  EXPECT_EQ(static_cast<std::size_t>(second.duplicate_count), before.size() - 20);
}

TEST_F(ClientTest, SubscriptionsAreRenewed) {
  Server* first = &serve();
  const std::uint16_t port = first->listener->port();
  start(options());
  for (int index = 0; index < 20; ++index) client->subscribe("in/" + std::to_string(index), 1);
  wait_until([&] { return client->is_connected(); });
  Server& second = serve({}, port);
  wait_until([&] { return connected_count == 2; });
  const SessionPointer session = second.endpoint->find("d1");
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->subscriptions().size(), 20U);
}

TEST_F(ClientTest, EachAttemptAsksForThePasswordAndTellsWhyItFailed) {
  Server& strict = serve();
  strict.verdicts = {ConnectCode::bad_credentials, ConnectCode::unavailable, ConnectCode::not_authorized,
                     ConnectCode::bad_client_id};
  start(options());
  wait_until([&] { return client->is_connected(); });
  EXPECT_THAT(strict.passwords, ElementsAre("token 1", "token 2", "token 3", "token 4", "token 5"));
  ASSERT_EQ(errors.size(), 4U);
  EXPECT_EQ(errors[0].code, ErrorCode::invalid_argument);
  EXPECT_EQ(errors[1].code, ErrorCode::unavailable);
  EXPECT_EQ(errors[2].code, ErrorCode::invalid_argument);
  EXPECT_EQ(errors[3].code, ErrorCode::invalid_argument);
  EXPECT_THAT(errors[0].message, HasSubstr("user name or password"));
}

TEST_F(ClientTest, PasswordMayFailOrComeLate) {
  serve();
  Client::Handlers use = handlers();
  std::function<void(Result<std::string>)> late;
  use.password = [&](auto reply) {
    if (++password_count == 1) return reply(Error{ErrorCode::unavailable, "signer is away"});
    late = std::move(reply);
  };
  client = std::make_unique<Client>(loop, options(), std::move(use));
  client->start();
  wait_until([&] { return late != nullptr; });
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors[0].message, HasSubstr("signer is away"));
  late(std::string("token"));
  late(std::string("twice"));
  wait_until([&] { return client->is_connected(); });
}

TEST_F(ClientTest, NoServerMeansMoreAndLaterAttempts) {
  serve();
  ClientOptions use = options();
  server.reset();
  use.retry_delay_min = milliseconds(20);
  use.retry_delay_max = milliseconds(10'000);
  start(use);
  const std::int64_t begin_us = system_clock().monotonic_us();
  wait_until([&] { return errors.size() == 5; });
  // At least half of 20, 40, 80 and 160 ms.
  EXPECT_GE(system_clock().monotonic_us() - begin_us, 150'000);
  EXPECT_EQ(errors[0].code, ErrorCode::unavailable);
  EXPECT_FALSE(client->is_connected());
}

TEST_F(ClientTest, QueueBoundAndQosZeroOffline) {
  serve();
  ClientOptions use = options();
  server.reset();
  use.queued_max = 5;
  start(use);
  publish_numbers(0, 5);
  EXPECT_EQ(client->publish("a", "x", 1).error().code, ErrorCode::limit);
  EXPECT_EQ(client->publish("a/#", "x", 1).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(client->publish("a", "x", 2).error().code, ErrorCode::invalid_argument);
  std::optional<ErrorCode> dropped;
  EXPECT_TRUE(client->publish("a", "x", 0, [&](const Status& status) { dropped = status.error().code; }));
  EXPECT_EQ(dropped, ErrorCode::unavailable);
}

TEST_F(ClientTest, StopFailsWhatIsPending) {
  serve().acknowledges_at_once = false;
  start(options());
  publish_numbers(0, 4);
  wait_until([&] { return server->held.size() == 4; });
  client->stop();
  EXPECT_EQ(failed_count, 4);
  EXPECT_FALSE(client->is_connected());
  wait_until([&] { return server->clean_count == 1; });
  EXPECT_THAT(errors, IsEmpty());
  client->start();
  wait_until([&] { return client->is_connected(); });
}

TEST_F(ClientTest, ReconnectUsesNewCredentials) {
  serve();
  start(options());
  client->subscribe("in", 1);
  wait_until([&] { return client->is_connected(); });
  client->reconnect();
  EXPECT_FALSE(client->is_connected());
  publish_numbers(0, 10);
  wait_until([&] { return done_count == 10 && connected_count == 2; });
  EXPECT_THAT(server->passwords, ElementsAre("token 1", "token 2"));
  EXPECT_EQ(server->clean_count, 1);
  EXPECT_EQ(errors.size(), 1U);
  EXPECT_TRUE(server->endpoint->find("d1")->is_subscribed("in"));
}

TEST_F(ClientTest, SecondClientOfTheIdentityTakesOver) {
  serve();
  start(options());
  wait_until([&] { return client->is_connected(); });
  ClientOptions use = options();
  use.retry_delay_min = use.retry_delay_max = milliseconds(60'000);
  Client other(loop, use, {});
  other.start();
  wait_until([&] { return other.is_connected() && !errors.empty(); });
  EXPECT_EQ(server->unclean_count, 1);
}

TEST_F(ClientTest, RefusedSubscriptionIsTold) {
  Endpoint::Options lenient;
  lenient.closes_on_refused_subscription = false;
  serve(lenient);
  start(options());
  std::vector<ErrorCode> codes;
  const auto note = [&](const Status& status) {
    if (!status) codes.push_back(status.error().code);
  };
  client->subscribe("secret", 1, note);
  client->subscribe("a#", 1, note);
  wait_until([&] { return codes.size() == 2; });
  EXPECT_THAT(codes, ElementsAre(ErrorCode::invalid_argument, ErrorCode::invalid_argument));
}

TEST_F(ClientTest, MayBeDestroyedInItsOwnHandlers) {
  serve();
  for (int turn = 0; turn < 2; ++turn) {
    Client::Handlers use = handlers();
    use.connected = [&](bool) {
      if (turn == 0) client.reset();
    };
    use.message = [&](std::string_view, std::string_view, std::uint8_t) { client.reset(); };
    client = std::make_unique<Client>(loop, options(), std::move(use));
    client->subscribe("in", 1);
    client->start();
    wait_until([&] {
      const SessionPointer session = server->endpoint->find("d1");
      if (turn == 1 && session && client && client->is_connected()) {
        static_cast<void>(static_cast<bool>(session->deliver("in", "x", 1)));
      }
      return client == nullptr;
    });
  }
  wait_until([&] { return server->endpoint->session_count() == 0; });
}

/// A peer that is no MQTT server: answers the first bytes with `answer`, then is silent.
std::unique_ptr<Listener> serve_bytes(Loop& loop, std::vector<ConnectionPointer>& kept, std::string answer) {
  auto listening = listen_tcp(loop, {}, [&kept, answer = std::move(answer)](ConnectionPointer connection) {
    kept.push_back(connection);
    Connection::Handler handler;
    handler.bytes = [raw = connection.get(), answer, is_answered = false](std::string_view) mutable {
      if (!std::exchange(is_answered, true)) raw->send(answer);
    };
    connection->start(std::move(handler));
  });
  EXPECT_TRUE(listening);
  return *std::move(listening);
}

TEST_F(ClientTest, BadServers) {
  const std::string connack("\x20\x02\x00\x00", 4);
  struct Row {
    const char* why;
    std::string answer;
    ErrorCode code;
  };
  for (const Row& row : {
           Row{"silence", "", ErrorCode::timeout},
           Row{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", ErrorCode::corrupt},
           Row{"PUBLISH before CONNACK", std::string("\x30\x03\x00\x01\x61", 5), ErrorCode::corrupt},
           Row{"two CONNACKs", connack + connack, ErrorCode::corrupt},
           Row{"CONNECT", connack + std::string("\x10\x00", 2), ErrorCode::corrupt},
           Row{"a SUBACK that nobody asked for", connack + std::string("\x90\x03\x00\x01\x00", 5), ErrorCode::corrupt},
           Row{"a huge packet", connack + "\x30\xFF\xFF\x7F", ErrorCode::limit},
       }) {
    std::vector<ConnectionPointer> kept;
    const auto listener = serve_bytes(loop, kept, row.answer);
    ClientOptions use = options_for(listener->port());
    use.connect.tls = nullptr;
    if (row.code == ErrorCode::timeout) use.connect.timeout = milliseconds(100);
    errors.clear();
    start(use);
    wait_until([&] { return !errors.empty(); });
    EXPECT_EQ(errors[0].code, row.code) << row.why << ": " << errors[0].message;
    client.reset();
  }
}

TEST_F(ClientTest, PingsKeepAnIdleConnectionAndGiveUpASilentServer) {
  serve();
  ClientOptions use = options();
  use.keep_alive_s = 2;
  start(use);
  std::vector<ConnectionPointer> kept;
  const auto silent = serve_bytes(loop, kept, std::string("\x20\x02\x00\x00", 4));
  use = options_for(silent->port());
  use.connect.tls = nullptr;
  use.keep_alive_s = 1;
  std::vector<Error> silence;
  Client::Handlers note;
  note.disconnected = [&](const Error& reason) { silence.push_back(reason); };
  Client unheard(loop, use, std::move(note));
  unheard.start();
  wait_until([&] { return !silence.empty(); });
  EXPECT_EQ(silence[0].code, ErrorCode::timeout);
  EXPECT_THAT(silence[0].message, HasSubstr("PINGREQ"));
  loop.run_for(milliseconds(2'000));  // Beyond 1.5 times the keep-alive of the idle one.
  EXPECT_TRUE(client->is_connected());
  EXPECT_EQ(connected_count, 1);
  EXPECT_EQ(server->unclean_count, 0);
}

TEST_F(ClientTest, OverWebSocket) {
  serve();
  HttpServer::Handlers use;
  use.request = [](HttpRequest, Respond respond) { respond({}); };
  std::string target;
  use.accept_websocket = [&](const HttpRequest& head, std::string& protocol) {
    target = head.target;
    protocol = "mqtt";
    return true;
  };
  use.websocket = [&](const HttpRequest&, std::shared_ptr<WebSocket> socket) {
    server->endpoint->accept(as_connection(std::move(socket)), 443);
  };
  HttpServer web(loop, std::move(use));
  ListenOptions listen;
  listen.tls = TestTls::get().server;
  const auto port = web.listen(listen);
  ASSERT_TRUE(port) << port.error().message;
  ClientOptions client_options = options_for(*port);
  client_options.websocket_target = "/$iothub/websocket";
  start(client_options);
  client->subscribe("in", 1);
  publish_numbers(0, 100);
  ASSERT_TRUE(client->publish("a", std::string(300'000, 'L'), 1, [this](const Status&) { ++done_count; }));
  wait_until([&] { return done_count == 101; });
  EXPECT_EQ(target, "/$iothub/websocket");
  ASSERT_TRUE(server->endpoint->find("d1")->deliver("in", "hello", 1));
  wait_until([&] { return messages.size() == 1; });
  client->stop();
  wait_until([&] { return server->clean_count == 1; });
}

}  // namespace
}  // namespace verge::messaging
