#include "cli/check_rules.h"

#include <gmock/gmock.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "cli/edit_distance.h"

namespace verge::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Words, AreLowerCaseWithoutPunctuation) {
  EXPECT_THAT(words_of("Ever tried. Ever failed."), ElementsAre("ever", "tried", "ever", "failed"));
  EXPECT_THAT(words_of("Don't -- stop!"), ElementsAre("dont", "stop"));
  EXPECT_THAT(words_of(" \n.,;"), ElementsAre());
  EXPECT_THAT(words_of("Grüße 42"), ElementsAre("grüße", "42"));
}

TEST(EditDistance, CountsReplacedLeftOutAndAdded) {
  EXPECT_EQ(edit_distance(std::string("kitten"), std::string("sitting")), 3U);
  EXPECT_EQ(edit_distance(std::string(), std::string("abc")), 3U);
  EXPECT_EQ(edit_distance(std::string("abc"), std::string()), 3U);
  EXPECT_EQ(edit_distance(std::string("same"), std::string("same")), 0U);
}

TEST(WordErrorRate, IsWrongWordsPerWordOfTheTruth) {
  struct Row {
    const char* truth;
    const char* found;
    double rate;
  };
  for (const Row& row :
       {Row{"front left", "Front left.", 0}, Row{"front left", "front", 0.5},
        Row{"front left", "the front left side", 1}, Row{"front center", "front centre", 0.5}, Row{"a b c d", "", 1}}) {
    EXPECT_DOUBLE_EQ(word_error_rate(words_of(row.truth), words_of(row.found)), row.rate)
        << row.truth << " / " << row.found;
  }
  EXPECT_DOUBLE_EQ(word_error_rate({}, {}), 0);
  EXPECT_DOUBLE_EQ(word_error_rate({}, {"word"}), 1);
}

// ---- people ----

Json scene_events(int entries, int in, int out) {
  Json events = Json::array();
  for (int i = 0; i < entries; ++i) events.push_back({{"type", "zone.entered"}, {"rule", "plaza"}});
  for (int i = 0; i < in; ++i)
    events.push_back({{"type", "line.crossed"}, {"rule", "walkway"}, {"extension", {{"direction", "in"}}}});
  for (int i = 0; i < out; ++i)
    events.push_back({{"type", "line.crossed"}, {"rule", "walkway"}, {"extension", {{"direction", "out"}}}});
  return events;
}

const PeopleTruth kPeople{"plaza", "walkway", 19, 8, 6, 795, 10};

TEST(People, CountsWithinAFifthAreRight) {
  struct Row {
    int entries, in, out;
    bool zone_is_met, line_is_met;
  };
  for (const Row& row : {Row{19, 8, 6, true, true}, Row{16, 6, 6, true, true}, Row{15, 6, 5, false, false},
                         Row{22, 9, 7, true, true}, Row{23, 9, 8, false, false}, Row{0, 0, 0, false, false}}) {
    const auto findings = judge_people(kPeople, scene_events(row.entries, row.in, row.out));
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_EQ(findings[0].is_met, row.zone_is_met) << row.entries;
    EXPECT_EQ(findings[1].is_met, row.line_is_met) << row.in << "+" << row.out;
  }
}

TEST(People, OtherZonesAndOtherEventsDoNotCount) {
  auto events = scene_events(19, 8, 6);
  events.push_back({{"type", "zone.entered"}, {"rule", "elsewhere"}});
  events.push_back({{"type", "zone.left"}, {"rule", "plaza"}});
  events.push_back({{"type", "line.crossed"}, {"rule", "walkway"}});
  events.push_back({{"rule", 7}});
  const auto findings = judge_people(kPeople, events);
  EXPECT_EQ(findings[0].found, "19");
  EXPECT_EQ(findings[1].found, "14 (8 in, 6 out)");
}

// ---- transcripts ----

const TranscriptTruth kTranscripts{{{"a.wav", "front left", 1.5}, {"b.wav", "rear right", 1.0}}, 2.0};
constexpr std::int64_t kBegin = 1'000'000'000;

Json said(double at_s, double length_s, const char* text) {
  return {{"type", "speech.final"},
          {"captured_us", kBegin + static_cast<std::int64_t>(at_s * 1e6)},
          {"duration_us", static_cast<std::int64_t>(length_s * 1e6)},
          {"label", text}};
}

TEST(Transcripts, ClipsBeginAfterThePausesBefore) {
  EXPECT_DOUBLE_EQ(kTranscripts.begin_s(0), 0);
  EXPECT_DOUBLE_EQ(kTranscripts.begin_s(1), 3.5);
  EXPECT_DOUBLE_EQ(kTranscripts.play_s(), 6.5);
}

TEST(Transcripts, EveryClipNeedsText) {
  const auto all = judge_transcripts(
      kTranscripts, Json::array({said(3.6, 0.8, "Rear right."), said(0.1, 1.2, "Front left!")}), kBegin);
  EXPECT_TRUE(all[0].is_met) << all[0].found;
  EXPECT_TRUE(all[1].is_met) << all[1].found;
  const auto one = judge_transcripts(kTranscripts, Json::array({said(0.1, 1.2, "front left")}), kBegin);
  EXPECT_FALSE(one[0].is_met);
  EXPECT_FALSE(one[1].is_met);
  EXPECT_THAT(one[1].found, HasSubstr("none for b.wav"));
}

TEST(Transcripts, AClipCutInTwoAndAnEmptyTextAreTakenAsTheyAre) {
  const auto findings = judge_transcripts(
      kTranscripts, Json::array({said(0.9, 0.4, "left"), said(0.1, 0.4, "front"), said(3.6, 0.8, "...")}), kBegin);
  EXPECT_EQ(findings[0].found, "0.500 (2 wrong)");
  EXPECT_FALSE(findings[1].is_met) << "a text of punctuation only is no text";
}

TEST(Transcripts, WhatWasSaidBeforeAndAfterThePlayDoesNotCount) {
  const auto findings = judge_transcripts(kTranscripts,
                                          Json::array({said(-1, 0.5, "rear"), said(0.1, 1.2, "front left"),
                                                       said(3.6, 0.8, "rear right"), said(6.6, 1, "front")}),
                                          kBegin);
  EXPECT_EQ(findings[0].found, "0.000 (0 wrong)");
}

// ---- faults ----

Json alarm(std::int64_t captured_us) { return {{"type", "anomaly.alarm"}, {"captured_us", captured_us}}; }

FaultOutcome outcome(const char* kind, const Json& alarms) { return {{kind, 1, 1}, 10'000'000, alarms}; }

TEST(Faults, TheFirstAlarmWithinTheTimeCounts) {
  EXPECT_DOUBLE_EQ(
      raised_after_s(outcome("step", Json::array({alarm(45'000'000), alarm(14'000'000), alarm(20'000'000)})), 30), 4);
  EXPECT_LT(raised_after_s(outcome("step", Json::array({alarm(9'000'000)})), 30), 0) << "before the switch";
  EXPECT_LT(raised_after_s(outcome("step", Json::array({alarm(40'000'001)})), 30), 0);
  EXPECT_DOUBLE_EQ(raised_after_s(outcome("step", Json::array({alarm(40'000'000)})), 30), 30);
}

TEST(Faults, ThreeOfFourAndNoFalseAlarm) {
  const FaultTruth truth{{{"a", 1, 1}, {"b", 1, 1}, {"c", 1, 1}, {"d", 1, 1}}, 30, 30, 3};
  const auto raised = Json::array({alarm(12'000'000)});
  const auto good = judge_faults(
      truth, 0, {outcome("a", raised), outcome("b", raised), outcome("c", Json::array()), outcome("d", raised)});
  EXPECT_TRUE(good[0].is_met);
  EXPECT_TRUE(good[1].is_met);
  EXPECT_THAT(good[1].found, HasSubstr("c missed"));
  const auto bad = judge_faults(
      truth, 1, {outcome("a", raised), outcome("b", raised), outcome("c", Json::array()), outcome("d", Json::array())});
  EXPECT_FALSE(bad[0].is_met);
  EXPECT_FALSE(bad[1].is_met);
}

// ---- latency ----

TEST(LatencyOf, CountsFromTheEndOfWhatTheEventIsAbout) {
  Json events = Json::array();
  for (int at = 1; at <= 100; ++at) {
    events.push_back({{"captured_us", 1'000'000}, {"duration_us", 500'000}, {"received_us", 1'500'000 + at * 1000}});
  }
  events.push_back({{"captured_us", 1}});
  const auto latency = latency_of("audio", events);
  EXPECT_EQ(latency.count, 100U);
  EXPECT_DOUBLE_EQ(latency.p50_ms, 50);
  EXPECT_DOUBLE_EQ(latency.p99_ms, 99);
  EXPECT_EQ(latency_of("vision", Json::array()).count, 0U);
}

// ---- truth files ----

TEST(TruthFiles, OfTheExampleAreRead) {
  const auto truth = load_truth("examples/first_light/truth");
  ASSERT_TRUE(truth) << truth.error().message;
  EXPECT_EQ(truth->people.zone_entries, 19);
  EXPECT_DOUBLE_EQ(truth->people.loop_s(), 79.5);
  EXPECT_EQ(truth->transcripts.clips.size(), 9U);
  EXPECT_EQ(truth->faults.faults.size(), 4U);
  EXPECT_EQ(truth->faults.raised_min, 3);
}

TEST(TruthFiles, AMistakeNamesFileAndMember) {
  const TemporaryFolder folder;
  const auto missing = load_truth(folder.path());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);

  ASSERT_TRUE(write_file(folder.path() / "people.json", R"({"frames": 10, "fps": 0})"));
  const auto wrong = load_truth(folder.path());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(wrong.error().message, HasSubstr("people.json"));
  EXPECT_THAT(wrong.error().message, HasSubstr("fps"));
}

}  // namespace
}  // namespace verge::cli
