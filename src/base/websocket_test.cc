#include "base/websocket.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/certificates.h"
#include "base/http_server.h"
#include "base/loop_for_tests.h"
#include "base/websocket_internal.h"

namespace verge {
namespace {

struct Message {
  std::string bytes;
  bool is_binary = false;
  bool operator==(const Message&) const = default;
};

struct SocketEnd {
  std::shared_ptr<WebSocket> socket;
  std::vector<Message> heard;
  std::vector<Error> closed;

  void start() {
    socket->start({[this](std::string_view bytes, bool is_binary) {
                     heard.push_back({std::string(bytes), is_binary});
                   },
                   [this](const Error& reason) { closed.push_back(reason); }});
  }
};

/// A server that accepts "/ws" and one client.
struct SocketPair {
  Loop loop;
  SocketEnd server, client;
  HttpRequest upgrade;
  std::optional<Error> error;
  HttpServer http;
  std::uint16_t port = 0;

  explicit SocketPair(WebSocketOptions options = {}, TlsPointer server_tls = nullptr)
      : http(loop, {.request = [](const HttpRequest&, const Respond& respond) { respond(text_response("page")); },
                    .accept_websocket =
                        [](const HttpRequest& head, std::string& protocol) {
                          if (head.headers.get("Sec-WebSocket-Protocol") == "mqtt") protocol = "mqtt";
                          return head.path == "/ws";
                        },
                    .websocket =
                        [this](const HttpRequest& head, std::shared_ptr<WebSocket> socket) {
                          upgrade = head;
                          server.socket = std::move(socket);
                          server.start();
                        }}) {
    port = *http.listen({.tls = std::move(server_tls)});
    options.connect.host = "127.0.0.1";
    options.connect.port = port;
    if (options.target == "/") options.target = "/ws?room=1";
    connect_websocket(loop, options, [this](Result<std::shared_ptr<WebSocket>> made) {
      if (!made) {
        error = made.error();
        return;
      }
      client.socket = *made;
      client.start();
    });
    run_until(loop, [&] { return error || (client.socket && server.socket); });
  }
};

TEST(WebSocket, MessagesGoBothWays) {
  SocketPair pair({.protocol = "mqtt"});
  ASSERT_FALSE(pair.error) << pair.error->message;
  EXPECT_EQ(pair.upgrade.query["room"], "1");
  const std::string large = random_bytes(3'000'000);
  pair.client.socket->send_text("grüß");
  pair.client.socket->send_binary(large);
  pair.client.socket->send_text("");
  pair.server.socket->send_binary(large);
  pair.server.socket->send_text("back");
  EXPECT_GT(pair.server.socket->unsent_bytes(), large.size());
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard.size() == 3 && pair.client.heard.size() == 2; }));
  EXPECT_EQ(pair.server.heard, (std::vector<Message>{{"grüß", false}, {large, true}, {"", false}}));
  EXPECT_EQ(pair.client.heard, (std::vector<Message>{{large, true}, {"back", false}}));
  EXPECT_TRUE(pair.server.socket->peer().address.starts_with("127.0.0.1:"));
}

TEST(WebSocket, EitherSideMayClose) {
  for (const bool server_closes : {false, true}) {
    SocketPair pair;
    ASSERT_FALSE(pair.error);
    SocketEnd& closer = server_closes ? pair.server : pair.client;
    SocketEnd& other = server_closes ? pair.client : pair.server;
    closer.socket->send_text("bye");
    closer.socket->close();
    closer.socket->send_text("too late");
    EXPECT_TRUE(run_until(pair.loop, [&] { return other.closed.size() == 1; }));
    EXPECT_EQ(other.heard, (std::vector<Message>{{"bye", false}}));
    EXPECT_NE(other.closed[0].message.find("code 1000"), std::string::npos);
    EXPECT_TRUE(closer.closed.empty());
  }
}

TEST(WebSocket, ADroppedPeerIsNoticed) {
  SocketPair pair;
  ASSERT_FALSE(pair.error);
  pair.client.socket.reset();
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.closed.size() == 1; }));
}

TEST(WebSocket, OverTls) {
  const auto authority = *make_authority("a");
  const auto made = *make_certificate(authority, {.common_name = "x", .ip_addresses = {"127.0.0.1"}});
  SocketPair pair({.connect = {.tls = *TlsContext::make_client({.trust_pem = authority.certificate_pem})}},
                  *TlsContext::make_server({.certificate_chain_pem = made.certificate_pem, .key_pem = made.key_pem}));
  ASSERT_FALSE(pair.error) << pair.error->message;
  pair.client.socket->send_text("hello");
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard.size() == 1; }));
  EXPECT_TRUE(pair.upgrade.is_tls);
}

TEST(WebSocket, RefusedUpgradesAreErrors) {
  const SocketPair pair({.target = "/elsewhere"});
  ASSERT_TRUE(pair.error);
  EXPECT_EQ(pair.error->code, ErrorCode::unavailable);
  EXPECT_NE(pair.error->message.find("403"), std::string::npos) << pair.error->message;
}

TEST(WebSocket, AnOrdinaryRequestStillWorksBesideIt) {
  SocketPair pair;
  std::string heard;
  ConnectionPointer raw;
  connect_tcp(pair.loop, {.host = "127.0.0.1", .port = pair.port}, [&](Result<ConnectionPointer> made) {
    raw = *made;
    raw->start({[&](std::string_view bytes) { heard += bytes; }, nullptr});
    raw->send("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");  // without Connection: Upgrade
  });
  EXPECT_TRUE(run_until(pair.loop, [&] { return heard.find("page") != std::string::npos; }));
}

TEST(WebSocket, FramesThatComeWithTheHeadAndFaults) {
  SocketPair pair;
  pair.server = SocketEnd();
  std::string heard;
  bool is_closed = false;
  ConnectionPointer raw;
  connect_tcp(pair.loop, {.host = "127.0.0.1", .port = pair.port}, [&](Result<ConnectionPointer> made) {
    raw = *made;
    raw->start({[&](std::string_view bytes) { heard += bytes; }, [&](const Error&) { is_closed = true; }});
    raw->send(
        "GET /ws HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    raw->send(std::string("\x81\x82\0\0\0\0hi\x89\x81\0\0\0\0p", 15));
  });
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard.size() == 1; }));
  EXPECT_EQ(pair.server.heard[0].bytes, "hi");
  EXPECT_TRUE(run_until(pair.loop, [&] { return heard.ends_with(std::string("\x8a\x01p")); }));
  EXPECT_NE(heard.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);  // RFC 6455, 1.3
  raw->send(std::string("\x81\x02hi", 4));                                                         // not masked
  EXPECT_TRUE(run_until(pair.loop, [&] { return is_closed; }));
  ASSERT_EQ(pair.server.closed.size(), 1U);
  EXPECT_EQ(pair.server.closed[0].code, ErrorCode::corrupt);
}

TEST(AsConnection, IsAByteStream) {
  SocketPair pair;
  ASSERT_FALSE(pair.error);
  std::string at_server;
  std::string at_client;
  bool is_closed = false;
  const auto server = as_connection(pair.server.socket);
  const auto client = as_connection(pair.client.socket);
  server->start({[&](std::string_view bytes) { at_server += bytes; }, [&](const Error&) { is_closed = true; }});
  client->start({[&](std::string_view bytes) { at_client += bytes; }, nullptr});
  client->send("ab");
  client->send("cd");
  server->send("xy");
  EXPECT_TRUE(run_until(pair.loop, [&] { return at_server == "abcd" && at_client == "xy"; }));
  server->pause_reading(true);
  client->send("later");
  pair.loop.run_for(std::chrono::milliseconds(10));
  EXPECT_EQ(at_server, "abcd");
  server->pause_reading(false);
  EXPECT_TRUE(run_until(pair.loop, [&] { return at_server == "abcdlater"; }));
  client->close();
  EXPECT_TRUE(run_until(pair.loop, [&] { return is_closed; }));
  EXPECT_TRUE(run_until(pair.loop, [&] { return server->unsent_bytes() == 0; }));
}

}  // namespace
}  // namespace verge
