#include "vision/simulated/simulated_camera.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <sstream>

#include "base/disk.h"
#include "base/temporary_folder.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;

struct Recording {
  std::vector<std::string> luma;  ///< Of each picture.
  std::vector<pipeline::Packet> packets;
};

class SimulatedCameraTest : public ::testing::Test {
 protected:
  std::unique_ptr<pipeline::Source> make(SimulatedCameraOptions options) {
    pipeline::Context context;
    context.stream = "line";
    context.clock = &clock_;
    context.add_method = [this](const std::string& name, pipeline::Method method) {
      methods_[name] = std::move(method);
    };
    return make_simulated_camera(std::move(options), context);
  }
  Recording record(const SimulatedCameraOptions& options) {
    const auto source = make(options);
    EXPECT_TRUE(source->open());
    Recording recording;
    EXPECT_TRUE(source->run([&](pipeline::Packet packet) { recording.packets.push_back(std::move(packet)); },
                            [] { return false; }));
    for (const auto& packet : recording.packets) {
      const auto& frame = *pipeline::payload_as<pipeline::Scene>(packet)->frame;
      recording.luma.emplace_back(reinterpret_cast<const char*>(frame.planes[0]),
                                  static_cast<std::size_t>(frame.width * frame.height));
    }
    return recording;
  }
  std::vector<Json> truth() const {
    std::vector<Json> lines;
    std::istringstream text(*read_file(folder_.path() / "truth.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  SimulatedCameraOptions options(bool is_shelf, std::uint64_t pictures) const {
    SimulatedCameraOptions options;
    options.is_shelf = is_shelf;
    options.width = 320, options.height = 240;
    options.is_paced = false;
    options.pictures = pictures;
    options.truth = folder_.path() / "truth.jsonl";
    return options;
  }

  const TemporaryFolder folder_;
  ManualClock clock_;
  std::map<std::string, pipeline::Method> methods_;
};

TEST_F(SimulatedCameraTest, EqualOptionsGiveEqualPictures) {
  for (const bool is_shelf : {true, false}) {
    const auto first = record(options(is_shelf, 3));
    ASSERT_EQ(first.luma.size(), 3U);
    EXPECT_EQ(first.luma, record(options(is_shelf, 3)).luma);
    EXPECT_NE(first.luma[0], first.luma[1]);
    auto other = options(is_shelf, 3);
    other.seed = 2;
    EXPECT_NE(first.luma[0], record(other).luma[0]);
    EXPECT_EQ(first.packets[2].captured_us - first.packets[0].captured_us, 400'000);
  }
}

TEST_F(SimulatedCameraTest, TheShelfIsFullOrEmptyAsAskedFor) {
  auto shelf = options(true, 5);
  shelf.fps = 0.02;
  for (const auto& [stock, least, most] :
       {std::tuple{simulated::Stock::full, 0.3, 1.0}, std::tuple{simulated::Stock::empty, 0.0, 0.0}}) {
    shelf.stock = stock;
    record(shelf);
    for (const Json& picture : truth()) {
      ASSERT_EQ(picture["shares"].size(), 6U);
      for (const auto& [place, share] : picture["shares"].items()) {
        EXPECT_GE(share.get<double>(), least) << place;
        EXPECT_LE(share.get<double>(), most) << place;
      }
    }
  }
}

TEST_F(SimulatedCameraTest, GoodsAreBoughtSoldOutAndFilledUp) {
  auto shelf = options(true, 600);
  shelf.width = 160, shelf.height = 120;
  shelf.fps = 0.5;
  record(shelf);
  std::map<std::string, std::set<std::string>> seen;
  std::map<std::string, double> before;
  for (const Json& picture : truth()) {
    for (const auto& [place, value] : picture["shares"].items()) {
      const double share = value.get<double>();
      if (share == 0) seen[place].insert("empty");
      if (before.contains(place) && share > before[place]) seen[place].insert("filled");
      if (before.contains(place) && share < before[place]) seen[place].insert("bought");
      before[place] = share;
    }
  }
  ASSERT_EQ(seen.size(), 6U);
  for (const auto& [place, what] : seen) EXPECT_EQ(what, (std::set<std::string>{"empty", "filled", "bought"})) << place;
}

TEST_F(SimulatedCameraTest, TheShelfHasAFaultToOrder) {
  const auto source = make(options(true, 0));
  ASSERT_TRUE(methods_.contains("fault"));
  EXPECT_EQ(methods_["fault"]({{"describe", true}}).payload["parameters"][0]["choices"][1], "sold_out");
  std::vector<Json> told;
  ASSERT_TRUE(source->run(
      [&](const pipeline::Packet&) {
        told.push_back(methods_["truth"](Json::object()).payload["shares"]);
        if (told.size() == 1) {
          EXPECT_EQ(methods_["fault"]({{"kind", "sold_out"}, {"place", 3}}).status, 200);
        }
        if (told.size() == 20) {
          EXPECT_EQ(methods_["fault"]({{"kind", "none"}, {"place", 3}}).status, 200);
        }
      },
      [&] { return told.size() == 22; }));
  for (std::size_t at = 1; at < 20; ++at) EXPECT_EQ(told[at]["shelf_3"], 0);
  EXPECT_GT(told[20]["shelf_3"].get<double>(), 0.9);
  EXPECT_EQ(methods_["fault"]({{"kind", "fire"}}).status, 400);
  EXPECT_THAT(methods_["fault"]({{"place", 7}}).payload["message"].get<std::string>(), HasSubstr("give 1 to 6"));
}

TEST_F(SimulatedCameraTest, DefectsAreAsManyAsAskedForAndOfEveryKind) {
  auto plates = options(false, 200);
  plates.width = 160, plates.height = 120;
  plates.defects = 0.3;
  const auto recording = record(plates);
  std::map<std::string, int> kinds;
  for (const Json& picture : truth()) {
    ++kinds[picture["defect"].get<std::string>()];
    if (picture["defect"] == "none") {
      EXPECT_FALSE(picture.contains("box"));
      continue;
    }
    const auto box = picture["box"].get<std::vector<double>>();
    EXPECT_LT(box[0], box[2]);
    EXPECT_LT(box[1], box[3]);
    EXPECT_GT(box[0], 0.05);
    EXPECT_LT(box[3], 0.95);
  }
  EXPECT_EQ(kinds.size(), 5U);
  EXPECT_NEAR(kinds["none"], 140, 25);
  EXPECT_EQ(pipeline::payload_as<pipeline::Scene>(recording.packets[7])->frame->take, 7U) << "each plate is a take";
}

/// Mean difference of two pictures' brightness, inside a box and outside of it.
std::pair<double, double> difference(const std::string& a, const std::string& b, int width, int height,
                                     const std::vector<double>& box) {
  double inside = 0, outside = 0;
  int inside_count = 0, outside_count = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto at = static_cast<std::size_t>(y * width + x);
      const double apart = std::abs(static_cast<unsigned char>(a[at]) - static_cast<unsigned char>(b[at]));
      const bool is_inside = x >= box[0] * width && x < box[2] * width && y >= box[1] * height && y < box[3] * height;
      (is_inside ? inside : outside) += apart;
      ++(is_inside ? inside_count : outside_count);
    }
  }
  return {inside / inside_count, outside / outside_count};
}

TEST_F(SimulatedCameraTest, ADefectIsWhereTheTruthSays) {
  auto good = options(false, 24), bad = good;
  good.defects = 0;
  bad.defects = 1;
  const auto clean = record(good);
  const auto spoilt = record(bad);
  const auto said = truth();
  for (std::size_t at = 0; at < said.size(); ++at) {
    const auto [inside, outside] =
        difference(clean.luma[at], spoilt.luma[at], 320, 240, said[at]["box"].get<std::vector<double>>());
    EXPECT_GT(inside, 1) << said[at].dump();
    EXPECT_LT(outside, inside / 10) << said[at].dump();
  }
}

TEST_F(SimulatedCameraTest, TheBeltRunsBetweenPlates) {
  auto belt = options(false, 50);
  belt.is_triggered = false;
  belt.fps = 10;
  const auto recording = record(belt);
  std::set<int> plates;
  int standing = 0;
  for (const Json& picture : truth()) {
    plates.insert(picture["plate"].get<int>());
    standing += picture["stands"].get<bool>() ? 1 : 0;
  }
  EXPECT_GE(plates.size(), 2U);
  EXPECT_GT(standing, 20);
  EXPECT_LT(standing, 35);
  EXPECT_EQ(pipeline::payload_as<pipeline::Scene>(recording.packets[40])->frame->take, 0U);
}

TEST_F(SimulatedCameraTest, AWorkpieceFaultIsOrderedForTheNextOnes) {
  auto plates = options(false, 0);
  plates.defects = 0;
  const auto source = make(plates);
  std::vector<Json> told;
  ASSERT_TRUE(source->run(
      [&](const pipeline::Packet&) {
        told.push_back(methods_["truth"](Json::object()).payload);
        if (told.size() == 3) {
          EXPECT_EQ(methods_["fault"]({{"kind", "stain"}, {"plates", 2}}).payload["first"], 4);
        }
      },
      [&] { return told.size() == 10; }));
  for (const Json& picture : told) {
    const int plate = picture["plate"].get<int>();
    EXPECT_EQ(picture["defect"], plate == 4 || plate == 5 ? "stain" : "none") << plate;
  }
}

TEST_F(SimulatedCameraTest, OptionsAreChecked) {
  pipeline::Context context;
  const auto make = [&](Json given) {
    for (const auto& option : simulated_camera_kind().options) {
      if (!given.contains(option.name) && !option.fallback.is_null()) given[option.name] = option.fallback;
    }
    return simulated_camera_kind().make(given, context);
  };
  EXPECT_TRUE(make({{"scene", "shelf"}}));
  EXPECT_THAT(make({{"scene", "shelv"}}).error().message, HasSubstr("shelf"));
  EXPECT_THAT(make({{"scene", "shelf"}, {"stock", "half"}}).error().message, HasSubstr("changing"));
  EXPECT_FALSE(make({{"scene", "workpiece"}, {"defects", 2}}));
  EXPECT_FALSE(make({{"scene", "workpiece"}, {"width", 10'000}}));
}

}  // namespace
}  // namespace verge::vision
