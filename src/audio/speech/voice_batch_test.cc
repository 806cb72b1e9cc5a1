// The packaged model on sound that set-up fetched ($VERGE_CACHE): rewritten and published graph, alone and together.
#include "audio/speech/voice_batch.h"

#include <cstdlib>
#include <gtest/gtest.h>

#include "audio/recording/recording.h"
#include "base/disk.h"

namespace verge::audio {
namespace {

std::filesystem::path fetched(const std::string& name) {
  const char* folder = std::getenv("VERGE_CACHE");
  return (folder != nullptr ? folder : std::filesystem::path(std::getenv("HOME")) / ".cache/verge") / name;
}

constexpr const char* kModel = "models/silero-vad/silero_vad.onnx";

std::vector<float> sound() {
  auto recording = read_recording(fetched("media/speech/beckett.wav"), 16'000);
  EXPECT_TRUE(recording) << recording.error().message;
  return recording->samples;
}

std::span<const float> block_of(const std::vector<float>& samples, std::size_t block) {
  return std::span(samples).subspan(block * VoiceBatch::kBlockSamples, VoiceBatch::kBlockSamples);
}

std::vector<float> alone(const std::vector<float>& samples) {
  auto batch = VoiceBatch::load(fetched(kModel));
  EXPECT_TRUE(batch) << batch.error().message;
  const auto voice = VoiceBatch::join(*batch);
  std::vector<float> probabilities;
  for (std::size_t block = 0; (block + 1) * VoiceBatch::kBlockSamples <= samples.size(); ++block) {
    const auto known = voice->add(block_of(samples, block));
    EXPECT_TRUE(known && known->size() == 1) << "a stream alone has its answer at once";
    probabilities.push_back(known->front());
  }
  return probabilities;
}

TEST(VoiceBatch, SaysWhatThePublishedGraphSays) {
  const auto samples = sound();
  const auto ours = alone(samples);
  auto session = inference::load_onnx(fetched(kModel));
  ASSERT_TRUE(session) << session.error().message;
  inference::Tensor input(inference::DataType::float32, {1, 576}), state(inference::DataType::float32, {2, 1, 128}),
      rate(inference::DataType::int64, {});
  rate.values<std::int64_t>()[0] = 16'000;
  const inference::NamedTensor inputs[] = {{"input", &input}, {"state", &state}, {"sr", &rate}};
  const std::string_view wanted[] = {"output", "stateN"};
  float largest = 0;
  for (std::size_t block = 0; block < ours.size(); ++block) {
    const auto window = input.values<float>();
    std::copy(window.end() - 64, window.end(), window.begin());
    std::ranges::copy(block_of(samples, block), window.begin() + 64);
    auto outputs = (*session)->run(inputs, wanted);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_NEAR(ours[block], (*outputs)[0].values<float>()[0], 1e-3) << "block " << block;
    largest = std::max(largest, ours[block]);
    state = std::move((*outputs)[1]);
  }
  EXPECT_GT(largest, 0.9F) << "there is speech in it";
}

TEST(VoiceBatch, StreamsTogetherHearWhatTheyHearAlone) {
  const auto samples = sound();
  std::vector<float> other(samples.rbegin(), samples.rend());
  const auto first = alone(samples), second = alone(other);
  auto batch = VoiceBatch::load(fetched(kModel));
  ASSERT_TRUE(batch);
  const auto one = VoiceBatch::join(*batch), two = VoiceBatch::join(*batch);
  std::vector<float> heard_one, heard_two;
  const auto keep = [](std::vector<float>& target, const Result<std::vector<float>>& known) {
    ASSERT_TRUE(known) << known.error().message;
    target.insert(target.end(), known->begin(), known->end());
  };
  for (std::size_t block = 0; block < first.size(); ++block) {
    keep(heard_one, one->add(block_of(samples, block)));
    EXPECT_GE(heard_one.size(), block) << "nobody waits longer than until its next block";
    if (block % 7 != 3) keep(heard_two, two->add(block_of(other, heard_two.size())));  // Misses one now and then.
    keep(heard_two, two->finish());
  }
  keep(heard_one, one->finish());
  ASSERT_EQ(heard_one.size(), first.size());
  for (std::size_t block = 0; block < first.size(); ++block) EXPECT_NEAR(heard_one[block], first[block], 1e-4);
  for (std::size_t block = 0; block < heard_two.size(); ++block) EXPECT_NEAR(heard_two[block], second[block], 1e-4);
}

TEST(VoiceBatch, AStreamThatLeavesIsNotWaitedFor) {
  const auto samples = sound();
  auto batch = VoiceBatch::load(fetched(kModel));
  ASSERT_TRUE(batch);
  const auto stays = VoiceBatch::join(*batch);
  {
    const auto leaves = VoiceBatch::join(*batch);
    ASSERT_TRUE(leaves->add(block_of(samples, 0)));
  }
  const auto known = stays->add(block_of(samples, 0));
  ASSERT_TRUE(known);
  EXPECT_EQ(known->size(), 1U);
}

TEST(VoiceBatches, OpenAFileOnce) {
  VoiceBatches batches;
  const auto one = batches.open(fetched(kModel)), two = batches.open(fetched(kModel));
  ASSERT_TRUE(one && two);
  EXPECT_EQ(*one, *two);
  EXPECT_EQ(batches.open("/nowhere.onnx").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::audio
