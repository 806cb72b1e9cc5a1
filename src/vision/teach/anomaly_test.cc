#include "vision/teach/anomaly.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "vision/recognition/anomaly.h"
#include "vision/teach/anomaly_graph.h"
#include "vision/teach/part_reference.h"
#include "vision/teach/patch_bank.h"
#include "vision/teach/test_trunk.h"
#include "vision/test_boards.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;
using testing::make_frame;

constexpr int kSide = 64;

/// Stripes whose phase, light and noise change; a dark spot at x, y when there is a defect.
std::shared_ptr<const Frame> striped(unsigned seed, int spot_x = -1, int spot_y = -1) {
  testing::TestNumbers numbers(seed + 100);
  const double phase = numbers.next() * 3, gain = 1 + 0.1 * static_cast<double>(numbers.next());
  return make_frame(PixelFormat::rgb24, kSide, kSide, [&](int, int byte, int y) {
    const int x = byte / 3;
    double value = gain * (130 + 40 * std::sin(x * 0.7 + phase) + 15 * byte / (3.0 * kSide)) +
                   4 * static_cast<double>(numbers.next());
    if (spot_x >= 0 && std::hypot(x - spot_x, y - spot_y) < 6) value = 20;
    return static_cast<int>(value);
  });
}

/// A bright square that stands still; in the wrong place it is a defect.
std::shared_ptr<const Frame> with_square(unsigned seed, int left) {
  testing::TestNumbers numbers(seed + 500);
  return make_frame(PixelFormat::rgb24, kSide, kSide, [&](int, int byte, int y) {
    const int x = byte / 3;
    const bool is_square = x >= left && x < left + 16 && y >= 12 && y < 28;
    const bool is_bar = y >= 44 && y < 56 && x % 16 < 8;
    return static_cast<int>((is_square ? 200 : is_bar ? 150 : 60) + 4 * static_cast<double>(numbers.next()));
  });
}

Result<TaughtAnomaly> teach_on(const std::vector<std::shared_ptr<const Frame>>& good, AnomalyOptions options = {}) {
  options.bank_rows = 200;
  return teach_anomaly(testing::test_network(kSide), testing::test_network_card(kSide), good, options);
}

std::unique_ptr<AnomalyFinder> finder_of(const TaughtAnomaly& taught) {
  models::LoadedModel loaded;
  loaded.card = taught.card;
  auto session = inference::load_onnx_bytes(models::to_bytes(taught.model));
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return nullptr;
  loaded.session = *std::move(session);
  auto finder = AnomalyFinder::make(std::move(loaded), {});
  EXPECT_TRUE(finder) << finder.error().message;
  return finder ? *std::move(finder) : nullptr;
}

class TaughtSurface : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::vector<std::shared_ptr<const Frame>> good;
    for (unsigned i = 0; i < 10; ++i) good.push_back(striped(i));
    auto result = teach_on(good);
    ASSERT_TRUE(result) << result.error().message;
    taught = new TaughtAnomaly(*std::move(result));
  }
  static void TearDownTestSuite() { delete taught; }
  static TaughtAnomaly* taught;
};
TaughtAnomaly* TaughtSurface::taught = nullptr;

TEST_F(TaughtSurface, SeesASpotWhereItIsAndNothingOnGoodPictures) {
  const auto finder = finder_of(*taught);
  ASSERT_TRUE(finder);
  for (unsigned i = 20; i < 24; ++i) {
    const auto fine = finder->look(*striped(i));
    ASSERT_TRUE(fine);
    EXPECT_EQ(fine->attribute.name, "normal") << fine->value;
    EXPECT_THAT(fine->regions, ::testing::IsEmpty());
    const auto spotted = finder->look(*striped(i, 40, 24));
    ASSERT_TRUE(spotted);
    EXPECT_EQ(spotted->attribute.name, "anomaly") << spotted->value;
    EXPECT_GT(spotted->attribute.score, 0.5F);
    ASSERT_THAT(spotted->regions, ::testing::SizeIs(::testing::Ge(1U)));
    const auto hottest = std::ranges::max_element(spotted->map) - spotted->map.begin();
    EXPECT_NEAR(static_cast<double>(hottest % spotted->columns), 40.0 / kCellPixels, 1.6);
    EXPECT_NEAR(static_cast<double>(hottest / spotted->columns), 24.0 / kCellPixels, 1.6);
    const auto& box = spotted->regions.front().box;
    EXPECT_TRUE(box.left < 40.0 / kSide && box.right > 40.0 / kSide && box.top < 24.0 / kSide &&
                box.bottom > 24.0 / kSide);
  }
}

TEST_F(TaughtSurface, TheThresholdLiesAboveMostGoodPicturesByBanksWithoutThem) {
  const AnomalyFindings& findings = taught->findings;
  ASSERT_EQ(findings.good_scores.size(), 10U);
  EXPECT_LT(std::ranges::max(findings.good_scores), 1.0F);
  EXPECT_GT(std::ranges::max(findings.good_scores), 0.3F);
  EXPECT_EQ(findings.good_maps.size(), 10 * findings.rows * findings.columns);
  EXPECT_NEAR(std::ranges::max(findings.good_maps), std::ranges::max(findings.good_scores), 1e-4);
  EXPECT_TRUE(findings.is_extrapolated);
  EXPECT_GT(findings.separated, 0.7);
}

TEST(TeachAnomaly, EqualPicturesGiveEqualModels) {
  std::vector<std::shared_ptr<const Frame>> good;
  for (unsigned i = 0; i < 8; ++i) good.push_back(striped(i));
  const auto first = teach_on(good), second = teach_on(good);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(models::to_bytes(first->model), models::to_bytes(second->model));
}

TEST(TeachAnomaly, TheRightThingInTheWrongPlaceIsSeen) {
  std::vector<std::shared_ptr<const Frame>> good;
  for (unsigned i = 0; i < 10; ++i) good.push_back(with_square(i, 8));
  const auto taught = teach_on(good);
  ASSERT_TRUE(taught) << taught.error().message;
  const auto finder = finder_of(*taught);
  ASSERT_TRUE(finder);
  const auto fine = finder->look(*with_square(30, 8)), moved = finder->look(*with_square(31, 40));
  ASSERT_TRUE(fine && moved);
  EXPECT_EQ(fine->attribute.name, "normal") << fine->value;
  EXPECT_EQ(moved->attribute.name, "anomaly") << moved->value;
}

/// Good boards that lie elsewhere, turned and lit differently.
std::vector<std::shared_ptr<const Frame>> moved_boards(std::size_t count) {
  testing::TestNumbers numbers(11);
  const auto within = [&](double reach) { return reach * static_cast<double>(numbers.next()); };
  std::vector<std::shared_ptr<const Frame>> good;
  for (std::size_t i = 0; i < count; ++i) {
    const testing::BoardPose pose{within(12), within(9), within(0.07), 1 + within(0.1)};
    good.push_back(testing::as_frame(testing::board(pose, {}, static_cast<unsigned>(i) + 40)));
  }
  return good;
}

class TaughtPart : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    good = new std::vector(moved_boards(12));
    auto result = teach_on(*good, {.align = AlignParts::on});
    ASSERT_TRUE(result) << result.error().message;
    taught = new TaughtAnomaly(*std::move(result));
  }
  static void TearDownTestSuite() {
    delete taught;
    delete good;
  }
  static std::vector<std::shared_ptr<const Frame>>* good;
  static TaughtAnomaly* taught;
};
std::vector<std::shared_ptr<const Frame>>* TaughtPart::good = nullptr;
TaughtAnomaly* TaughtPart::taught = nullptr;

TEST_F(TaughtPart, IsComparedWhereItLiesAndMarkedThere) {
  EXPECT_TRUE(taught->findings.is_aligned);
  EXPECT_EQ(taught->findings.not_found, 0U);
  EXPECT_TRUE(taught->card.head.contains("correlation_min"));
  const auto finder = finder_of(*taught);
  ASSERT_TRUE(finder);
  const testing::BoardPose pose{-9, 7, 0.05, 1};
  const auto fine = finder->look(*testing::as_frame(testing::board(pose, {}, 90)));
  const auto spotted = finder->look(*testing::as_frame(testing::board(pose, {{80, 60, 7, 1}}, 91)));
  ASSERT_TRUE(fine && spotted);
  EXPECT_FALSE(fine->unaligned || spotted->unaligned);
  EXPECT_EQ(fine->attribute.name, "normal") << fine->value;
  EXPECT_EQ(spotted->attribute.name, "anomaly") << spotted->value;
  EXPECT_GT(spotted->value, 1.5F * fine->value);
  // Where (80, 60) of the board came to lie, in parts of the picture.
  const double u = 80 - (testing::kBoardWide - 1) / 2.0, v = 60 - (testing::kBoardHigh - 1) / 2.0;
  const double x = (std::cos(0.05) * u - std::sin(0.05) * v - 9 + testing::kBoardWide / 2.0) / testing::kBoardWide;
  const double y = (std::sin(0.05) * u + std::cos(0.05) * v + 7 + testing::kBoardHigh / 2.0) / testing::kBoardHigh;
  ASSERT_FALSE(spotted->regions.empty());
  const auto& box = spotted->regions.front().box;
  EXPECT_TRUE(box.left < x && x < box.right && box.top < y && y < box.bottom)
      << box.left << ' ' << box.top << ' ' << box.right << ' ' << box.bottom;
  const pipeline::HeatMap& heat = spotted->heat;
  ASSERT_EQ(heat.values.size(), static_cast<std::size_t>(heat.rows * heat.columns));
  EXPECT_LE(std::max(heat.rows, heat.columns), pipeline::HeatMap::kSideMax);
  const auto hottest = std::ranges::max_element(heat.values) - heat.values.begin();
  EXPECT_GE(heat.values[static_cast<std::size_t>(hottest)], pipeline::HeatMap::kThreshold);
  EXPECT_NEAR((static_cast<double>(hottest % heat.columns) + 0.5) / heat.columns, x, 0.15);
  EXPECT_NEAR((static_cast<double>(hottest / heat.columns) + 0.5) / heat.rows, y, 0.15);
}

TEST_F(TaughtPart, IsLaidOverByTheStageAsItWasInTeaching) {
  const auto finder = finder_of(*taught);
  ASSERT_TRUE(finder);
  ASSERT_TRUE(finder->aligner());
  const Frame& size = finder->aligner()->good();
  const auto reference = find_part_reference(*good, size.width, size.height, [](double) { return Status(Done{}); });
  ASSERT_TRUE(reference) << reference.error().message;
  EXPECT_EQ(reference->aligner.correlation_min(), finder->aligner()->correlation_min());
  const auto bytes = [](const Frame& frame) {
    return std::vector(frame.planes[0], frame.planes[0] + static_cast<std::ptrdiff_t>(frame.width) * frame.height * 3);
  };
  EXPECT_EQ(bytes(reference->aligner.good()), bytes(finder->aligner()->good()));
  for (std::size_t at = 0; at < good->size(); ++at) {
    const auto taught_on = reference->aligner.lay(*(*good)[at], reference->alignments[at]);
    const auto looked_at = finder->aligner()->lay(*(*good)[at]);
    ASSERT_TRUE(taught_on && looked_at);
    EXPECT_EQ(bytes(*taught_on->frame), bytes(*looked_at->frame)) << at;
    // The bank of the model knows the picture itself, which the score does without.
    const auto seen = finder->look(*(*good)[at]);
    ASSERT_TRUE(seen);
    EXPECT_LE(seen->value, taught->findings.good_scores[at] + 0.01F) << at;
  }
}

TEST_F(TaughtPart, IsSaidToBeUnalignedWhenItIsNotThere) {
  const auto finder = finder_of(*taught);
  ASSERT_TRUE(finder);
  testing::TestNumbers numbers(5);
  const auto nothing =
      finder->look(*make_frame(PixelFormat::gray8, testing::kBoardWide, testing::kBoardHigh,
                               [&](int, int, int) { return static_cast<int>(125 + 120 * numbers.next()); }));
  ASSERT_TRUE(nothing) << nothing.error().message;
  ASSERT_TRUE(nothing->unaligned);
  EXPECT_EQ(nothing->unaligned->name, "unaligned");
  EXPECT_GT(nothing->unaligned->score, 0.5F);
  EXPECT_EQ(nothing->attribute.name, "anomaly");
}

TEST_F(TaughtPart, NeedsTheGoodPictureThatTheCardSpeaksOf) {
  models::LoadedModel loaded;
  loaded.card = taught->card;
  models::OnnxModel bare = taught->model;
  std::erase_if(bare.graph.outputs, [](const auto& output) { return output.name == "good"; });
  auto session = inference::load_onnx_bytes(models::to_bytes(bare));
  ASSERT_TRUE(session) << session.error().message;
  loaded.session = *std::move(session);
  const auto finder = AnomalyFinder::make(std::move(loaded), {});
  ASSERT_FALSE(finder);
  EXPECT_THAT(finder.error().message, ::testing::HasSubstr("/outputs must be one \"good\", uint8"));
}

TEST(TeachAnomaly, LaysOverByItselfOnlyPartsThatMove) {
  const auto moving = teach_on(moved_boards(10));
  ASSERT_TRUE(moving) << moving.error().message;
  EXPECT_TRUE(moving->findings.is_aligned) << moving->findings.alignment;
  std::vector<std::shared_ptr<const Frame>> still;
  for (unsigned i = 0; i < 10; ++i) still.push_back(testing::as_frame(testing::board({}, {}, i + 1)));
  const auto standing = teach_on(still);
  ASSERT_TRUE(standing) << standing.error().message;
  EXPECT_FALSE(standing->findings.is_aligned) << standing->findings.alignment;
  EXPECT_THAT(standing->findings.alignment, ::testing::HasSubstr("as they lie"));
  EXPECT_FALSE(standing->card.head.contains("correlation_min"));
  const auto off = teach_on(moved_boards(10), {.align = AlignParts::off});
  ASSERT_TRUE(off) << off.error().message;
  EXPECT_FALSE(off->findings.is_aligned);
}

TEST(TeachAnomaly, DoesNotLayOverWhatShowsNoPart) {
  std::vector<std::shared_ptr<const Frame>> apart;
  for (unsigned i = 0; i < 8; ++i) {
    testing::TestNumbers numbers(i + 7);
    apart.push_back(make_frame(PixelFormat::gray8, kSide, kSide,
                               [&](int, int, int) { return static_cast<int>(100 + 90 * numbers.next()); }));
  }
  const auto wanted = teach_on(apart, {.align = AlignParts::on});
  ASSERT_FALSE(wanted);
  EXPECT_EQ(wanted.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(wanted.error().message, ::testing::HasSubstr("leave --align on out"));
  const auto left = teach_on(apart);
  ASSERT_TRUE(left) << left.error().message;
  EXPECT_FALSE(left->findings.is_aligned);
}

TEST(MapOnPicture, KeepsTheLargestAndWhereItLies) {
  const std::vector<float> map{0, 0, 0, 5, 0, 0, 0, 0, 2, 0, 0, 0};  // 3 rows, 4 columns.
  const auto as_it_lies = [](double across, double down) { return std::pair{across * 4, down * 3}; };
  EXPECT_EQ(map_on_picture(map, 3, 4, 3, 4, as_it_lies), map);
  EXPECT_EQ(map_on_picture(map, 3, 4, 1, 2, as_it_lies), (std::vector<float>{2, 5}));
  const auto a_row_up = [](double across, double down) { return std::pair{across * 4, down * 3 - 1}; };
  EXPECT_EQ(map_on_picture(map, 3, 4, 3, 4, a_row_up), (std::vector<float>{0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0}));
  const std::vector<float> broken{std::nanf(""), 0};
  EXPECT_EQ(map_on_picture(broken, 1, 2, 1, 1,
                           [](double across, double) {
                             return std::pair{across * 2, 0.5};
                           })[0],
            std::numeric_limits<float>::infinity());
}

TEST(TeachAnomaly, RefusesWhatItCannotLearnFrom) {
  std::vector<std::shared_ptr<const Frame>> good(7, striped(1));
  const auto few = teach_on(good);
  ASSERT_FALSE(few);
  EXPECT_THAT(few.error().message, ::testing::HasSubstr("at least 8"));
  good.resize(8, striped(2));
  EXPECT_FALSE(teach_on(good, {.false_alarms = 0}));
  EXPECT_FALSE(teach_on(good, {.pixels_max = 10}));
  const auto stopped = teach_anomaly(testing::test_network(kSide), testing::test_network_card(kSide), good, {},
                                     [](double) { return false; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::timeout);
}

/// Whitened patches by chance.
PatchSet some_patches() {
  PatchSet set{5, 3, 4, 2, {}};
  testing::TestNumbers numbers(3);
  for (std::size_t i = 0; i < set.pictures * set.cells() * set.dimensions; ++i) set.values.push_back(numbers.next());
  return set;
}

/// The graph's distances for one picture.
std::vector<float> run_distances(models::GraphBuilder& graph, const std::string& distances, const PatchSet& set,
                                 std::size_t picture) {
  const auto cells = static_cast<std::int64_t>(set.cells());
  graph.output("distances", distances, models::ElementType::float32, {cells, 1});
  const auto model = graph.finish();
  EXPECT_TRUE(model) << model.error().message;
  const auto session = inference::load_onnx_bytes(models::to_bytes(*model));
  EXPECT_TRUE(session) << session.error().message;
  const auto input =
      inference::Tensor::of<float>({cells, static_cast<std::int64_t>(set.dimensions)}, set.picture(picture));
  const inference::NamedTensor inputs[] = {{"patches", &input}};
  const auto outputs = (*session)->run(inputs);
  EXPECT_TRUE(outputs) << outputs.error().message;
  const auto values = (*outputs)[0].values<float>();
  return {values.begin(), values.end()};
}

TEST(PatchBank, GraphAndBankAgreeAndAPictureIsNotComparedWithItself) {
  const PatchSet set = some_patches();
  PatchSet others = set;  // The bank knows all but the last picture.
  others.pictures = 4;
  others.values.resize(4 * set.cells() * set.dimensions);
  const auto everywhere = make_everywhere_bank(others, 20, 1, 1);
  ASSERT_TRUE(everywhere);
  const auto placed = make_placed_bank(others, 1000);
  std::vector<float> map(set.cells());
  for (const bool is_placed : {false, true}) {
    models::GraphBuilder graph("test");
    const auto patches = graph.input("patches", models::ElementType::float32, {12, 2});
    const auto edge =
        is_placed ? add_distances(graph, patches, *placed) : add_distances(graph, patches, set.cells(), **everywhere);
    const auto by_graph = run_distances(graph, edge, set, 4);
    const PatchBank& bank = is_placed ? static_cast<const PatchBank&>(*placed) : **everywhere;
    ASSERT_TRUE(bank.distances(set.picture(4), PatchBank::kNobody, map));
    EXPECT_THAT(by_graph, ::testing::Pointwise(::testing::FloatNear(2e-3F), map));
    ASSERT_TRUE(bank.distances(set.picture(0), 0, map));
    EXPECT_THAT(map, ::testing::Each(::testing::Gt(0.0F)));
    ASSERT_TRUE(bank.distances(set.picture(0), PatchBank::kNobody, map));
    EXPECT_THAT(map, ::testing::Contains(0.0F));
  }
}

TEST(PatchBank, AtItsPlaceKnowsTheNineCellsAround) {
  PatchSet set{1, 4, 4, 1, std::vector<float>(16)};
  for (std::size_t i = 0; i < 16; ++i) set.values[i] = static_cast<float>(i);
  const auto bank = make_placed_bank(set, 1000);
  std::vector<float> asked(16, 5), map(16);
  ASSERT_TRUE(bank->distances(asked, PatchBank::kNobody, map));
  EXPECT_EQ(map[0], 0);  // 5 lies diagonally beside it.
  EXPECT_EQ(map[10], 0);
  EXPECT_EQ(map[15], 5);  // 10 is the nearest of its four.
  EXPECT_EQ(map[3], 1);   // 6.
}

TEST(AnomalyThreshold, IsWhereMaximaOfGoodPicturesSeldomCome) {
  std::mt19937 draw(5);
  std::vector<float> scores;  // Gumbel with mode 10 and scale 1: exceeded by 1 % at 14.6, by 10 % at 12.25.
  for (int i = 0; i < 400; ++i)
    scores.push_back(static_cast<float>(10 - std::log(-std::log((static_cast<double>(draw()) + 0.5) / 4294967296.0))));
  EXPECT_NEAR(anomaly_threshold(scores, 0.01), 14.6, 1.0);
  scores.resize(60);
  EXPECT_NEAR(anomaly_threshold(scores, 0.1), 12.6, 0.8);
  EXPECT_GT(anomaly_threshold(scores, 0.001), anomaly_threshold(scores, 0.01));
  EXPECT_NEAR(anomaly_threshold(std::vector<float>(10, 2.0F), 0.01), 2, 0.01);
  scores.resize(30);
  const double without = anomaly_threshold(scores, 0.01);
  scores[7] = 30;  // One picture is not as the others.
  EXPECT_LT(anomaly_threshold(scores, 0.01), without + 6);
}

struct HotCase {
  const char* name;
  std::vector<float> map;
  std::vector<std::array<int, 4>> boxes;
};
TEST(HotCells, TouchingCellsAreOneGroupTheStrongestFirst) {
  const float nan = std::nanf("");
  const HotCase cases[] = {
      {"nothing hot", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.9F}, {}},
      {"corner to corner", {2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0}, {{0, 0, 2, 2}}},
      {"two groups", {1, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0}, {{3, 0, 4, 2}, {0, 0, 1, 1}}},
      {"all", std::vector<float>(12, 5), {{0, 0, 4, 3}}},
      {"not a number", {0, 0, 0, 0, 0, nan, 0, 0, 0, 0, 0, 0}, {{1, 1, 2, 2}}},
  };
  for (const auto& row : cases) {
    std::vector<std::array<int, 4>> boxes;
    for (const auto& group : hot_cells(row.map, 3, 4, 1, 10))
      boxes.push_back({group.left, group.top, group.right, group.bottom});
    EXPECT_EQ(boxes, row.boxes) << row.name;
  }
  EXPECT_THAT(hot_cells(std::vector<float>{1, 0, 1, 0, 1}, 1, 5, 1, 2), ::testing::SizeIs(2));
}

}  // namespace
}  // namespace verge::vision
