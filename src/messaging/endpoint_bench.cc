// Publishes per second through Endpoint with Client on the other side, over the loopback, QoS 1, 256 bytes.
//
//   messaging_endpoint_bench            all rows
// Server and clients have a loop and a thread each, as in life. "at once" acknowledges inside the publish call,
// "batched" from another thread as a store does after its sync. Reports messages per second and the processor time
// of both sides together per message.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <utility>
#include <vector>

#include "base/certificates.h"
#include "messaging/client.h"
#include "messaging/endpoint.h"

namespace {

using namespace verge;
using namespace verge::messaging;
using std::chrono::steady_clock;

constexpr std::size_t kPayloadBytes = 256;
constexpr std::size_t kInflightMax = 256;
constexpr auto kWarmUp = std::chrono::milliseconds(500);
constexpr auto kMeasured = std::chrono::milliseconds(3'000);

double process_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct TlsPair {
  TlsPointer server, client;
};

TlsPair make_tls() {
  const auto authority = make_authority("bench authority").value();
  CertificateRequest request;
  request.common_name = "localhost";
  request.ip_addresses = {"127.0.0.1"};
  const auto certificate = make_certificate(authority, request).value();
  TlsOptions server;
  server.certificate_chain_pem = certificate.certificate_pem;
  server.key_pem = certificate.key_pem;
  TlsOptions client;
  client.trust_pem = authority.certificate_pem;
  return {TlsContext::make_server(server).value(), TlsContext::make_client(client).value()};
}

/// Acknowledges on a thread of its own all that has come, then all that came meanwhile.
class Acknowledger {
 public:
  Acknowledger() : thread_([this] { work(); }) {}
  ~Acknowledger() {
    {
      const std::lock_guard lock(mutex_);
      is_ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  Acknowledger(const Acknowledger&) = delete;
  Acknowledger& operator=(const Acknowledger&) = delete;

  void put(Acknowledge acknowledge) {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) changed_.notify_one();
    waiting_.push_back(std::move(acknowledge));
  }

 private:
  void work() {
    std::vector<Acknowledge> taken;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_ending_ || !waiting_.empty(); });
        if (is_ending_) return;
        taken.swap(waiting_);
      }
      for (const Acknowledge& acknowledge : taken) acknowledge(Done{});
      taken.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Acknowledge> waiting_;
  bool is_ending_ = false;
  std::thread thread_;
};

struct Row {
  const char* name;
  bool is_encrypted;
  bool is_batched;
  std::size_t publishers;
};

/// A client that publishes as fast as its window lets it.
class Publisher {
 public:
  Publisher(Loop& loop, const ClientOptions& options, std::uint64_t& acknowledged)
      : client_(loop, options, handlers()), acknowledged_(acknowledged) {}
  void start() { client_.start(); }
  void stop() { is_stopping_ = true, client_.stop(); }

 private:
  Client::Handlers handlers() {
    Client::Handlers handlers;
    handlers.connected = [this](bool) {
      for (std::size_t index = 0; index < 2 * kInflightMax; ++index) publish();
    };
    return handlers;
  }
  void publish() {
    const Status sent = client_.publish("devices/bench/messages/events/", payload_, 1, [this](const Status& status) {
      if (!status || is_stopping_) return;
      ++acknowledged_;
      publish();
    });
    if (!sent) std::fprintf(stderr, "%s\n", sent.error().message.c_str());
  }

  const std::string payload_ = std::string(kPayloadBytes, 'x');
  bool is_stopping_ = false;
  Client client_;
  std::uint64_t& acknowledged_;
};

void measure(const Row& row, const TlsPair& tls) {
  Loop server_loop, client_loop;
  auto acknowledger = std::make_unique<Acknowledger>();
  Endpoint::Handlers handlers;
  handlers.authenticate = [](const ConnectRequest& request, auto reply) {
    reply(ConnectCode::accepted, request.client_id);
  };
  std::atomic<std::uint64_t> received_bytes{0};
  handlers.publish = [&](const SessionPointer&, const PublishIn& publish, Acknowledge acknowledge) -> Status {
    received_bytes.fetch_add(publish.payload.size(), std::memory_order_relaxed);
    if (row.is_batched) {
      acknowledger->put(std::move(acknowledge));
    } else {
      acknowledge(Done{});
    }
    return Done{};
  };
  Endpoint endpoint(server_loop, {}, std::move(handlers));
  ListenOptions listen;
  if (row.is_encrypted) listen.tls = tls.server;
  auto listener =
      listen_tcp(server_loop, listen, [&](ConnectionPointer connection) { endpoint.accept(std::move(connection)); });
  if (!listener) {
    std::fprintf(stderr, "%s\n", listener.error().message.c_str());
    return;
  }

  std::uint64_t acknowledged = 0;
  std::vector<std::unique_ptr<Publisher>> publishers;
  for (std::size_t index = 0; index < row.publishers; ++index) {
    ClientOptions options;
    options.connect.host = "127.0.0.1";
    options.connect.port = (*listener)->port();
    if (row.is_encrypted) options.connect.tls = tls.client;
    options.client_id = "bench" + std::to_string(index);
    options.inflight_max = kInflightMax;
    publishers.push_back(std::make_unique<Publisher>(client_loop, options, acknowledged));
    publishers.back()->start();
  }
  std::thread server([&] { server_loop.run(); });
  client_loop.run_for(kWarmUp);
  const std::uint64_t before = acknowledged;
  const double seconds_before = process_seconds();
  const std::uint64_t bytes_before = received_bytes.load();
  const auto begin = steady_clock::now();
  client_loop.run_for(kMeasured);
  const std::chrono::duration<double> wall = steady_clock::now() - begin;
  const auto count = static_cast<double>(acknowledged - before);
  const double arrived = static_cast<double>(received_bytes.load() - bytes_before) / kPayloadBytes;
  if (arrived + static_cast<double>(kInflightMax * row.publishers) < count) {
    std::fprintf(stderr, "%.0f acknowledged but only %.0f arrived\n", count, arrived);
    std::exit(1);
  }
  std::printf("%-6s %-8s %10zu %12.0f %10.2f\n", row.name, row.is_batched ? "batched" : "at once", row.publishers,
              count / wall.count(), (process_seconds() - seconds_before) / count * 1e6);
  std::fflush(stdout);

  for (const auto& publisher : publishers) publisher->stop();
  client_loop.run_for(std::chrono::milliseconds(50));
  server_loop.stop();
  server.join();
  acknowledger.reset();
}

}  // namespace

int main() {
  const TlsPair tls = make_tls();
  std::printf("%-6s %-8s %10s %12s %10s\n", "wire", "acks", "publishers", "messages/s", "cpu us/msg");
  for (const Row& row : {
           Row{"plain", false, false, 1},
           Row{"plain", false, false, 10},
           Row{"plain", false, true, 10},
           Row{"tls", true, false, 1},
           Row{"tls", true, false, 10},
           Row{"tls", true, true, 10},
       }) {
    measure(row, tls);
  }
  return 0;
}
