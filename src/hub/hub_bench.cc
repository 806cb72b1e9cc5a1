// Durable ingest of a whole hub: publishers over TLS on loopback, QoS 1, a window each, 256-byte JSON bodies.
//
//   hub_hub_bench [publishers=10] [window=20] [seconds=5] [numbered=1]
//
// Publishers write prepared packets and count PUBACKs, so that their share of the two cores is small. Prints one JSON
// line: messages acknowledged per second, the log's syncs, and processor time per message of the whole process.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop_for_tests.h"
#include "base/temporary_folder.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "hub/hub.h"

namespace verge::hub {
namespace {

constexpr std::size_t kBodyBytes = 256;
constexpr char kConnect = 0x10, kPublishQos1 = 0x32, kPuback = 0x40;

std::string length_bytes(std::size_t length) {
  std::string bytes;
  do {
    const auto digit = static_cast<unsigned char>(length % 128);
    length /= 128;
    bytes += static_cast<char>(length > 0 ? digit | 0x80 : digit);
  } while (length > 0);
  return bytes;
}
std::string text_field(std::string_view text) {
  return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xFF)} + std::string(text);
}
std::string packet(char type, const std::string& rest) {
  return std::string(1, type) + length_bytes(rest.size()) + rest;
}

/// One device: keeps `window` publishes on the wire.
class Publisher {
 public:
  Publisher(std::string device, bool is_numbered, std::size_t window)
      : device_(std::move(device)), is_numbered_(is_numbered), window_(window) {}

  void connect(Loop& loop, const ConnectOptions& options, const std::string& token) {
    const contract::Identity who{device_, ""};
    connect_tcp(loop, options, [this, who, token](Result<ConnectionPointer> connection) {
      if (!connection) return;
      connection_ = *connection;
      Connection::Handler handler;
      handler.bytes = [this](std::string_view bytes) { received(bytes); };
      handler.closed = [](const Error& error) { std::fprintf(stderr, "closed: %s\n", error.message.c_str()); };
      connection_->start(std::move(handler));
      const std::string flags("\x04\xC0\x00\x3C", 4);
      connection_->send(packet(kConnect, text_field("MQTT") + flags + text_field(device_) +
                                             text_field(contract::connect_username("localhost", who, "bench")) +
                                             text_field(token)));
    });
  }
  void close() {
    if (connection_) connection_->abort();
  }
  std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  void received(std::string_view bytes) {
    left_ += bytes;
    std::size_t used = 0;
    while (left_.size() - used >= 4) {  // CONNACK and PUBACK both have four bytes.
      if (left_[used] == kPuback) acknowledged_.fetch_add(1, std::memory_order_relaxed);
      used += 4;
      in_flight_ -= in_flight_ > 0 ? 1 : 0;
    }
    left_.erase(0, used);
    std::string packets;
    for (; in_flight_ < window_; ++in_flight_) packets += next();
    if (!packets.empty()) connection_->send(packets);
  }
  std::string next() {
    contract::PropertyBag properties;
    properties.set("$.ct", "application/json");
    ++sequence_;
    if (is_numbered_) {
      properties.set("verge-epoch", "5f0c1b9e");
      properties.set("verge-seq", std::to_string(sequence_));
    }
    const auto id = static_cast<std::uint16_t>(sequence_ % 65'535 + 1);
    std::string body = "{\"n\":" + std::to_string(sequence_) + ",\"pad\":\"";
    body += std::string(kBodyBytes - body.size() - 2, 'x') + "\"}";
    return packet(kPublishQos1, text_field(contract::telemetry_topic({device_, ""}, properties)) +
                                    std::string{static_cast<char>(id >> 8), static_cast<char>(id & 0xFF)} + body);
  }

  const std::string device_;
  const bool is_numbered_;
  const std::size_t window_;
  ConnectionPointer connection_;
  std::string left_;
  std::size_t in_flight_ = 0;
  std::uint64_t sequence_ = 0;
  std::atomic<std::uint64_t> acknowledged_{0};
};

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string metric(const std::string& text, std::string_view name) {
  const auto at = text.find("\n" + std::string(name) + " ");
  if (at == std::string::npos) return "0";
  const auto begin = at + name.size() + 2;
  return text.substr(begin, text.find('\n', begin) - begin);
}

int run(std::size_t publishers, std::size_t window, int seconds, bool is_numbered) {
  set_log_level(LogLevel::warning);
  TemporaryFolder folder;
  LoopThread server, client;
  HubOptions options;
  options.home = folder.path() / "hub";
  options.mqtt_port = options.https_port = options.http_port = 0;
  auto hub = server.on_loop([&] { return Hub::start(server.loop(), system_disk(), system_clock(), options); });
  if (!hub) return std::fprintf(stderr, "%s\n", hub.error().message.c_str()), 1;
  const Json connection = *parse_json(*read_file(options.home / "connection.json"));
  const auto owner = *contract::parse_connection_string(connection["connection_string"].get<std::string>());
  const std::int64_t end_s = system_clock().now_us() / 1'000'000 + 3600;
  const std::string token = *contract::make_sas("localhost", owner.key, end_s, owner.policy);
  const std::string base = "http://127.0.0.1:" + std::to_string((*hub)->http_port());
  ConnectOptions connect;
  connect.host = "localhost";
  connect.port = (*hub)->mqtt_port();
  TlsOptions tls;
  tls.trust_pem = *read_file(options.home / "ca.pem");
  connect.tls = *TlsContext::make_client(tls);

  std::vector<std::unique_ptr<Publisher>> all;
  for (std::size_t i = 0; i < publishers; ++i) {
    const std::string device = "bench-" + std::to_string(i);
    HttpCall call;
    call.method = "PUT";
    call.url = base + "/devices/" + device;
    call.headers.set("Authorization", token);
    call.body = "{}";
    if (!require_success(fetch(call), "create a device")) return 1;
    all.push_back(std::make_unique<Publisher>(device, is_numbered, window));
    client.on_loop([&] { return all.back()->connect(client.loop(), connect, token), true; });
  }
  const auto total = [&] {
    std::uint64_t sum = 0;
    for (const auto& publisher : all) sum += publisher->acknowledged();
    return sum;
  };
  std::this_thread::sleep_for(std::chrono::seconds(1));  // Warm-up.
  const auto begun = std::chrono::steady_clock::now();
  const double processor_begun = processor_s();
  const std::uint64_t first = total();
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const auto messages = static_cast<double>(total() - first);
  const double processor = processor_s() - processor_begun;
  HttpCall call;
  call.url = base + "/metrics";
  const auto metrics = fetch(call);
  client.on_loop([&] {
    for (const auto& publisher : all) publisher->close();
    return true;
  });
  server.on_loop([&] { return hub->reset(), true; });
  std::printf(R"({"work":"hub.ingest.qos1.%zu","window":%zu,"numbered":%s,"messages_per_s":%.0f,)"
              R"("processor_us_per_message":%.1f,"log_syncs":%s,"history_lag":%s})"
              "\n",
              publishers, window, is_numbered ? "true" : "false", messages / elapsed_s, processor / messages * 1e6,
              metrics ? metric(metrics->body, "verge_hub_log_syncs").c_str() : "0",
              metrics ? metric(metrics->body, "verge_hub_history_lag").c_str() : "0");
  return 0;
}

}  // namespace
}  // namespace verge::hub

int main(int argc, char** argv) {
  const auto argument = [&](int index, int fallback) {
    return argc > index ? std::max(0, std::atoi(argv[index])) : fallback;
  };
  return verge::hub::run(static_cast<std::size_t>(argument(1, 10)), static_cast<std::size_t>(argument(2, 20)),
                         argument(3, 5), argument(4, 1) != 0);
}
