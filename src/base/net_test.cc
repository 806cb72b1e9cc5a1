#include "base/net.h"

#include <algorithm>
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/certificates.h"
#include "base/loop_for_tests.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

using std::chrono::milliseconds;

/// One end of a stream, with what it heard.
struct End {
  ConnectionPointer connection;
  std::string heard;
  std::vector<Error> closed;
  int drained = 0;

  void start() {
    connection->start({[this](std::string_view bytes) { heard.append(bytes); },
                       [this](const Error& reason) { closed.push_back(reason); }, [this] { ++drained; }});
  }
};

/// An authority, a certificate for "hub.test" and 127.0.0.1, and contexts made of them.
struct Tls {
  KeyAndCertificate authority = *make_authority("test authority");
  TlsPointer server, client;

  explicit Tls(CertificateRequest request = {.common_name = "hub",
                                             .dns_names = {"hub.test"},
                                             .ip_addresses = {"127.0.0.1"}},
               bool ask_for_client = false) {
    const auto made = *make_certificate(authority, request);
    server = *TlsContext::make_server({.certificate_chain_pem = made.certificate_pem + authority.certificate_pem,
                                       .key_pem = made.key_pem,
                                       .request_client_certificate = ask_for_client});
    client = *TlsContext::make_client({.trust_pem = authority.certificate_pem});
  }
};

/// A listener and one connection through it.
struct Pair {
  Loop loop;
  std::unique_ptr<Listener> listener;
  End server, client;
  std::optional<Error> connect_error;

  explicit Pair(ListenOptions options = {}, ConnectOptions connect = {}) {
    listener = *listen_tcp(loop, options, [this](ConnectionPointer made) {
      server.connection = std::move(made);
      server.start();
    });
    if (connect.host.empty()) connect.host = "127.0.0.1";
    connect.port = listener->port();
    connect_tcp(loop, connect, [this](Result<ConnectionPointer> made) {
      if (!made) {
        connect_error = made.error();
        return;
      }
      client.connection = *made;
      client.start();
    });
    run_until(loop, [&] { return connect_error || (client.connection && server.connection); });
  }
  bool is_up() const { return client.connection != nullptr && server.connection != nullptr; }
};

Pair tls_pair(const Tls& tls, const std::string& name) {
  return Pair({.tls = tls.server}, {.tls = tls.client, .server_name = name});
}

TEST(Tcp, BytesGoBothWays) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  EXPECT_TRUE(pair.server.connection->peer().address.starts_with("127.0.0.1:"));
  EXPECT_EQ(pair.client.connection->peer().address, "127.0.0.1:" + std::to_string(pair.listener->port()));
  pair.client.connection->send("question");
  pair.server.connection->send("answer");
  EXPECT_EQ(pair.client.connection->unsent_bytes(), 8U);
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard == "question" && pair.client.heard == "answer"; }));
  EXPECT_EQ(pair.client.connection->unsent_bytes(), 0U);
  EXPECT_EQ(pair.client.drained, 1);
}

TEST(Tcp, OneTurnOfTheLoopIsOnePiece) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  for (int i = 0; i < 1000; ++i) pair.client.connection->send("0123456789");
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard.size() == 10'000; }));
  EXPECT_EQ(pair.client.drained, 1);
}

TEST(Tcp, CloseDeliversWhatIsQueuedAndEndsQuietly) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  const std::string large = random_bytes(3'000'000);
  pair.client.connection->send(large);
  pair.client.connection->close();
  pair.client.connection->send("too late");
  EXPECT_TRUE(run_until(pair.loop, [&] { return !pair.server.closed.empty(); }));
  EXPECT_TRUE(pair.server.heard == large);
  EXPECT_EQ(pair.server.closed[0].code, ErrorCode::unavailable);
  pair.loop.run_for(milliseconds(5));
  EXPECT_EQ(pair.server.closed.size(), 1U);
  EXPECT_TRUE(pair.client.closed.empty());
}

TEST(Tcp, CloseGivesUpAfterASecond) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  pair.server.connection->pause_reading(true);
  const std::weak_ptr<Connection> weak = pair.client.connection;
  pair.client.connection->send(std::string(50'000'000, 'x'));
  pair.client.connection->close();
  pair.client.connection.reset();
  EXPECT_TRUE(run_until(pair.loop, [&] { return weak.expired(); }));
}

TEST(Tcp, AbortAndDroppingCloseAtOnce) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  pair.client.connection->abort();
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.closed.size() == 1; }));
  Pair other;
  ASSERT_TRUE(other.is_up());
  other.client.connection.reset();
  EXPECT_TRUE(run_until(other.loop, [&] { return other.server.closed.size() == 1; }));
}

TEST(Tcp, ACallBackMayCloseItsConnection) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  int calls = 0;
  pair.server.connection->start({[&](std::string_view) {
                                   ++calls;
                                   pair.server.connection->close();
                                   pair.server.connection.reset();
                                 },
                                 [&](const Error&) { ++calls; }});
  pair.client.connection->send("x");
  EXPECT_TRUE(run_until(pair.loop, [&] { return !pair.client.closed.empty(); }));
  EXPECT_EQ(calls, 1);
}

TEST(Tcp, PausedConnectionsPushBack) {
  Pair pair;
  ASSERT_TRUE(pair.is_up());
  pair.server.connection->pause_reading(true);
  const std::string large = random_bytes(30'000'000);
  pair.client.connection->send(large);
  pair.loop.run_for(milliseconds(30));
  EXPECT_TRUE(pair.server.heard.empty());
  EXPECT_GT(pair.client.connection->unsent_bytes(), 1'000'000U);
  pair.server.connection->pause_reading(false);
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard.size() == large.size(); }));
  EXPECT_TRUE(pair.server.heard == large);
}

TEST(Tcp, ConnectionsAreBounded) {
  Pair pair({.connections_max = 1});
  ASSERT_TRUE(pair.is_up());
  End second;
  connect_tcp(pair.loop, {.host = "127.0.0.1", .port = pair.listener->port()}, [&](Result<ConnectionPointer> made) {
    ASSERT_TRUE(made);
    second.connection = *made;
    second.start();
  });
  EXPECT_TRUE(run_until(pair.loop, [&] { return !second.closed.empty(); }));
  EXPECT_EQ(pair.listener->refused_count(), 1U);
  // The place is free again once the first one ended.
  pair.server.connection->abort();
  pair.server.connection.reset();
  End third;
  connect_tcp(pair.loop, {.host = "127.0.0.1", .port = pair.listener->port()},
              [&](Result<ConnectionPointer> made) { third.connection = *made; });
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.connection != nullptr; }));
}

TEST(Tcp, ListenErrorsNameTheAddress) {
  Loop loop;
  const auto ignore = [](ConnectionPointer) {};
  const auto first = *listen_tcp(loop, {}, ignore);
  const auto taken = listen_tcp(loop, {.port = first->port()}, ignore);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::conflict);
  EXPECT_NE(taken.error().message.find("127.0.0.1:" + std::to_string(first->port())), std::string::npos);
  EXPECT_EQ(listen_tcp(loop, {.address = "localhost"}, ignore).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(listen_tcp(loop, {.address = "192.0.2.1"}, ignore).error().code, ErrorCode::unavailable);
  EXPECT_TRUE(listen_tcp(loop, {.address = "192.0.2.1", .bind_before_address_exists = true}, ignore));
}

TEST(Tcp, ConnectErrors) {
  Loop loop;
  std::vector<Error> errors;
  const auto collect = [&](Result<ConnectionPointer> made) { errors.push_back(made.error()); };
  std::uint16_t dead_port = 0;
  {
    dead_port = (*listen_tcp(loop, {}, [](ConnectionPointer) {}))->port();
  }
  connect_tcp(loop, {.host = "127.0.0.1", .port = dead_port}, collect);
  EXPECT_TRUE(errors.empty());  // never from inside the call
  EXPECT_TRUE(run_until(loop, [&] { return errors.size() == 1; }));
  EXPECT_EQ(errors[0].code, ErrorCode::unavailable);
  EXPECT_NE(errors[0].message.find("127.0.0.1:" + std::to_string(dead_port)), std::string::npos);
}

TEST(Tcp, ConnectByNameAndTimeout) {
  Pair pair({}, {.host = "localhost"});
  EXPECT_TRUE(pair.is_up()) << pair.connect_error->message;
  // A listener that never answers the TLS handshake.
  const Tls tls;
  std::optional<Error> error;
  connect_tcp(pair.loop,
              {.host = "127.0.0.1", .port = pair.listener->port(), .tls = tls.client, .timeout = milliseconds(60)},
              [&](Result<ConnectionPointer> made) { error = made.error(); });
  EXPECT_TRUE(run_until(pair.loop, [&] { return error.has_value(); }));
  EXPECT_EQ(error->code, ErrorCode::timeout);
}

TEST(TlsStream, BytesGoBothWaysAndGoodbyeIsClean) {
  const Tls tls;
  Pair pair = tls_pair(tls, "hub.test");
  ASSERT_TRUE(pair.is_up()) << pair.connect_error->message;
  const std::string large = random_bytes(2'000'000);
  pair.client.connection->send("small");
  pair.server.connection->send(large);
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.client.heard.size() == large.size(); }));
  EXPECT_TRUE(pair.client.heard == large);
  EXPECT_EQ(pair.server.heard, "small");
  EXPECT_EQ(pair.server.connection->peer().certificate_thumbprint, "");
  pair.client.connection->send("last words");
  pair.client.connection->close();
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.closed.size() == 1; }));
  EXPECT_EQ(pair.server.heard, "smalllast words");
}

TEST(TlsStream, ManySmallMessagesArriveInOrder) {
  const Tls tls;
  Pair pair = tls_pair(tls, "127.0.0.1");
  ASSERT_TRUE(pair.is_up());
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    const std::string message = std::to_string(i) + ";";
    expected += message;
    pair.client.connection->send(message);
    if (i % 97 == 0) pair.loop.run_for(milliseconds(0));
  }
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard.size() == expected.size(); }));
  EXPECT_TRUE(pair.server.heard == expected);
}

struct NameRow {
  std::string name;
  bool is_accepted;
};

TEST(TlsStream, TheCertificateMustBeForTheName) {
  const Tls tls;
  const NameRow rows[] = {{"hub.test", true},    {"HUB.test", true},   {"127.0.0.1", true}, {"other.test", false},
                          {"x.hub.test", false}, {"127.0.0.2", false}, {"hub", false}};
  for (const auto& row : rows) {
    const Pair pair = tls_pair(tls, row.name);
    EXPECT_EQ(pair.connect_error.has_value(), !row.is_accepted) << row.name;
    if (!pair.connect_error) continue;
    EXPECT_EQ(pair.connect_error->code, ErrorCode::unavailable);
    EXPECT_NE(pair.connect_error->message.find("certificate is refused"), std::string::npos)
        << pair.connect_error->message;
  }
}

TEST(TlsStream, StrangersAreRefused) {
  const Tls ours;
  const Tls theirs;
  Pair pair({.tls = theirs.server}, {.tls = ours.client, .server_name = "hub.test"});
  ASSERT_TRUE(pair.connect_error);
  Pair by_system({.tls = theirs.server}, {.tls = *TlsContext::make_client({}), .server_name = "hub.test"});
  EXPECT_TRUE(by_system.connect_error);
}

TEST(TlsStream, AnIntermediateMayBeTrustedAlone) {
  const auto root = *make_authority("root");
  const auto middle = *make_certificate(root, {.common_name = "middle", .is_authority = true});
  const auto leaf = *make_certificate(middle, {.common_name = "leaf", .dns_names = {"leaf.test"}});
  ListenOptions listen{
      .tls = *TlsContext::make_server(
          {.certificate_chain_pem = leaf.certificate_pem + middle.certificate_pem, .key_pem = leaf.key_pem})};
  for (const auto& trust : {root.certificate_pem, middle.certificate_pem}) {
    const Pair pair(listen, {.tls = *TlsContext::make_client({.trust_pem = trust}), .server_name = "leaf.test"});
    EXPECT_TRUE(pair.is_up()) << pair.connect_error->message;
  }
}

TEST(TlsStream, ClientCertificatesAreReportedNotJudged) {
  const Tls tls({.common_name = "hub", .dns_names = {"hub.test"}}, true);
  const auto own = *make_authority("self-signed device");
  const TlsPointer with_certificate = *TlsContext::make_client({.certificate_chain_pem = own.certificate_pem,
                                                                .key_pem = own.key_pem,
                                                                .trust_pem = tls.authority.certificate_pem});
  const Pair pair({.tls = tls.server}, {.tls = with_certificate, .server_name = "hub.test"});
  ASSERT_TRUE(pair.is_up()) << pair.connect_error->message;
  EXPECT_EQ(pair.server.connection->peer().certificate_thumbprint, *certificate_thumbprint(own.certificate_pem));
  const Pair without({.tls = tls.server}, {.tls = tls.client, .server_name = "hub.test"});
  ASSERT_TRUE(without.is_up());
  EXPECT_EQ(without.server.connection->peer().certificate_thumbprint, "");
}

TEST(TlsStream, NewConnectionsUseTheNewCertificate) {
  const Tls first;
  const Tls second;
  Pair pair = tls_pair(first, "hub.test");
  ASSERT_TRUE(pair.is_up());
  const auto old_server = pair.server.connection;  // the new connection takes its place in `pair`
  pair.listener->set_tls(second.server);
  bool is_connected = false;
  connect_tcp(pair.loop,
              {.host = "127.0.0.1", .port = pair.listener->port(), .tls = second.client, .server_name = "hub.test"},
              [&](Result<ConnectionPointer> made) { is_connected = bool(made); });
  EXPECT_TRUE(run_until(pair.loop, [&] { return is_connected; }));
  pair.client.connection->send("still there");
  EXPECT_TRUE(run_until(pair.loop, [&] { return pair.server.heard == "still there"; }));
}

TEST(TlsStream, GarbageAndSilenceInsteadOfAHandshake) {
  const Tls tls;
  Loop loop;
  int accepted = 0;
  const auto listener = *listen_tcp(loop, {.tls = tls.server, .handshake_timeout = milliseconds(80)},
                                    [&](ConnectionPointer) { ++accepted; });
  std::vector<std::unique_ptr<End>> ends;
  for (const std::string& first : {std::string("GET / HTTP/1.1\r\n\r\n"), random_bytes(2000), std::string()}) {
    ends.push_back(std::make_unique<End>());
    connect_tcp(loop, {.host = "127.0.0.1", .port = listener->port()},
                [end = ends.back().get(), first](Result<ConnectionPointer> made) {
                  end->connection = *made;
                  end->start();
                  end->connection->send(first);
                });
  }
  EXPECT_TRUE(run_until(loop, [&] {
    return std::all_of(ends.begin(), ends.end(), [](const auto& end) { return !end->closed.empty(); });
  }));
  EXPECT_EQ(accepted, 0);
}

TEST(TlsStream, BadPemIsAnError) {
  const auto made = *make_authority("a");
  const auto other = *make_authority("b");
  EXPECT_EQ(TlsContext::make_server({.certificate_chain_pem = "x", .key_pem = made.key_pem}).error().code,
            ErrorCode::corrupt);
  EXPECT_EQ(TlsContext::make_server({.certificate_chain_pem = made.certificate_pem, .key_pem = ""}).error().code,
            ErrorCode::corrupt);
  EXPECT_EQ(
      TlsContext::make_server({.certificate_chain_pem = made.certificate_pem, .key_pem = other.key_pem}).error().code,
      ErrorCode::invalid_argument);
  EXPECT_EQ(TlsContext::make_client({.trust_pem = "x"}).error().code, ErrorCode::corrupt);
}

int connect_to(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

TEST(UnixSocket, KnowsWhoCallsAndItsMode) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "s";
  Loop loop;
  End server;
  auto listener = listen_unix(loop, path, 0660, [&](ConnectionPointer made) {
    server.connection = std::move(made);
    server.start();
  });
  ASSERT_TRUE(listener);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0660U);
  const int fd = connect_to(path);
  EXPECT_EQ(::write(fd, "hi", 2), 2);
  EXPECT_TRUE(run_until(loop, [&] { return server.heard == "hi"; }));
  EXPECT_EQ(server.connection->peer().address, "unix");
  EXPECT_EQ(server.connection->peer().pid, ::getpid());
  EXPECT_EQ(server.connection->peer().uid, ::getuid());
  ::close(fd);
  EXPECT_TRUE(run_until(loop, [&] { return server.closed.size() == 1; }));
  EXPECT_EQ(listen_unix(loop, path, 0600, {}).error().code, ErrorCode::conflict);
  *listener = nullptr;
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(UnixSocket, ReplacesAStaleSocketButNoFile) {
  const TemporaryFolder folder;
  Loop loop;
  const auto path = folder.path() / "stale";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ::close(fd);
  EXPECT_TRUE(listen_unix(loop, path, 0600, {}));
  EXPECT_EQ(listen_unix(loop, folder.path(), 0600, {}).error().code, ErrorCode::conflict);
  EXPECT_EQ(listen_unix(loop, folder.path() / std::string(120, 'x'), 0600, {}).error().code,
            ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge
