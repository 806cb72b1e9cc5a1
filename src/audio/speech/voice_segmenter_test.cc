#include "audio/speech/voice_segmenter.h"

#include <gtest/gtest.h>

namespace verge::audio {
namespace {

constexpr int kRateHz = 16'000;
constexpr std::size_t kBlock = 512;  // 32 ms

struct Piece {
  double seconds;
  float probability;
};

struct Found {
  double begin_s, length_s;
};

std::vector<Found> segments_of(const std::vector<Piece>& pieces, SegmenterOptions options = {}) {
  VoiceSegmenter segmenter(options, kRateHz, kBlock);
  std::vector<Found> found;
  const auto keep = [&](const std::optional<Utterance>& utterance) {
    if (utterance) {
      found.push_back({static_cast<double>(utterance->begin_sample) / kRateHz,
                       static_cast<double>(utterance->samples.size()) / kRateHz});
    }
  };
  const std::vector<float> samples(kBlock, 0.1F);
  for (const auto& piece : pieces) {
    for (int block = 0; block < static_cast<int>(piece.seconds / 0.032); ++block)
      keep(segmenter.add(samples, piece.probability));
  }
  keep(segmenter.flush());
  return found;
}

TEST(VoiceSegmenter, FindsUtterances) {
  struct Row {
    const char* name;
    std::vector<Piece> pieces;
    std::size_t count;
    double begin_s, length_s;  // of the first
  };
  const Row rows[] = {
      {"silence gives nothing", {{5, 0.02F}}, 0, 0, 0},
      {"one utterance with padding on both sides", {{1, 0.0F}, {2, 0.9F}, {2, 0.0F}}, 1, 0.77, 2.4},
      {"speech from the very first block", {{2, 0.9F}, {2, 0.0F}}, 1, 0.0, 2.2},
      {"a click is too short", {{1, 0.0F}, {0.1, 0.9F}, {2, 0.0F}}, 0, 0, 0},
      {"a short pause joins", {{1, 0.9F}, {0.4, 0.1F}, {1, 0.9F}, {2, 0.0F}}, 1, 0.0, 2.6},
      {"a long pause separates", {{1, 0.9F}, {1.5, 0.1F}, {1, 0.9F}, {2, 0.0F}}, 2, 0.0, 1.2},
      {"between the thresholds it stays open", {{1, 0.9F}, {1, 0.4F}, {1, 0.9F}, {2, 0.0F}}, 1, 0.0, 3.2},
      {"the end of the stream closes", {{1, 0.0F}, {2, 0.9F}}, 1, 0.77, 2.2},
  };
  for (const auto& row : rows) {
    const auto found = segments_of(row.pieces);
    ASSERT_EQ(found.size(), row.count) << row.name;
    if (row.count == 0) continue;
    EXPECT_NEAR(found[0].begin_s, row.begin_s, 0.07) << row.name;
    EXPECT_NEAR(found[0].length_s, row.length_s, 0.1) << row.name;
  }
}

TEST(VoiceSegmenter, CutsWhatIsTooLongAndLosesNothing) {
  const auto found = segments_of({{30, 0.9F}, {1, 0.0F}}, {.length_s_max = 12});
  ASSERT_GE(found.size(), 3U);
  double covered_to_s = 0;
  for (const auto& piece : found) {
    EXPECT_LE(piece.length_s, 12.1);
    EXPECT_LE(piece.begin_s, covered_to_s + 0.05) << "a hole before this piece";
    covered_to_s = piece.begin_s + piece.length_s;
  }
  EXPECT_GE(covered_to_s, 29.9);
}

TEST(VoiceSegmenter, CutsLongSpeechWhereItIsLeastLikely) {
  const auto found = segments_of({{8, 0.9F}, {0.1, 0.5F}, {8, 0.9F}, {1, 0.0F}}, {.length_s_max = 12});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_NEAR(found[0].length_s, 8.05, 0.1);
  EXPECT_NEAR(found[1].begin_s, found[0].begin_s + found[0].length_s, 1e-6) << "nothing is heard twice";
}

}  // namespace
}  // namespace verge::audio
