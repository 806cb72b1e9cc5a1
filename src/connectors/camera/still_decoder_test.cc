#include "connectors/camera/still_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "connectors/camera/films_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr std::int64_t kStillStep = 100'000;
constexpr std::int64_t kStillBegin = 5'000'000;
constexpr int kStillGroup = 10;

/// So many groups of a still scene; whether any packet seemed to have grown.
bool learn_groups(PacketSizes& sizes, const std::vector<std::size_t>& group, int count) {
  bool has_grown = false;
  for (int i = 0; i < count; ++i) {
    sizes.begin_group();
    for (const std::size_t bytes : group) {
      has_grown = sizes.put(bytes) || has_grown;
      sizes.learn();
    }
  }
  return has_grown;
}

TEST(PacketSizesTest, GrowWhenTheyAreWellAboveTheStillScene) {
  const std::vector<std::size_t> constant(12, 400);
  const std::vector<std::size_t> b_pictures = {900, 100, 900, 100, 900, 100, 900, 100, 900, 100, 900, 100};
  const std::vector<std::size_t> refined = {6, 7, 7, 7, 16, 23, 367, 42, 1274, 30, 900, 50};
  const struct {
    const char* what;
    std::vector<std::size_t> still, moving;  // Groups.
    bool has_grown;
  } rows[] = {{"motion", constant, {400, 400, 900, 900, 900, 900}, true},
              {"nothing", constant, constant, false},
              {"a little more", constant, std::vector<std::size_t>(12, 440), false},
              {"motion, with small pictures between", b_pictures, {900, 100, 2000, 400, 2000}, true},
              {"the same, with small pictures between", b_pictures, b_pictures, false},
              {"an encoder that spends more and more", refined, refined, false},
              {"motion before it would", refined, {6, 7, 600, 700, 650, 700}, true},
              {"a few bytes", std::vector<std::size_t>(12, 9), std::vector<std::size_t>(12, 20), false}};
  for (const auto& row : rows) {
    PacketSizes sizes;
    EXPECT_FALSE(learn_groups(sizes, row.still, 10)) << row.what;
    sizes.begin_group();
    bool has_grown = false;
    for (const std::size_t bytes : row.moving) has_grown = sizes.put(bytes) || has_grown;
    EXPECT_EQ(has_grown, row.has_grown) << row.what;
  }
}

TEST(PacketSizesTest, AGrainThatComesAndGoesIsUsual) {
  PacketSizes sizes;
  for (unsigned i = 0; i < 30; ++i) learn_groups(sizes, {400 + i % 3 * 60, 500 - i % 2 * 90, 300 + i % 5 * 40}, 1);
  EXPECT_TRUE(sizes.knows());
  EXPECT_FALSE(learn_groups(sizes, {520, 500, 460}, 1));
  sizes.begin_group();
  EXPECT_TRUE(sizes.put(4000));
}

TEST(PacketSizesTest, SayNothingBeforeTheyKnowAndLearnWhatStays) {
  PacketSizes sizes;
  EXPECT_FALSE(learn_groups(sizes, {10, 10'000}, PacketSizes::kLearnedMin / 2 - 1));
  EXPECT_FALSE(sizes.knows());
  PacketSizes single;
  EXPECT_FALSE(learn_groups(single, std::vector<std::size_t>(60, 100), 1));
  EXPECT_FALSE(single.knows()) << "of one group";
  PacketSizes rain;
  learn_groups(rain, std::vector<std::size_t>(10, 100), 6);
  EXPECT_TRUE(learn_groups(rain, std::vector<std::size_t>(10, 2000), 1));
  learn_groups(rain, std::vector<std::size_t>(10, 2000), 20);
  EXPECT_FALSE(learn_groups(rain, std::vector<std::size_t>(10, 2000), 1));
  EXPECT_FALSE(learn_groups(rain, std::vector<std::size_t>(2 * PacketSizes::kPlacesMax, 2000), 4)) << "a long group";
}

/// Feeds groups of a film, the n-th picture at kStillBegin + n steps, and notes which pictures come out after which
/// packet.
class StillDecoderTest : public ::testing::TestWithParam<bool> {
 protected:
  StillDecoderTest() : film_(packets_of(GetParam() ? b_picture_film() : plain_film(), GetParam())) {
    stillness_->set_takers({"motion"});
  }

  void open(bool is_resting = true, std::function<bool()> has_room = {}) {
    const auto ffmpeg = open_ffmpeg();
    ASSERT_TRUE(ffmpeg) << ffmpeg.error().message;
    ffmpeg_ = *ffmpeg;
    PictureDecoder::Format format;
    format.codec = AV_CODEC_ID_H264;
    auto decoder = PictureDecoder::open(*ffmpeg_, format, {}, counters_);
    ASSERT_TRUE(decoder) << decoder.error().message;
    decoder_ = std::make_unique<StillDecoder>(*ffmpeg_, *std::move(decoder), PictureWish{},
                                              StillWish{is_resting, stillness_, std::move(has_room)}, counters_);
  }
  /// What comes out after one more packet: numbers of pictures.
  std::vector<int> feed(const FilmPacket& from, int in_group) {
    auto packet = own(*ffmpeg_, ffmpeg_->av_packet_alloc());
    EXPECT_EQ(ffmpeg_->av_new_packet(packet.get(), static_cast<int>(from.bytes.size())), 0);
    std::ranges::copy(from.bytes, packet->data);
    packet->flags = from.is_key ? AV_PKT_FLAG_KEY : 0;
    packet->pts = (sent_ - in_group + from.place % kStillGroup) * kStillStep;
    const std::int64_t now_us = kStillBegin + sent_++ * kStillStep;
    decoder_->put(*packet, {now_us, now_us});
    return take(now_us);
  }
  std::vector<int> take(std::int64_t now_us) {
    std::vector<int> shown;
    for (;;) {
      const auto picture = decoder_->next();
      EXPECT_TRUE(picture) << picture.error().message;
      if (!picture || !*picture) break;
      EXPECT_LE((*picture)->arrival.monotonic_us, now_us);
      shown.push_back(static_cast<int>((*picture)->time_us / kStillStep));
      judge((*picture)->arrival.monotonic_us);
    }
    return shown;
  }
  /// What came out of so many groups: the still one (0) or the one in which something moves (1).
  std::vector<int> feed_groups(int which, int count = 1) {
    std::vector<int> shown;
    for (int i = 0; i < count * kStillGroup; ++i) {
      const int in_group = i % kStillGroup;
      const auto more = feed(film_[static_cast<std::size_t>(which * kStillGroup + in_group)], in_group);
      shown.insert(shown.end(), more.begin(), more.end());
    }
    return shown;
  }
  /// A gate that looks at every picture at once.
  void judge(std::int64_t at_us) {
    word_.judged_us = at_us;
    stillness_->say("motion", word_);
  }
  std::uint64_t sum() const {
    return counters_.decoded.value() + counters_.skipped.value() + counters_.still.value() + counters_.broken.value();
  }
  static std::vector<int> numbers(int first, int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), first);
    return all;
  }

  const std::vector<FilmPacket> film_;
  const std::shared_ptr<pipeline::Stillness> stillness_ = std::make_shared<pipeline::Stillness>();
  pipeline::StillWord word_{.is_still = true};
  Metrics metrics_;
  CameraCounters counters_{metrics_, "gate"};
  const FfmpegLibrary* ffmpeg_ = nullptr;
  std::unique_ptr<StillDecoder> decoder_;
  int sent_ = 0;
};

TEST_P(StillDecoderTest, DecodesKeyPicturesWhileNothingMoves) {
  ASSERT_EQ(film_.size(), 2U * kStillGroup);
  open();
  feed_groups(0, 5);
  ASSERT_TRUE(decoder_->is_resting());
  const std::uint64_t decoded = counters_.decoded.value();
  EXPECT_THAT(feed_groups(0, 4), ElementsAre(50, 60, 70, 80));
  EXPECT_EQ(counters_.decoded.value() - decoded, 4U);
  EXPECT_EQ(counters_.broken.value(), 0U);
  EXPECT_EQ(counters_.received.value(), 90U);
  decoder_.reset();
  EXPECT_LE(counters_.received.value() - sum(), 1U) << "one may end inside the decoder";
  EXPECT_GE(counters_.still.value(), 34U);
}

TEST_P(StillDecoderTest, AKeyPictureComesAtOnce) {
  open();
  feed_groups(0, 5);
  const auto after_key = feed(film_[0], 0);
  // A key picture in front of B pictures comes out by the one that follows.
  const auto after_next = feed(film_[1], 1);
  EXPECT_THAT(GetParam() ? after_next : after_key, ElementsAre(50));
  EXPECT_THAT(feed(film_[2], 2), IsEmpty());
}

TEST_P(StillDecoderTest, GrowingPacketsBringWhatWasHeld) {
  open();
  feed_groups(0, 5);
  auto shown = feed_groups(1);
  const auto rest = feed_groups(1);  // What the last B picture or reference held back.
  shown.insert(shown.end(), rest.begin(), rest.end());
  shown.resize(10);
  EXPECT_THAT(shown, ElementsAreArray(numbers(50, 10))) << "none is lost, and in their order";
  EXPECT_GE(counters_.woken_by_size.value(), 1U);
  EXPECT_EQ(counters_.woken_by_picture.value(), 0U);
  EXPECT_EQ(counters_.broken.value(), 0U);
}

TEST_P(StillDecoderTest, AWordBringsWhatWasHeld) {
  open();
  feed_groups(0, 5);
  for (int i = 0; i < 4; ++i) feed(film_[static_cast<std::size_t>(i)], i);
  word_.is_still = false;
  judge(word_.judged_us);
  auto shown = feed(film_[4], 4);
  for (int i = 5; i < kStillGroup; ++i) {
    const auto more = feed(film_[static_cast<std::size_t>(i)], i);
    shown.insert(shown.end(), more.begin(), more.end());
  }
  ASSERT_GE(shown.size(), 8U);
  shown.resize(8);
  EXPECT_THAT(shown, ElementsAreArray(numbers(51, 8)));
  EXPECT_EQ(counters_.woken_by_picture.value(), 1U);
  const auto moving = feed_groups(0, 2);
  EXPECT_GE(moving.size(), 19U) << "all, for as long as it moves";
  word_.is_still = true;
  judge(word_.judged_us);
  feed_groups(0);
  EXPECT_THAT(feed_groups(0, 2), ElementsAre(90, 100));
}

TEST_P(StillDecoderTest, APictureThatIsNeededComes) {
  open();
  feed_groups(0, 5);
  word_.needed_by_us = kStillBegin + 55 * kStillStep;
  const auto shown = feed_groups(0);
  ASSERT_GE(shown.size(), 2U);
  EXPECT_EQ(shown.front(), 50);
  EXPECT_GE(shown.size(), 8U) << "the gate never says that it got it";
  word_.needed_by_us = kStillBegin + 1000 * kStillStep;
  judge(word_.judged_us);
  EXPECT_THAT(feed_groups(0, 2), ::testing::IsSupersetOf({60, 70}));
}

TEST_P(StillDecoderTest, CatchesUpAsThereIsRoom) {
  bool has_room = true;
  open(true, [&] { return has_room; });
  feed_groups(0, 5);
  for (int i = 0; i < 6; ++i) feed(film_[static_cast<std::size_t>(i)], i);
  word_.is_still = has_room = false;
  judge(word_.judged_us);
  for (int i = 6; i < kStillGroup; ++i) EXPECT_THAT(feed(film_[static_cast<std::size_t>(i)], i), IsEmpty());
  EXPECT_THAT(feed_groups(0), IsEmpty());
  has_room = true;
  auto shown = feed(film_[0], 0);
  ASSERT_GE(shown.size(), 18U);
  shown.resize(18);
  EXPECT_THAT(shown, ElementsAreArray(numbers(51, 18)));
}

TEST_P(StillDecoderTest, HoldsNoMoreThanItMay) {
  open(true, [] { return false; });
  feed_groups(0, 5);
  // In front of B pictures the second packet only brings the key picture out; the third is held.
  for (int i = 0; i < 3; ++i) feed(film_[static_cast<std::size_t>(i)], i);
  word_.is_still = false;
  judge(word_.judged_us);
  for (int i = 3; i < kStillGroup; ++i) feed(film_[static_cast<std::size_t>(i)], i);
  feed_groups(0, 150);
  EXPECT_LE(counters_.received.value() - sum(), StillDecoder::kHeldPacketsMax + 2);
  EXPECT_GE(counters_.received.value() - sum(), StillDecoder::kHeldPacketsMax - 2);
  EXPECT_GE(counters_.shown.value(), 400U);
}

TEST_P(StillDecoderTest, DecodesAllWhenNobodySaysThatItIsStill) {
  const struct {
    const char* what;
    bool is_resting, is_still, is_judged;
  } rows[] = {
      {"not asked for", false, true, true}, {"it moves", true, false, true}, {"nobody looked", true, true, false}};
  for (const auto& row : rows) {
    open(row.is_resting);
    sent_ = 0;
    word_ = {.is_still = row.is_still};
    stillness_->set_takers({row.is_judged ? "motion" : "other"});
    if (row.is_judged) judge(0);
    EXPECT_GE(feed_groups(0, 8).size(), 78U) << row.what;
    EXPECT_EQ(counters_.still.value(), 0U) << row.what;
  }
}

INSTANTIATE_TEST_SUITE_P(Films, StillDecoderTest, ::testing::Bool(),
                         [](const auto& film) { return film.param ? "WithBPictures" : "Plain"; });

}  // namespace
}  // namespace verge::connectors
