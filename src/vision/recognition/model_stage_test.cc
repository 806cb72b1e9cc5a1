#include "vision/recognition/model_stage.h"

#include <chrono>
#include <gtest/gtest.h>
#include <map>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::Packet;
using pipeline::Scene;

/// Every analysis waits until `together` are under way at once, or a minute is over; says what it saw.
class Meeting final : public SceneAnalyser {
 public:
  Meeting(std::size_t together, bool allows_many) : together_(together), allows_many_(allows_many) {}
  Status analyse(const Packet& packet, Scene&) override {
    std::unique_lock lock(mutex_);
    order_[*packet.stream].push_back(packet.sequence);
    most_of_stream_ = std::max(most_of_stream_, ++inside_of_stream_[*packet.stream]);
    most_ = std::max(most_, ++inside_);
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(60), [this] { return most_ >= together_; });
    --inside_;
    --inside_of_stream_[*packet.stream];
    return Done{};
  }
  bool allows_many_threads() const override { return allows_many_; }

  std::size_t most_ = 0, most_of_stream_ = 0;
  std::map<std::string, std::vector<std::uint64_t>> order_;

 private:
  const std::size_t together_;
  const bool allows_many_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t inside_ = 0;
  std::map<std::string, std::size_t> inside_of_stream_;
};

/// Submits what `streams` says, in this order, as the executor would; what the analyser saw when all is done.
const Meeting& analyse_all(std::unique_ptr<ModelStage>& stage, std::size_t together, bool allows_many,
                           std::size_t runs_max, const std::string& streams) {
  static Metrics metrics;
  pipeline::Context context;
  context.metrics = &metrics;
  auto analyser = std::make_unique<Meeting>(together, allows_many);
  const Meeting& meeting = *analyser;
  stage = std::make_unique<ModelStage>("meeting", std::move(analyser), context, runs_max);
  EXPECT_TRUE(stage->open());
  std::map<char, std::shared_ptr<const std::string>> names;
  std::atomic<std::size_t> done{0};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    auto& name = names[streams[i]];
    if (!name) name = std::make_shared<const std::string>(1, streams[i]);
    auto scene = std::make_shared<Scene>();
    scene->frame = testing::make_frame(pipeline::PixelFormat::gray8, 4, 4, [](int, int, int) { return 0; });
    Packet packet;
    packet.stream = name;
    packet.sequence = i;
    packet.payload = std::shared_ptr<const Scene>(std::move(scene));
    stage->submit(std::move(packet), [&](auto result) { done += result ? 1 : 0; });
  }
  stage->close();
  EXPECT_EQ(done, streams.size());
  return meeting;
}

TEST(ModelStage, ComputesPicturesOfSeveralStreamsAtOnce) {
  std::unique_ptr<ModelStage> stage;
  const Meeting& meeting = analyse_all(stage, 2, true, 2, "aabbcc");
  EXPECT_EQ(meeting.most_, 2U);
  EXPECT_EQ(meeting.most_of_stream_, 1U);
  EXPECT_EQ(meeting.order_.at("a"), (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(meeting.order_.at("c"), (std::vector<std::uint64_t>{4, 5}));
}

TEST(ModelStage, ComputesOnePictureOfAStreamAtATime) {
  std::unique_ptr<ModelStage> stage;
  const Meeting& meeting = analyse_all(stage, 1, true, 4, "aaaa");
  EXPECT_EQ(meeting.most_, 1U);
  EXPECT_EQ(meeting.order_.at("a"), (std::vector<std::uint64_t>{0, 1, 2, 3}));
}

TEST(ModelStage, AnAnalyserWithAMemoryIsUsedByOneThread) {
  std::unique_ptr<ModelStage> stage;
  EXPECT_EQ(analyse_all(stage, 1, false, 4, "abcd").most_, 1U);
}

}  // namespace
}  // namespace verge::vision
