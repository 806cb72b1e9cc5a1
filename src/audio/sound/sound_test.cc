// Teaching and following simulated machines: sound in, events out.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>

#include "audio/simulated/machines.h"
#include "audio/sound/detectors.h"
#include "audio/sound/sound_alarm.h"
#include "audio/sound/sound_stage.h"
#include "audio/teach/heard_picture.h"
#include "audio/teach/teach_sound.h"
#include "base/disk.h"
#include "base/temporary_folder.h"
#include "training/validation.h"

namespace verge::audio {
namespace {

void write_sound(const std::filesystem::path& file, std::string_view name, double seconds, std::uint64_t seed) {
  std::filesystem::create_directories(file.parent_path());
  const auto sound = simulated::machine_sound(name, seconds, seed);
  ASSERT_TRUE(sound) << sound.error().message;
  ASSERT_TRUE(write_file(file, audible_wav(*sound, 16'000)));
}

/// Plays a sound to a stage and collects the types and labels of its events, and whether the last block was an alarm.
struct Listener {
  std::vector<contract::Event> events;
  bool is_alarm = false;
  std::optional<float> score;
  std::int64_t at_us = 1'000'000;

  void play(pipeline::Stage& stage, const std::vector<float>& sound) {
    for (std::size_t at = 0; at + 512 <= sound.size(); at += 512) {
      auto block = std::make_shared<pipeline::AudioBlock>();
      block->samples.assign(sound.begin() + static_cast<std::ptrdiff_t>(at),
                            sound.begin() + static_cast<std::ptrdiff_t>(at + 512));
      pipeline::Packet packet;
      packet.captured_us = packet.monotonic_us = at_us;
      packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(block));
      ASSERT_TRUE(stage.process(packet, [&](const pipeline::Packet& out) {
        if (const auto event = pipeline::payload_as<contract::Event>(out)) events.push_back(*event);
        if (const auto heard = pipeline::payload_as<pipeline::AudioBlock>(out)) {
          is_alarm = heard->is_alarm;
          score = heard->score;
        }
      }));
      at_us += 32'000;
    }
  }
};

TEST(Sound, a_motor_is_learned_and_its_faults_are_told) {
  const TemporaryFolder folder;
  write_sound(folder.path() / "motor/1.wav", "motor", 120, 1);
  TeachSoundRequest request;
  request.folder = folder.path() / "motor";
  request.target = folder.path() / "model";
  const auto taught = teach_sound(request);
  ASSERT_TRUE(taught) << taught.error().message;
  ASSERT_TRUE(taught->is_learned) << taught->verdict;
  const auto report = read_file(request.target / "report.html");
  ASSERT_TRUE(report);
  EXPECT_NE(report->find("data:image/png;base64,"), std::string::npos);
  EXPECT_NE(report->find("<audio"), std::string::npos);

  for (const std::string_view fault : {"motor_bearing", "motor_unbalanced"}) {
    auto stage = make_sound_stage({.model = request.target}, {});
    ASSERT_TRUE(stage) << stage.error().message;
    Listener listener;
    listener.play(**stage, *simulated::machine_sound("motor", 60, 77));
    EXPECT_TRUE(listener.events.empty()) << listener.events.front().type;
    ASSERT_TRUE(listener.score);
    const std::int64_t began_us = listener.at_us;
    listener.play(**stage, *simulated::machine_sound(fault, 10, 5));
    ASSERT_EQ(listener.events.size(), 1U) << fault;
    EXPECT_EQ(listener.events.front().type, "sound.anomaly");
    EXPECT_LT(listener.events.front().captured_us - began_us, 6'000'000);
    EXPECT_TRUE(listener.is_alarm);
    listener.play(**stage, *simulated::machine_sound("motor", 20, 78));
    ASSERT_EQ(listener.events.size(), 2U) << fault;
    EXPECT_EQ(listener.events.back().type, "sound.normal");
    EXPECT_FALSE(listener.is_alarm);
  }
}

TEST(Sound, equal_recordings_and_seeds_give_equal_models) {
  const TemporaryFolder folder;
  write_sound(folder.path() / "motor/1.wav", "motor", 60, 1);
  std::set<std::string> models;
  for (const char* target : {"a", "b"}) {
    TeachSoundRequest request;
    request.folder = folder.path() / "motor";
    request.target = folder.path() / target;
    ASSERT_TRUE(teach_sound(request));
    models.insert(*read_file(request.target / "model.onnx"));
  }
  EXPECT_EQ(models.size(), 1U);
}

TEST(Sound, kinds_are_learned_from_a_few_clips_and_named) {
  const TemporaryFolder folder;
  for (const char* kind : {"glass", "smoke_alarm", "siren"})
    for (std::uint64_t clip = 0; clip < 6; ++clip)
      write_sound(folder.path() / "kinds" / kind / (std::to_string(clip) + ".wav"), kind, 5, clip + 1);
  for (std::uint64_t clip = 0; clip < 6; ++clip)
    write_sound(folder.path() / "kinds/background" / (std::to_string(clip) + ".wav"), "room", 5, clip + 1);
  TeachSoundRequest request;
  request.folder = folder.path() / "kinds";
  request.target = folder.path() / "model";
  const auto taught = teach_sound(request);
  ASSERT_TRUE(taught) << taught.error().message;
  ASSERT_TRUE(taught->is_learned) << taught->verdict;
  auto stage = make_sound_stage({.model = request.target, .quiet = {"background"}}, {});
  ASSERT_TRUE(stage) << stage.error().message;
  Listener listener;
  listener.play(**stage, *simulated::machine_sound("room", 20, 99));
  EXPECT_TRUE(listener.events.empty()) << listener.events.front().label;
  listener.play(**stage, *simulated::machine_sound("siren", 6, 98));
  ASSERT_EQ(listener.events.size(), 1U);
  EXPECT_EQ(listener.events.front().type, "sound.class");
  EXPECT_EQ(listener.events.front().label, "siren");
  EXPECT_FALSE(make_sound_stage({.model = request.target, .quiet = {"quite"}}, {}));
}

TEST(Sound, what_cannot_be_learned_is_said) {
  const TemporaryFolder folder;
  const auto request_for = [&](const char* name) {
    TeachSoundRequest request;
    request.folder = folder.path() / name;
    request.target = folder.path() / "model";
    return request;
  };
  EXPECT_EQ(teach_sound(request_for("nowhere")).error().code, ErrorCode::not_found);
  std::filesystem::create_directories(folder.path() / "empty");
  EXPECT_EQ(teach_sound(request_for("empty")).error().code, ErrorCode::invalid_argument);
  ASSERT_TRUE(write_file(folder.path() / "empty/broken.wav", "not a sound"));
  const auto broken = teach_sound(request_for("empty"));
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("broken.wav"), std::string::npos);
  write_sound(folder.path() / "short/1.wav", "motor", 20, 1);
  const auto brief = teach_sound(request_for("short"));
  ASSERT_FALSE(brief);
  EXPECT_NE(brief.error().message.find("at least 55 s"), std::string::npos) << brief.error().message;
}

TEST(Detector, is_the_same_as_its_graph_and_finds_what_is_far) {
  training::SeededNumbers numbers(3);
  training::Rows rows{12, {}};
  for (int at = 0; at < 400; ++at) {
    std::vector<float> row;
    const double shared = numbers.part();
    for (int i = 0; i < 12; ++i) row.push_back(static_cast<float>(shared * i + 0.2 * numbers.part()));
    rows.add(row);
  }
  std::vector<float> odd(rows.row(0).begin(), rows.row(0).end());
  odd[3] += 2;
  for (const DetectorKind kind : {DetectorKind::nearest, DetectorKind::mahalanobis, DetectorKind::residual,
                                  DetectorKind::encoder, DetectorKind::in_domain}) {
    const auto detector = Detector::fit(rows, {.kind = kind});
    ASSERT_TRUE(detector);
    models::GraphBuilder graph("detector");
    const auto input = graph.input("rows", models::ElementType::float32, {-1, 12});
    graph.output("score", detector->add_to(graph, input), models::ElementType::float32, {-1, 1});
    const auto model = graph.finish();
    ASSERT_TRUE(model) << model.error().message;
    const auto session = inference::load_onnx_bytes(models::to_bytes(*model));
    ASSERT_TRUE(session) << session.error().message;
    std::vector<float> asked(rows.row(17).begin(), rows.row(17).end());
    asked.insert(asked.end(), odd.begin(), odd.end());
    asked[0] += 0.05F;
    const auto tensor = inference::Tensor::of<float>({2, 12}, asked);
    const inference::NamedTensor named{"rows", &tensor};
    const auto outputs = (*session)->run({&named, 1});
    ASSERT_TRUE(outputs) << outputs.error().message;
    const auto scores = outputs->front().values<float>();
    const auto near = detector->score(std::span(asked).first(12)), far = detector->score(odd);
    EXPECT_NEAR(scores[0], near, 0.02 * (1 + near)) << kDetectorKinds[static_cast<std::size_t>(kind)];
    EXPECT_NEAR(scores[1], far, 0.02 * (1 + far)) << kDetectorKinds[static_cast<std::size_t>(kind)];
    EXPECT_GT(far, 2 * near) << kDetectorKinds[static_cast<std::size_t>(kind)];
  }
  EXPECT_FALSE(Detector::fit(training::Rows{12, std::vector<float>(24)}, {}));
}

TEST(SoundAlarm, begins_after_two_and_ends_after_quiet) {
  SoundAlarm alarm({.looks = 2, .quiet_s = 1, .end_share = 0.9});
  struct Step {
    double score;
    AlarmChange change;
  };
  double at = 0;
  for (const Step& step : {Step{1.2, AlarmChange::none},
                           {0.5, AlarmChange::none},
                           {1.1, AlarmChange::none},
                           {1.5, AlarmChange::begun},
                           {0.95, AlarmChange::none},
                           {0.95, AlarmChange::none},
                           {0.2, AlarmChange::none},
                           {0.2, AlarmChange::ended},
                           {0.2, AlarmChange::none}}) {
    EXPECT_EQ(alarm.add(step.score, at), step.change) << at;
    at += 0.5;
  }
  EXPECT_EQ(alarm.peak(), 1.5);
}

TEST(DriftWatch, tells_once_when_ordinary_scores_stay_high) {
  DriftWatch watch(0.4, 0.6, 1, 0.5);
  int told = 0;
  for (int at = 0; at < 7200; ++at) told += static_cast<int>(watch.add(at % 2 == 0 ? 0.3 : 0.5));
  EXPECT_EQ(told, 0);
  for (int at = 0; at < 14'400; ++at) told += static_cast<int>(watch.add(0.8));
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace verge::audio
