#include "agent/live/live_uplink.h"

#include <gtest/gtest.h>

#include "base/http_server.h"

namespace verge::agent {
namespace {

std::string frame_of(const std::string& module, const std::string& stream, const std::string& body) {
  const std::string header = R"({"module":")" + module + R"(","stream":")" + stream + R"("})";
  std::string frame(3, '\0');
  frame += static_cast<char>(header.size());
  return frame + header + body;
}

class LiveUplinkTest : public testing::Test {
 protected:
  LiveUplinkTest() {
    HttpServer::Handlers handlers;
    handlers.request = [](const HttpRequest&, const Respond& respond) { respond(text_response("", 404)); };
    handlers.accept_websocket = [this](const HttpRequest& head, std::string&) {
      authorization_ = head.headers.get("Authorization");
      ++attempt_count_;
      return is_welcome_ && head.path == "/live";
    };
    handlers.websocket = [this](const HttpRequest&, std::shared_ptr<WebSocket> socket) {
      socket_ = std::move(socket);
      socket_->start({[this](std::string_view message, bool) { frames_.emplace_back(message); },
                      [this](const Error&) { is_closed_ = true; }});
    };
    hub_ = std::make_unique<HttpServer>(loop_, handlers);
    LiveOptions options;
    options.connect.host = "127.0.0.1";
    options.connect.port = hub_->listen({}).value();
    options.target = "/live";
    options.idle = std::chrono::milliseconds(100);
    options.retry = std::chrono::milliseconds(20);
    uplink_ = std::make_unique<LiveUplink>(loop_, metrics_, options, [] { return Result<std::string>("token"); });
  }
  bool until(const std::function<bool()>& is_reached) {
    for (int i = 0; i < 10'000; ++i) {
      if (is_reached()) return true;
      loop_.run_for(std::chrono::milliseconds(2));
    }
    return is_reached();
  }

  Loop loop_;
  Metrics metrics_;
  bool is_welcome_ = true, is_closed_ = false;
  int attempt_count_ = 0;
  std::string authorization_;
  std::vector<std::string> frames_;
  std::shared_ptr<WebSocket> socket_;
  std::unique_ptr<HttpServer> hub_;
  std::unique_ptr<LiveUplink> uplink_;
};

TEST_F(LiveUplinkTest, OpensWithTheFirstFrameAndClosesAfterTheLast) {
  EXPECT_FALSE(uplink_->is_open());
  uplink_->push("m", "gate", frame_of("m", "gate", "1"));
  ASSERT_TRUE(until([&] { return frames_.size() == 1; }));
  EXPECT_EQ(authorization_, "token");
  EXPECT_EQ(frames_.front(), frame_of("m", "gate", "1"));
  uplink_->push("m", "gate", frame_of("m", "gate", "2"));
  ASSERT_TRUE(until([&] { return frames_.size() == 2; }));
  EXPECT_TRUE(until([&] { return is_closed_ && !uplink_->is_open(); }));
  is_closed_ = false;
  uplink_->push("m", "gate", frame_of("m", "gate", "3"));
  EXPECT_TRUE(until([&] { return frames_.size() == 3; }));
}

TEST_F(LiveUplinkTest, KeepsOnlyTheNewestWhileItCannotSend) {
  for (int i = 0; i < 50; ++i) uplink_->push("m", "gate", frame_of("m", "gate", std::to_string(i)));
  ASSERT_TRUE(until([&] { return !frames_.empty(); }));
  EXPECT_EQ(frames_.front(), frame_of("m", "gate", "49"));
  EXPECT_EQ(frames_.size(), 1U);
}

TEST_F(LiveUplinkTest, TriesAgainWhenTheHubRefuses) {
  is_welcome_ = false;
  uplink_->push("m", "gate", frame_of("m", "gate", "1"));
  ASSERT_TRUE(until([&] { return attempt_count_ >= 2; }));
  is_welcome_ = true;
  EXPECT_TRUE(until([&] {
    uplink_->push("m", "gate", frame_of("m", "gate", "2"));
    return !frames_.empty();
  }));
}

TEST_F(LiveUplinkTest, DropsWhatIsTooLargeOrNotTheModules) {
  uplink_->push("m", "gate", frame_of("n", "gate", "1"));
  uplink_->push("m", "gate", frame_of("m", "gate", std::string(2U << 20U, 'x')));
  uplink_->push("m", "gate", "abc");
  loop_.run_for(std::chrono::milliseconds(20));
  EXPECT_EQ(attempt_count_, 0);
}

}  // namespace
}  // namespace verge::agent
