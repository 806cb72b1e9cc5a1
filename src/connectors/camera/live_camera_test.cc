#include "connectors/camera/live_camera.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/camera/pictures_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What a link does on its n-th connection; a script.
using Connections = std::vector<std::function<Status(CameraWatch&)>>;

class ScriptedLink final : public CameraLink {
 public:
  ScriptedLink(Connections connections, std::size_t* count) : connections_(std::move(connections)), count_(count) {}
  Status watch(CameraWatch& watch) override {
    const std::size_t index = std::min((*count_)++, connections_.size() - 1);
    return connections_[index](watch);
  }

 private:
  const Connections connections_;
  std::size_t* count_;
};

Status show_some(CameraWatch& watch, int pictures, std::int64_t captured_us) {
  for (int i = 0; i < pictures; ++i) {
    auto frame = std::make_shared<pipeline::Frame>();
    static const std::uint8_t pixel = 7;
    frame->width = frame->height = 1;
    frame->planes[0] = &pixel;
    watch.show(std::move(frame), {captured_us + i, captured_us + i});
  }
  return Done{};
}

class LiveCameraTest : public ::testing::Test {
 protected:
  /// Runs as the executor does, until the script is over; the errors that come out.
  std::vector<std::string> play(Connections connections, double silence_s = 0.5) {
    pipeline::Context context;
    context.metrics = &metrics_;
    context.stream = "gate";
    const std::size_t wanted = connections.size();
    connections.emplace_back([](CameraWatch&) -> Status { return Done{}; });
    auto source = make_live_camera({"rtsp://***@gate/1", silence_s},
                                   std::make_unique<ScriptedLink>(std::move(connections), &connections_made_), context);
    EXPECT_TRUE(source->is_live());
    std::vector<std::string> errors;
    while (connections_made_ < wanted) {
      EXPECT_TRUE(source->open());
      const auto status = source->run([&](pipeline::Packet packet) { seen_.push_back(seen_in(packet)); },
                                      [&] { return is_stopped_ || connections_made_ > wanted; });
      if (!status) errors.push_back(status.error().message);
      if (is_stopped_) break;
    }
    return errors;
  }

  Metrics metrics_;
  std::size_t connections_made_ = 0;
  std::vector<SeenPicture> seen_;
  bool is_stopped_ = false;
};

TEST_F(LiveCameraTest, ComesBackAfterEveryEnd) {
  const auto errors = play({[](CameraWatch& watch) { return show_some(watch, 2, 1000); },
                            [](CameraWatch&) -> Status {
                              return Error{ErrorCode::unavailable, "connect: refused"};
                            },
                            [](CameraWatch&) -> Status {
                              return Error{ErrorCode::unavailable, "connect: refused"};
                            },
                            [](CameraWatch& watch) { return show_some(watch, 1, 5000); }});
  ASSERT_EQ(seen_.size(), 3U);
  EXPECT_THAT((std::vector{seen_[0].take, seen_[1].take, seen_[2].take}), ElementsAre(0U, 0U, 1U));
  EXPECT_EQ(CameraCounters(metrics_, "gate").reconnects.value(), 4U);
  ASSERT_GE(errors.size(), 2U) << "each reason once, not each attempt";
  EXPECT_LE(errors.size(), 3U);
  EXPECT_EQ(errors[0], "camera rtsp://***@gate/1: it ended the stream") << "a clean end is a loss, too";
  EXPECT_EQ(errors[1], "camera rtsp://***@gate/1: connect: refused");
}

TEST_F(LiveCameraTest, TimesNeverGoBack) {
  play({[](CameraWatch& watch) { return show_some(watch, 2, 9000); },
        [](CameraWatch& watch) { return show_some(watch, 2, 5000); }});
  ASSERT_EQ(seen_.size(), 4U);
  for (std::size_t i = 1; i < seen_.size(); ++i) EXPECT_GT(seen_[i].captured_us, seen_[i - 1].captured_us);
  EXPECT_EQ(seen_[0].captured_us, 9000);
}

TEST_F(LiveCameraTest, NoticesSilence) {
  const auto begin = std::chrono::steady_clock::now();
  bool has_ended = false;
  play({[&](CameraWatch& watch) -> Status {
    watch.hear();
    while (!watch.has_to_end()) {
      if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(60)) return Done{};
    }
    has_ended = true;
    return Error{ErrorCode::timeout, "nothing came"};
  }});
  EXPECT_TRUE(has_ended);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(450));
}

TEST_F(LiveCameraTest, StopsWhileItWaits) {
  const auto begin = std::chrono::steady_clock::now();
  const auto errors = play({[&](CameraWatch& watch) -> Status {
                              is_stopped_ = true;
                              EXPECT_TRUE(watch.has_to_end());
                              return Done{};
                            },
                            [](CameraWatch&) -> Status { return Done{}; }},
                           60);
  EXPECT_TRUE(errors.empty()) << "a stop is no loss";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30)) << "it waited the whole minute";
}

TEST_F(LiveCameraTest, IsNeverFinal) {
  const auto errors = play({[](CameraWatch&) -> Status { return Error{ErrorCode::corrupt, "no video"}; }});
  ASSERT_FALSE(errors.empty());
  EXPECT_THAT(errors[0], HasSubstr("no video"));
}

TEST_F(LiveCameraTest, AStreamOnlyForEvidenceRestsWhereNobodyWantsAny) {
  pipeline::Context context;
  context.metrics = &metrics_;
  context.stream = "gate";
  Connections connections = {[](CameraWatch&) -> Status { return Done{}; }};
  auto source = make_live_camera({.shown = "rtsp://***@gate/1", .is_only_kept = true},
                                 std::make_unique<ScriptedLink>(std::move(connections), &connections_made_), context);
  ASSERT_TRUE(source->open());
  int asked = 0;
  EXPECT_TRUE(source->run([](const pipeline::Packet&) {}, [&] { return ++asked > 3; }));
  EXPECT_EQ(connections_made_, 0U);
}

}  // namespace
}  // namespace verge::connectors
