#include "hub/live/live.h"

#include <gmock/gmock.h>

#include "hub/live/frame.h"
#include "hub/test_hub.h"

namespace verge::hub {
namespace {

/// One end of a WebSocket; what arrives is collected.
class TestSocket {
 public:
  TestSocket(TestHub& hub, const std::string& target, const std::string& header, const std::string& value) {
    WebSocketOptions options;
    options.connect.host = "localhost";
    options.connect.port = hub.https_port();
    options.connect.tls = hub.client_tls();
    options.target = target;
    options.headers.set(header, value);
    std::promise<bool> opened;
    loop_.on_loop([&] {
      connect_websocket(loop_.loop(), options, [&](Result<std::shared_ptr<WebSocket>> socket) {
        if (socket) start(*socket);
        opened.set_value(static_cast<bool>(socket));
      });
      return true;
    });
    is_open_ = opened.get_future().get();
  }
  ~TestSocket() {
    loop_.on_loop([&] {
      if (socket_) socket_->close();
      socket_.reset();
      return true;
    });
  }
  bool is_open() const { return is_open_; }
  void send(const Json& json) {
    loop_.on_loop([&] { return socket_->send_text(to_text(json)), true; });
  }
  void send_frame(const std::string& bytes) {
    loop_.on_loop([&] { return socket_->send_binary(bytes), true; });
  }
  std::vector<Json> texts() {
    const std::lock_guard lock(mutex_);
    return texts_;
  }
  std::vector<std::string> frames() {
    const std::lock_guard lock(mutex_);
    return frames_;
  }
  bool wait_state(const std::string& state) {
    return eventually([&] {
      for (const Json& text : texts()) {
        if (text.contains("live") && text["live"]["state"] == state) return true;
      }
      return false;
    });
  }
  bool wait_key(const std::string& key) {
    return eventually([&] {
      for (const Json& text : texts()) {
        if (text.contains(key)) return true;
      }
      return false;
    });
  }

 private:
  void start(const std::shared_ptr<WebSocket>& socket) {
    socket_ = socket;
    socket_->start({[this](std::string_view message, bool is_binary) {
                      const std::lock_guard lock(mutex_);
                      if (is_binary) {
                        frames_.emplace_back(message);
                      } else {
                        texts_.push_back(*parse_json(message));
                      }
                    },
                    [](const Error&) {}});
  }
  bool is_open_ = false;
  std::mutex mutex_;
  std::vector<Json> texts_;
  std::vector<std::string> frames_;
  LoopThread loop_;
  std::shared_ptr<WebSocket> socket_;
};

class LiveTest : public testing::Test {
 protected:
  std::string cookie() {
    const auto in =
        hub_.call("POST", "/api/v1/login", to_text({{"user", "admin"}, {"password", hub_.first_password()}}));
    const std::string text(in.headers.get("Set-Cookie"));
    return text.substr(0, text.find(';'));
  }
  TestHub hub_;
  const std::string device_key_ = hub_.create_device("edge", true);
  const std::string module_key_ = hub_.create_module("edge", "vision");
  const std::string cookie_ = cookie();
};

TEST_F(LiveTest, BringsPicturesWhileSomebodyLooks) {
  TestDevice module(hub_, {"edge", "vision"}, module_key_);
  module.answer_methods("{}");
  ASSERT_TRUE(module.wait_connected());
  ASSERT_TRUE(module.subscribe("$iothub/methods/POST/#"));
  TestSocket uplink(hub_, "/api/v1/devices/edge/live", "Authorization", hub_.device_token({"edge", ""}, device_key_));
  TestSocket page(hub_, "/api/v1/stream", "Cookie", cookie_);
  ASSERT_TRUE(uplink.is_open());
  ASSERT_TRUE(page.is_open());

  TestSocket neighbour(hub_, "/api/v1/stream", "Cookie", cookie_);
  neighbour.send({{"live", {{"device", "edge"}, {"module", "vision"}, {"stream", "door"}}}});
  ASSERT_TRUE(neighbour.wait_state("starting"));
  const auto start = module.wait_message("$iothub/methods/POST/live.start/");
  EXPECT_EQ(*parse_json(start.payload), Json({{"stream", "door"}, {"seconds", 30}}));

  // Once the neighbour has the second, the hub is done with the first.
  uplink.send_frame(frame_bytes({{"module", "vision"}, {"stream", "gate"}}, "nobody looks"));
  uplink.send_frame(frame_bytes({{"module", "vision"}, {"stream", "door"}}, "the neighbour's"));
  ASSERT_TRUE(eventually([&] { return neighbour.frames().size() == 1; }));
  const Json source{{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}};
  page.send({{"live", source}});
  ASSERT_TRUE(page.wait_state("starting"));

  uplink.send_frame("garbage");
  uplink.send_frame(std::string(4, '\xFF'));
  uplink.send_frame(frame_bytes({{"module", "vision"}, {"stream", "other"}}, "another stream"));
  uplink.send_frame(frame_bytes({{"module", "vision"}, {"stream", "gate"}, {"captured_us", 7}}, "JPEG"));
  ASSERT_TRUE(eventually([&] { return !page.frames().empty(); }));
  EXPECT_EQ(page.frames()[0],
            frame_bytes({{"module", "vision"}, {"stream", "gate"}, {"captured_us", 7}, {"device", "edge"}}, "JPEG"));
  EXPECT_TRUE(page.wait_state("running"));
  EXPECT_EQ(page.frames().size(), 1U);

  page.send({{"unlive", source}});
  EXPECT_FALSE(module.wait_message("$iothub/methods/POST/live.stop/").topic.empty());
  ASSERT_TRUE(eventually(
      [&] { return hub_.owner("GET", "/api/v1/audit").text.find("live end edge/vision/gate") != std::string::npos; }));
  EXPECT_NE(hub_.owner("GET", "/api/v1/audit").text.find("live begin edge/vision/gate"), std::string::npos);
}

TEST_F(LiveTest, EndsWithThePage) {
  TestDevice module(hub_, {"edge", "vision"}, module_key_);
  module.answer_methods("{}");
  ASSERT_TRUE(module.wait_connected());
  ASSERT_TRUE(module.subscribe("$iothub/methods/POST/#"));
  {
    TestSocket page(hub_, "/api/v1/stream", "Cookie", cookie_);
    page.send({{"live", {{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}}}});
    ASSERT_TRUE(page.wait_state("starting"));
  }
  EXPECT_FALSE(module.wait_message("$iothub/methods/POST/live.stop/").topic.empty());
}

TEST_F(LiveTest, EndsForWhoIsRemoved) {
  ASSERT_EQ(hub_.owner("PUT", "/api/v1/people/eve", {{"password", "correct horse"}, {"role", "viewer"}}).status, 201);
  const auto in = hub_.call("POST", "/api/v1/login", to_text({{"user", "eve"}, {"password", "correct horse"}}));
  const std::string cookie(in.headers.get("Set-Cookie"));
  TestDevice module(hub_, {"edge", "vision"}, module_key_);
  module.answer_methods("{}");
  ASSERT_TRUE(module.wait_connected());
  ASSERT_TRUE(module.subscribe("$iothub/methods/POST/#"));
  TestSocket page(hub_, "/api/v1/stream", "Cookie", cookie.substr(0, cookie.find(';')));
  page.send({{"live", {{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}}}});
  ASSERT_TRUE(page.wait_state("starting"));
  ASSERT_EQ(hub_.owner("DELETE", "/api/v1/people/eve").status, 204);
  EXPECT_FALSE(module.wait_message("$iothub/methods/POST/live.stop/").topic.empty());
}

TEST_F(LiveTest, SaysWhyThereIsNoPicture) {
  TestSocket page(hub_, "/api/v1/stream", "Cookie", cookie_);
  page.send({{"live", {{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}}}});
  EXPECT_TRUE(page.wait_state("unavailable"));
}

TEST_F(LiveTest, TellsEventsAndDevices) {
  TestSocket page(hub_, "/api/v1/stream", "Cookie", cookie_);
  ASSERT_TRUE(page.is_open());
  page.send({{"watch", {"events", "devices"}}});
  TestDevice module(hub_, {"edge", "vision"}, module_key_);
  ASSERT_TRUE(page.wait_key("devices"));
  ASSERT_TRUE(module.send("hello"));
  ASSERT_TRUE(page.wait_key("event"));
  for (const Json& text : page.texts()) {
    if (text.contains("event")) {
      EXPECT_EQ(text["event"]["body"], "hello");
    }
    if (text.contains("devices")) {
      EXPECT_EQ(text["devices"][0]["id"], "edge");
    }
  }
  page.send(Json::array());
  page.send({{"watch", 7}});
  page.send({{"live", 7}});
  EXPECT_TRUE(hub_.call("GET", "/healthz").status == 200);
}

TEST_F(LiveTest, AsksForProofs) {
  EXPECT_FALSE(TestSocket(hub_, "/api/v1/stream", "Cookie", "verge_session=" + std::string(64, '0')).is_open());
  EXPECT_FALSE(
      TestSocket(hub_, "/api/v1/devices/other/live", "Authorization", hub_.device_token({"edge", ""}, device_key_))
          .is_open());
  EXPECT_FALSE(TestSocket(hub_, "/api/v1/devices/edge/live", "X-None", "1").is_open());
  EXPECT_FALSE(TestSocket(hub_, "/elsewhere", "Cookie", cookie_).is_open());
}

}  // namespace
}  // namespace verge::hub
