// The kind by its options, and raw samples through real sockets of the loopback.
#include "connectors/microphone/microphone.h"

#include <arpa/inet.h>
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "connectors/microphone/microphone_check.h"
#include "connectors/microphone/mqtt_microphone.h"
#include "connectors/microphone/sounds_for_tests.h"

namespace verge::connectors {
namespace {

using pipeline::SampleFormat;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::optional<std::string> test_variable(const std::string& name) {
  if (name == "MIC_TOKEN") return "a-token-of-20-signs!";
  if (name == "MIC_PASSWORD") return "hush";
  return std::nullopt;
}

TEST(MicrophoneAddress, SaysWhatItIs) {
  struct Row {
    const char* text;
    MicrophoneSort sort;
    const char* name;
    int port;
    const char* shown;
  };
  const Row rows[] = {
      {"default", MicrophoneSort::card, "default", 0, "default"},
      {"alsa:hw:1,0", MicrophoneSort::card, "hw:1,0", 0, "alsa:hw:1,0"},
      {"plughw:CARD=Array", MicrophoneSort::card, "plughw:CARD=Array", 0, "plughw:CARD=Array"},
      {"rtsp://u:${MIC_PASSWORD}@a/1", MicrophoneSort::network, "rtsp://u:hush@a/1", 0, "rtsp://***@a/1"},
      {"https://a/live.mp3", MicrophoneSort::network, "https://a/live.mp3", 0, "https://a/live.mp3"},
      {"tcp://127.0.0.1:9000", MicrophoneSort::tcp, "127.0.0.1", 9000, "tcp://127.0.0.1:9000"},
      {"udp://[::1]:5004", MicrophoneSort::udp, "::1", 5004, "udp://[::1]:5004"},
      {"mqtt:hall/microphone", MicrophoneSort::mqtt, "hall/microphone", 0, "mqtt:hall/microphone"},
  };
  for (const Row& row : rows) {
    const auto address = read_microphone_address(row.text, test_variable);
    ASSERT_TRUE(address) << row.text << ": " << address.error().message;
    EXPECT_EQ(address->sort, row.sort) << row.text;
    EXPECT_EQ(address->name, row.name) << row.text;
    EXPECT_EQ(address->port, row.port) << row.text;
    EXPECT_EQ(address->shown, row.shown) << row.text;
  }
}

TEST(MicrophoneKind, SaysWhatIsWrong) {
  const struct {
    const char* options;
    const char* words;
  } rows[] = {
      {R"({"address": ""})", "the address is empty"},
      {R"({"address": "ftp://a/b"})", "its scheme is unknown"},
      {R"({"address": "rtsp:///b"})", "it has no host"},
      {R"({"address": "rtsp://${NONE}@a/"})", "NONE is not set"},
      {R"({"address": "tcp://a"})", "a host and a port"},
      {R"({"address": "tcp://a:70000"})", "a host and a port"},
      {R"({"address": "tcp://a:0"})", "a host and a port"},
      {R"({"address": "tcp://a:1/path"})", "a host and a port"},
      {R"({"address": "default", "rate_hz": 44100})", "rate_hz is 44100; give 8000, 16000, 24000, 32000, 48000"},
      {R"({"address": "default", "channel": 9})", "channel must be 0 to 8"},
      {R"({"address": "default", "channels": 9})", "channels"},
      {R"({"address": "default", "format": "mp3"})", "s16le"},
      {R"({"address": "default", "silence_s": 0})", "silence_s must be 0.5 to 3600"},
      {R"({"address": "default", "fill_s": 61})", "fill_s must be 0 to 60"},
      {R"({"address": "rtsp://a/", "transport": "pigeon"})", "transport must be tcp or udp"},
      {R"({"address": "rtsp://a/", "insecure": true})", "are about rtsps:// and https://"},
      {R"({"address": "tcp://127.0.0.1:9", "channel": 2})", "channel 2 is not there: it has 1"},
      {R"({"address": "tcp://127.0.0.1:9", "device_rate_hz": 4000})", "4000"},
      {R"({"address": "tcp://127.0.0.1:9", "packets": "rtp"})", "rtp is about udp://"},
      {R"({"address": "udp://127.0.0.1:9", "packets": "rtp", "format": "s16le"})", "leave format out"},
      {R"({"address": "udp://127.0.0.1:9", "listen": true})", "listen is about tcp://"},
      {R"({"address": "tcp://0.0.0.0:9", "listen": true})", "give a token"},
      {R"({"address": "tcp://[::]:9", "listen": true})", "give a token"},
      {R"({"address": "tcp://0.0.0.0:9", "listen": true, "token": "short"})", "16 to 256"},
      {R"({"address": "tcp://127.0.0.1:9", "token": "${MIC_TOKEN}"})", "token is about listen"},
      {R"({"address": "tcp://example.com:9", "listen": true})", "is no address to listen at"},
      {R"({"address": "udp://0.0.0.0:9"})", "a datagram cannot prove who sent it"},
      {R"({"address": "udp://239.1.2.3:9"})", "a datagram cannot prove who sent it"},
  };
  for (const auto& row : rows) {
    const auto plan = plan_microphone(*parse_json(row.options), {}, nullptr, test_variable);
    ASSERT_FALSE(plan) << row.options;
    EXPECT_EQ(plan.error().code, ErrorCode::invalid_argument) << row.options;
    EXPECT_THAT(plan.error().message, AllOf(HasSubstr("open microphone "), HasSubstr(row.words))) << row.options;
    EXPECT_THAT(plan.error().message, Not(HasSubstr("a-token"))) << row.options;
  }
  EXPECT_TRUE(plan_microphone(*parse_json(R"({"address": "tcp://0.0.0.0:9", "listen": true, "token": "${MIC_TOKEN}"})"),
                              {}, nullptr, test_variable));
}

/// A socket of the loopback; the port is free.
class LocalSocket {
 public:
  explicit LocalSocket(int type) : number_(socket(AF_INET, type | SOCK_CLOEXEC, 0)) {}
  ~LocalSocket() { close(number_); }
  LocalSocket(const LocalSocket&) = delete;
  LocalSocket& operator=(const LocalSocket&) = delete;
  int number() const { return number_; }
  static sockaddr_in address(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }
  int bind_free() const {
    sockaddr_in local = address(0);
    socklen_t bytes = sizeof local;
    EXPECT_EQ(bind(number_, reinterpret_cast<sockaddr*>(&local), sizeof local), 0);
    getsockname(number_, reinterpret_cast<sockaddr*>(&local), &bytes);
    return ntohs(local.sin_port);
  }
  bool connect_to(int port) const {
    const sockaddr_in remote = address(port);
    return connect(number_, reinterpret_cast<const sockaddr*>(&remote), sizeof remote) == 0;
  }
  void write(std::string_view bytes) const { (void)!send(number_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

 private:
  const int number_;
};

int free_port(int type) { return LocalSocket(type).bind_free(); }

/// Connects as soon as somebody listens, at most 5 s.
bool connect_soon(const LocalSocket& socket, int port) {
  for (int i = 0; i < 500; ++i) {
    if (socket.connect_to(port)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class RawMicrophoneTest : public ::testing::Test {
 protected:
  std::unique_ptr<pipeline::Source> source(const Json& options) {
    auto made = microphone_kind(nullptr, test_variable).make(options, context());
    EXPECT_TRUE(made) << made.error().message;
    return made ? *std::move(made) : nullptr;
  }
  pipeline::Context context() {
    pipeline::Context context;
    context.metrics = &metrics_;
    context.stream = "hall";
    return context;
  }
  static double tone_in(const Heard& heard, double hz, int rate_hz = 16'000) {
    if (heard.samples.size() < 8192) return -1;
    return amplitude_of({heard.samples.begin() + 2048, heard.samples.begin() + 8192}, hz, rate_hz);
  }

  Metrics metrics_;
  MicrophoneCounters counters_{metrics_, "hall"};
};

const auto kEnough = [](const Heard& heard) { return heard.samples.size() >= 16'000; };

TEST_F(RawMicrophoneTest, ConnectsByTcpAndAgain) {
  const LocalSocket server(SOCK_STREAM);
  const int port = server.bind_free();
  ASSERT_EQ(listen(server.number(), 1), 0);
  const std::string bytes = as_bytes(tone(1000, 48'000, 0.75), SampleFormat::f32le);
  std::thread sender([&] {
    for (int i = 0; i < 2; ++i) {  // Half of it each time, in pieces that cut samples.
      const int peer = accept(server.number(), nullptr, nullptr);
      for (std::size_t at = 0; at < bytes.size(); at += 4001)
        (void)!send(peer, bytes.data() + at, std::min<std::size_t>(4001, bytes.size() - at), MSG_NOSIGNAL);
      close(peer);
    }
  });
  const auto heard = hear(
      *source(
          {{"address", "tcp://127.0.0.1:" + std::to_string(port)}, {"device_rate_hz", 48'000}, {"format", "f32le"}}),
      [&](const Heard&) { return counters_.received.value() >= 72'000; });
  sender.join();
  EXPECT_NEAR(tone_in(heard, 1000), 0.5, 0.01);
  EXPECT_EQ(counters_.received.value(), 2U * 36'000);
  EXPECT_EQ(counters_.reconnects.value(), 1U);
  ASSERT_FALSE(heard.errors.empty());
  EXPECT_THAT(heard.errors[0], HasSubstr("it ended the stream"));
}

TEST_F(RawMicrophoneTest, ListensAndHearsOnlyWhoKnowsTheToken) {
  const int port = free_port(SOCK_STREAM);
  const auto listening = source({{"address", "tcp://127.0.0.1:" + std::to_string(port)},
                                 {"listen", true},
                                 {"token", "${MIC_TOKEN}"},
                                 {"silence_s", 8}});
  Heard heard;
  std::thread listener([&] { heard = hear(*listening, kEnough); });
  const std::string noise = as_bytes(tone(3000, 16'000, 1), SampleFormat::s16le);
  const std::string bytes = as_bytes(tone(1000, 16'000, 1.1), SampleFormat::s16le);
  for (const std::string& first : {std::string("another token of 20\n"), std::string(1000, 'x'), std::string("\n")}) {
    const LocalSocket stranger(SOCK_STREAM);
    ASSERT_TRUE(connect_soon(stranger, port));
    stranger.write(first + noise);
    char byte = 0;
    EXPECT_LE(recv(stranger.number(), &byte, 1, 0), 0) << "it is closed";
  }
  const LocalSocket sender(SOCK_STREAM);
  ASSERT_TRUE(connect_soon(sender, port));
  sender.write("a-token-of-20-signs!\r\n" + bytes);
  listener.join();
  EXPECT_NEAR(tone_in(heard, 1000), 0.5, 0.01);
  EXPECT_LT(tone_in(heard, 3000), 0.01);
  EXPECT_EQ(counters_.broken.value(), 3U);
}

TEST_F(RawMicrophoneTest, HearsDatagrams) {
  const int port = free_port(SOCK_DGRAM);
  std::atomic<bool> is_over = false;
  std::thread sender([&] {
    const LocalSocket from(SOCK_DGRAM);
    from.connect_to(port);
    const std::string bytes = as_bytes(tone(1000, 16'000, 0.02), SampleFormat::s16le);
    while (!is_over) {
      from.write(bytes);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      from.write("odd");
    }
  });
  const auto heard = hear(*source({{"address", "udp://127.0.0.1:" + std::to_string(port)}}), kEnough);
  is_over = true;
  sender.join();
  EXPECT_NEAR(tone_in(heard, 1000), 0.5, 0.01);
  EXPECT_GT(counters_.broken.value(), 10U) << "a datagram that is not whole frames";
}

std::string rtp(std::uint32_t sequence, std::uint32_t timestamp, const std::string& payload) {
  std::string bytes = "\x80\x60";
  for (const std::uint32_t byte :
       {sequence >> 8U, sequence, timestamp >> 24U, timestamp >> 16U, timestamp >> 8U, timestamp, 0U, 0U, 0U, 9U})
    bytes.push_back(static_cast<char>(byte));
  return bytes + payload;
}

TEST_F(RawMicrophoneTest, CountsWhatRtpLost) {
  const int port = free_port(SOCK_DGRAM);
  std::thread sender([&] {
    const LocalSocket from(SOCK_DGRAM);
    from.connect_to(port);
    const std::vector<float> all = tone(1000, 16'000, 2);
    // Until somebody listens nothing arrives; then 100 packets of 20 ms, every tenth lost, every twentieth twice.
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    for (std::uint32_t i = 0; i < 100; ++i) {
      const std::vector<float> some(all.begin() + 320 * i, all.begin() + 320 * (i + 1));
      const std::string packet = rtp(i, 5000 + 320 * i, as_bytes(some, SampleFormat::s16be));
      if (i % 10 != 5) from.write(packet);
      if (i % 20 == 0) from.write(packet);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  hear(*source({{"address", "udp://127.0.0.1:" + std::to_string(port)}, {"packets", "rtp"}}),
       [&](const Heard&) { return counters_.received.value() >= 90 * 320; });
  sender.join();
  EXPECT_EQ(counters_.missing.value(), 10U * 320);
  EXPECT_EQ(counters_.filled.value(), 10U * 320);
  EXPECT_EQ(counters_.gaps.value(), 10U);
  EXPECT_EQ(counters_.repeated.value(), 5U * 320);
  EXPECT_EQ(counters_.received.value(), 90U * 320);
}

/// Topics without a router.
class LocalTopics final : public TopicReader {
 public:
  std::uint64_t subscribe(std::string topic, ModuleClient::OnMessage on_message) override {
    topic_ = std::move(topic);
    on_message_ = std::move(on_message);
    return 1;
  }
  void unsubscribe(std::uint64_t) override { ++ended_; }
  void publish(std::string_view payload) const { on_message_(topic_, payload); }
  bool is_subscribed() const { return on_message_ != nullptr; }
  int ended() const { return ended_; }

 private:
  std::string topic_;
  ModuleClient::OnMessage on_message_;
  int ended_ = 0;
};

TEST_F(RawMicrophoneTest, HearsMessages) {
  const auto topics = std::make_shared<LocalTopics>();
  auto messages = make_live_microphone({"mqtt:hall", 3, {}}, make_mqtt_link({"hall"}, topics), context());
  ASSERT_TRUE(messages->open());
  for (int i = 0; i < 20; ++i) topics->publish(as_bytes(tone(1000, 16'000, 0.1), SampleFormat::s16le));
  topics->publish("odd");
  topics->publish(std::string(kSoundMessageBytesMax + 2, 'x'));
  const auto heard = hear(*messages, kEnough);
  EXPECT_NEAR(tone_in(heard, 1000), 0.5, 0.01);
  messages.reset();
  EXPECT_EQ(topics->ended(), 1);
  auto nobody = make_mqtt_link({"hall"}, nullptr);
  EXPECT_THAT(nobody->prepare().error().message, HasSubstr("needs an agent"));
}

TEST(MicrophoneCheck, JudgesWhatItHears) {
  const auto judged = [](std::vector<float> samples, std::uint64_t clipped = 0) {
    return judge_sound(figures_of(samples, 16'000, clipped));
  };
  const auto bursts = [](double loud, double quiet) {  // Half a second of each, in turn.
    std::vector<float> all;
    for (int i = 0; i < 5; ++i) {
      for (const double amplitude : {loud, quiet}) {
        const auto some = tone(300, 16'000, 0.5, amplitude);
        all.insert(all.end(), some.begin(), some.end());
      }
    }
    return all;
  };
  EXPECT_EQ(judged(std::vector<float>(16'000, 0)), SoundVerdict::dead);
  EXPECT_EQ(judged(bursts(0.2, 0.001)), SoundVerdict::good);
  EXPECT_EQ(judged(bursts(0.002, 0.0001)), SoundVerdict::quiet);
  EXPECT_EQ(judged(bursts(1, 0.001), 100), SoundVerdict::loud);
  EXPECT_EQ(judged(tone(100, 16'000, 3, 0.2)), SoundVerdict::noisy);
  const auto figures = figures_of(bursts(0.2, 0.001), 16'000, 0);
  EXPECT_NEAR(figures.loud_db, -17, 0.1);
  EXPECT_NEAR(figures.floor_db, -63, 0.1);
  EXPECT_NEAR(figures.peak_db, -14, 0.1);
}

TEST(MicrophoneCheck, ListensToARealOne) {
  const LocalSocket server(SOCK_STREAM);
  const int port = server.bind_free();
  ASSERT_EQ(listen(server.number(), 1), 0);
  const std::string bytes = as_bytes(tone(1000, 16'000, 3), SampleFormat::s16le);
  std::thread sender([&] {
    const int peer = accept(server.number(), nullptr, nullptr);
    (void)!send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    close(peer);
  });
  auto plan = plan_microphone({{"address", "tcp://127.0.0.1:" + std::to_string(port)}}, {}, nullptr, test_variable);
  ASSERT_TRUE(plan);
  const auto report = check_microphone(plan->live.shown, *plan->link, {2, 5}, system_clock());
  sender.join();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->rate_hz, 16'000);
  EXPECT_NEAR(report->seconds, 2, 0.01) << "no more is kept than was asked for";
  EXPECT_NEAR(report->figures.level_db, -9.03, 0.1);
}

TEST(MicrophoneCheck, SaysWhyThereIsNothing) {
  auto plan = plan_microphone({{"address", "tcp://127.0.0.1:" + std::to_string(free_port(SOCK_STREAM))}}, {}, nullptr,
                              test_variable);
  ASSERT_TRUE(plan);
  const auto report = check_microphone(plan->live.shown, *plan->link, {1, 1}, system_clock());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, AllOf(HasSubstr("check microphone tcp://"), HasSubstr("connect")));
}

}  // namespace
}  // namespace verge::connectors
