// One core carries client and server: many small messages one way, and one message there and back.
#include <benchmark/benchmark.h>

#include "base/certificates.h"
#include "base/net.h"

namespace verge {
namespace {

/// A connected pair on one loop; the server counts what it hears, or sends it back.
struct Pair {
  Loop loop;
  std::unique_ptr<Listener> listener;
  ConnectionPointer server, client;
  std::size_t heard_bytes = 0;
  std::size_t echoed_bytes = 0;

  Pair(bool is_tls, bool echoes) {
    ListenOptions listen;
    ConnectOptions connect{.host = "127.0.0.1"};
    if (is_tls) {
      const auto authority = *make_authority("bench");
      const auto made = *make_certificate(authority, {.common_name = "x", .ip_addresses = {"127.0.0.1"}});
      listen.tls = *TlsContext::make_server({.certificate_chain_pem = made.certificate_pem, .key_pem = made.key_pem});
      connect.tls = *TlsContext::make_client({.trust_pem = authority.certificate_pem});
    }
    listener = *listen_tcp(loop, listen, [this, echoes](ConnectionPointer made) {
      server = std::move(made);
      server->start({[this, echoes](std::string_view bytes) {
                       heard_bytes += bytes.size();
                       if (echoes) server->send(bytes);
                     },
                     nullptr});
    });
    connect.port = listener->port();
    connect_tcp(loop, connect, [this](Result<ConnectionPointer> made) {
      client = *made;
      client->start({[this](std::string_view bytes) { echoed_bytes += bytes.size(), loop.stop(); }, nullptr});
    });
    while (client == nullptr || server == nullptr) loop.run_for(std::chrono::milliseconds(1));
  }
};

/// Each message is its own TLS record on the way in, as from many small devices: the client sends
/// one per turn of the loop.
void one_way(benchmark::State& state, bool is_tls, bool is_batched) {
  Pair pair(is_tls, false);
  const std::string message(256, 'm');
  std::size_t sent = 0;
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i) {
      pair.client->send(message);
      sent += message.size();
      if (!is_batched) {
        pair.loop.post([&] { pair.loop.stop(); });
        pair.loop.run();
      }
    }
    while (pair.heard_bytes < sent) pair.loop.run_for(std::chrono::milliseconds(1));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(sent / message.size()));
}

void there_and_back(benchmark::State& state, bool is_tls) {
  Pair pair(is_tls, true);
  const std::string message(256, 'm');
  std::size_t sent = 0;
  for (auto _ : state) {
    pair.client->send(message);
    sent += message.size();
    while (pair.echoed_bytes < sent) pair.loop.run();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(sent / message.size()));
}

BENCHMARK_CAPTURE(one_way, tcp_message_each, false, false);
BENCHMARK_CAPTURE(one_way, tls_message_each, true, false);
BENCHMARK_CAPTURE(one_way, tcp_batched, false, true);
BENCHMARK_CAPTURE(one_way, tls_batched, true, true);
BENCHMARK_CAPTURE(there_and_back, tcp, false);
BENCHMARK_CAPTURE(there_and_back, tls, true);

}  // namespace
}  // namespace verge

BENCHMARK_MAIN();
