// bench/mqtt_load.cc -- the one load generator for all servers: MQTT 3.1.1 over TLS, QoS 1, a window per publisher.
//
//   verge-bench-load publish --port 8883 --trust ca.pem --publishers 10 --window 20 --seconds 3 [--token SAS]
//   verge-bench-load subscribe --port 8883 --trust ca.pem
//
// Packets are prepared once and only their numbers change, so that most of the two cores is left to the server. With
// --token the topics are those of a device of a hub, each message with an outbox's epoch and number; without, every
// message has one topic of the same length. Prints one JSON line: acknowledgements, seconds, latency from sending to
// acknowledgement. `subscribe` makes a persistent session with a QoS 1 subscription to everything and leaves: from then
// on the server has a reader to keep messages for.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/loop.h"
#include "base/net.h"
#include "contract/topics.h"

namespace verge::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kConnect = 0x10, kConnack = 0x20, kPublishQos1 = 0x32, kPuback = 0x40, kSuback = '\x90';
constexpr char kSubscribe = '\x82';
constexpr std::size_t kNumberDigits = 10;
constexpr std::uint64_t kFirstNumber = 1'000'000'000;  // So all have ten digits.
constexpr std::chrono::seconds kConnectMax{30};
constexpr std::string_view kEpoch = "5f0c1b9e";

struct Settings {
  std::uint16_t port = 8883;
  std::string trust_file, token;
  std::size_t publishers = 10, window = 20, body_bytes = 256;
  double warm_up_s = 0.7, seconds = 3;
};

std::string text_field(std::string_view text) {
  return std::string{static_cast<char>(text.size() >> 8U), static_cast<char>(text.size() & 0xFFU)} + std::string(text);
}

std::string packet(char type, const std::string& rest) {
  std::string bytes(1, type);
  std::size_t length = rest.size();
  do {
    const std::size_t digit = length % 128;
    length /= 128;
    bytes += static_cast<char>(length > 0 ? digit | 0x80U : digit);
  } while (length > 0);
  return bytes + rest;
}

std::string connect_packet(const std::string& client, const std::string& token, bool is_clean) {
  const int flags = (is_clean ? 0x02 : 0) | (token.empty() ? 0 : 0xC0);
  std::string rest = text_field("MQTT") + std::string{4, static_cast<char>(flags), 0, 60} + text_field(client);
  if (!token.empty()) {
    rest += text_field(contract::connect_username("localhost", {client, ""}, "bench")) + text_field(token);
  }
  return packet(kConnect, rest);
}

/// Cuts what a server sends into packets; all of them are short.
class Reader {
 public:
  template <class Take>
  void read(std::string_view bytes, Take take) {
    left_ += bytes;
    std::size_t used = 0;
    while (left_.size() - used >= 2) {
      const std::size_t length = 2 + static_cast<unsigned char>(left_[used + 1]);
      if (left_.size() - used < length) break;
      take(std::string_view(left_).substr(used, length));
      used += length;
    }
    left_.erase(0, used);
  }

 private:
  std::string left_;
};

/// A publish packet whose identifier and numbers are written anew each time.
class Message {
 public:
  Message(const std::string& device, bool is_device, std::size_t body_bytes) {
    const std::string number = std::to_string(kFirstNumber);
    contract::PropertyBag properties;
    properties.set("$.ct", "application/json");
    properties.set("verge-epoch", std::string(kEpoch));
    properties.set("verge-seq", number);
    std::string topic = contract::telemetry_topic({device, ""}, properties);
    if (!is_device) {
      const std::size_t length = topic.size();
      topic = contract::telemetry_topic({device, ""}, {});
      topic.resize(length, 'x');
    }
    std::string body = "{\"n\":" + number + ",\"pad\":\"";
    body.resize(std::max(body_bytes, body.size() + 2) - 2, 'x');
    body += "\"}";
    const std::string fields = text_field(topic) + std::string(2, '\0');
    bytes_ = packet(kPublishQos1, fields + body);
    id_at_ = bytes_.size() - body.size() - 2;
    body_at_ = bytes_.size() - body.size() + 5;
    if (is_device) topic_at_ = bytes_.find("verge-seq=") + 10;
  }

  void append_next(std::string& target) {
    const auto id = static_cast<std::uint16_t>(number_ % 65'535 + 1);
    bytes_[id_at_] = static_cast<char>(id >> 8U);
    bytes_[id_at_ + 1] = static_cast<char>(id & 0xFFU);
    write_number(body_at_);
    if (topic_at_ > 0) write_number(topic_at_);
    ++number_;
    target += bytes_;
  }

 private:
  void write_number(std::size_t at) {
    std::uint64_t rest = number_;
    for (std::size_t digit = kNumberDigits; digit-- > 0; rest /= 10)
      bytes_[at + digit] = static_cast<char>('0' + rest % 10);
  }

  std::string bytes_;
  std::size_t id_at_ = 0, body_at_ = 0, topic_at_ = 0;
  std::uint64_t number_ = kFirstNumber;
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "verge-bench-load: %s\n", why.c_str());
  std::exit(exit_code_of(ErrorCode::unavailable));
}

struct Tally {
  std::uint64_t acknowledged = 0;
  bool is_measuring = false;
  std::vector<float> latencies_ms;
};

/// One device: keeps `window` publishes on the wire.
class Publisher {
 public:
  Publisher(const std::string& device, const Settings& settings, Tally& tally)
      : device_(device),
        settings_(settings),
        message_(device, !settings.token.empty(), settings.body_bytes),
        tally_(tally) {}

  void connect(Loop& loop, const ConnectOptions& options) {
    connect_tcp(loop, options, [this](Result<ConnectionPointer> connection) {
      if (!connection) give_up(connection.error().message);
      connection_ = *std::move(connection);
      Connection::Handler handler;
      handler.bytes = [this](std::string_view bytes) { received(bytes); };
      handler.closed = [this](const Error& error) { give_up(device_ + ": " + error.message); };
      connection_->start(std::move(handler));
      connection_->send(connect_packet(device_, settings_.token, true));
    });
  }
  bool is_connected() const { return is_connected_; }
  /// Once all are connected: who publishes already slows the others' way in.
  void begin() {
    is_publishing_ = true;
    fill_window(SteadyClock::now());
  }

 private:
  void received(std::string_view bytes) {
    const auto now = SteadyClock::now();
    reader_.read(bytes, [&](std::string_view answer) {
      if (answer[0] == kConnack) {
        if (answer[3] != 0) give_up(fmt::format("{}: CONNECT refused with code {}", device_, int{answer[3]}));
        is_connected_ = true;
        return;
      }
      if (answer[0] != kPuback || sent_.empty()) give_up(device_ + ": the server sent something unexpected");
      ++tally_.acknowledged;
      if (tally_.is_measuring) {
        tally_.latencies_ms.push_back(std::chrono::duration<float, std::milli>(now - sent_.front()).count());
      }
      sent_.pop_front();
    });
    if (is_publishing_) fill_window(now);
  }

  void fill_window(SteadyClock::time_point now) {
    out_.clear();
    while (sent_.size() < settings_.window) {
      message_.append_next(out_);
      sent_.push_back(now);
    }
    if (!out_.empty()) connection_->send(out_);
  }

  const std::string device_;
  const Settings& settings_;
  Message message_;
  Tally& tally_;
  ConnectionPointer connection_;
  Reader reader_;
  std::deque<SteadyClock::time_point> sent_;
  std::string out_;
  bool is_connected_ = false, is_publishing_ = false;
};

ConnectOptions connect_options(const Settings& settings) {
  TlsOptions tls;
  const auto trust = read_file(settings.trust_file);
  if (!trust) give_up(trust.error().message);
  tls.trust_pem = *trust;
  auto context = TlsContext::make_client(tls);
  if (!context) give_up(context.error().message);
  ConnectOptions options;
  options.host = "127.0.0.1";
  options.server_name = "localhost";
  options.port = settings.port;
  options.tls = *std::move(context);
  return options;
}

float quantile(std::vector<float>& values, double part) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1e3));
}

int publish(const Settings& settings) {
  Loop loop;
  Tally tally;
  const ConnectOptions options = connect_options(settings);
  std::vector<std::unique_ptr<Publisher>> all;
  for (std::size_t i = 0; i < settings.publishers; ++i) {
    all.push_back(std::make_unique<Publisher>(fmt::format("bench-{:05}", i), settings, tally));
    all.back()->connect(loop, options);
  }
  const auto is_complete = [&] {
    return std::all_of(all.begin(), all.end(), [](const auto& one) { return one->is_connected(); });
  };
  const auto connected_by = SteadyClock::now() + kConnectMax;
  while (!is_complete() && SteadyClock::now() < connected_by) loop.run_for(std::chrono::milliseconds(5));
  if (!is_complete()) give_up(fmt::format("not every publisher was connected within {} s", kConnectMax.count()));
  for (const auto& one : all) one->begin();
  loop.run_for(milliseconds_of(settings.warm_up_s));
  const std::uint64_t first = tally.acknowledged;
  const auto begun = SteadyClock::now();
  tally.is_measuring = true;
  loop.run_for(milliseconds_of(settings.seconds));
  const double elapsed_s = std::chrono::duration<double>(SteadyClock::now() - begun).count();
  const std::uint64_t count = tally.acknowledged - first;
  fmt::print(R"({{"per_s":{:.1f},"acknowledged":{},"seconds":{:.3f},"p50_ms":{:.3f},"p99_ms":{:.3f},"in_all":{}}})"
             "\n",
             static_cast<double>(count) / elapsed_s, count, elapsed_s, quantile(tally.latencies_ms, .5),
             quantile(tally.latencies_ms, .99), tally.acknowledged);
  std::fflush(stdout);
  std::_Exit(0);  // The connections go with the program: no server has to be waited for.
}

int subscribe(const Settings& settings) {
  Loop loop;
  ConnectionPointer connection;
  Reader reader;
  bool is_done = false;
  connect_tcp(loop, connect_options(settings), [&](Result<ConnectionPointer> made) {
    if (!made) give_up(made.error().message);
    connection = *std::move(made);
    Connection::Handler handler;
    handler.closed = [](const Error& error) { give_up(error.message); };
    handler.bytes = [&](std::string_view bytes) {
      reader.read(bytes, [&](std::string_view answer) {
        if (answer[0] == kConnack) {
          connection->send(packet(kSubscribe, std::string{0, 1} + text_field("devices/#") + std::string(1, 1)));
        } else if (answer[0] == kSuback && answer[4] == 1) {
          is_done = true;
          loop.stop();
        } else {
          give_up("the server refused the subscription");
        }
      });
    };
    connection->start(std::move(handler));
    connection->send(connect_packet("reader", "", false));
  });
  loop.run_for(std::chrono::seconds(10));
  if (!is_done) give_up("subscribe: no answer within 10 s");
  connection->send(std::string{'\xE0', 0});  // DISCONNECT
  connection->close();
  connection.reset();
  loop.run_for(std::chrono::milliseconds(200));
  return 0;
}

int main_of(int count, char** words) {
  Settings settings;
  CLI::App app{"Load for MQTT servers.", "verge-bench-load"};
  app.require_subcommand(1);
  CLI::App* const publishing = app.add_subcommand("publish", "Publish for a while, print the rate");
  CLI::App* const subscribing = app.add_subcommand("subscribe", "Leave a persistent subscription to devices/#");
  for (CLI::App* const command : {publishing, subscribing}) {
    command->add_option("--port", settings.port)->required();
    command->add_option("--trust", settings.trust_file, "PEM file of the server's authority")->required();
  }
  publishing->add_option("--token", settings.token, "Password of the hub's devices bench-00000, bench-00001, ...");
  publishing->add_option("--publishers", settings.publishers)->check(CLI::Range(1, 1000));
  publishing->add_option("--window", settings.window, "Unacknowledged messages per publisher")
      ->check(CLI::Range(1, 10'000));
  publishing->add_option("--body-bytes", settings.body_bytes)->check(CLI::Range(32, 100'000));
  publishing->add_option("--warm-up-s", settings.warm_up_s)->check(CLI::Range(0.1, 60.0));
  publishing->add_option("--seconds", settings.seconds)->check(CLI::Range(0.1, 3600.0));
  CLI11_PARSE(app, count, words);
  return publishing->parsed() ? publish(settings) : subscribe(settings);
}

}  // namespace
}  // namespace verge::bench

int main(int count, char** words) { return verge::bench::main_of(count, words); }
