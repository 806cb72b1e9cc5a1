// Corrections repair what they were learned from, leave alone what is sure, and are measured on what was held out.
#include "audio/transcripts/corrections.h"

#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audio/transcripts/word_errors.h"
#include "base/disk.h"
#include "base/temporary_folder.h"

namespace verge::audio {
namespace {

/// heard: words with the confidence behind a slash, 0.95 where there is none: "line free/0.3 stop."
Clip heard_clip(const std::string& heard, const std::string& said, const std::string& speaker, int number) {
  Clip clip;
  clip.media = fmt::format("media/{}-{}.flac", speaker, number);
  clip.text = said;
  clip.speaker = speaker;
  clip.duration_s = 1;
  clip.is_reviewed = true;
  std::string rest = heard;
  while (!rest.empty()) {
    const auto end = std::min(rest.size(), rest.find(' '));
    const auto item = rest.substr(0, end);
    rest.erase(0, end + 1);
    const auto slash = item.find('/');
    clip.words.push_back(
        {item.substr(0, slash), slash == std::string::npos ? 0.95 : std::stod(item.substr(slash + 1))});
    clip.heard += (clip.heard.empty() ? "" : " ") + clip.words.back().text;
  }
  return clip;
}

std::vector<Clip> notes(const std::string& speaker, const std::string& split) {
  std::vector<Clip> clips;
  const std::pair<const char*, const char*> rows[] = {
      {"Line free/0.4 stop.", "line three stop"},
      {"Line two stop.", "line two stop"},
      {"Gate one open.", "gate one open"},
      {"Line free/0.45 is too loud.", "line three is too loud"},
      {"The bress/0.3 is loud.", "the press is loud"},
      {"The entry is free.", "the entry is free"},
  };
  for (const auto& [heard, said] : rows) {
    clips.push_back(heard_clip(heard, said, speaker, static_cast<int>(clips.size())));
    clips.back().split = split;
  }
  return clips;
}

TEST(Corrections, RepairWhatWasCorrectedBeforeAndKeepThePunctuation) {
  const auto learned = Corrections::learn(notes("anna", "train"));
  ASSERT_TRUE(learned) << learned.error().message;
  EXPECT_EQ(learned->corrected(heard_clip("Line free/0.4 open.", "", "ben", 0), {}), "Line three open.");
  EXPECT_EQ(learned->corrected(heard_clip("The bress/0.3 is open.", "", "ben", 0), {}), "The press is open.");
}

TEST(Corrections, LeaveAloneWhatIsSureOrFitsBetter) {
  const auto learned = Corrections::learn(notes("anna", "train"));
  ASSERT_TRUE(learned);
  EXPECT_EQ(learned->corrected(heard_clip("Gate one open.", "", "ben", 0), {}), "Gate one open.");
  EXPECT_EQ(learned->corrected(heard_clip("The entry is free.", "", "ben", 0), {}), "The entry is free.");
  EXPECT_EQ(learned->corrected(heard_clip("Something/0.2 else/0.2 entirely.", "", "ben", 0), {}),
            "Something else entirely.");
  Clip silent;
  EXPECT_EQ(learned->corrected(silent, {}), "");
}

TEST(Corrections, TakeAnAlternativeThatTheWordModelKnows) {
  const auto learned = Corrections::learn(notes("anna", "train"));
  ASSERT_TRUE(learned);
  Clip clip = heard_clip("Great/0.5 wan/0.5 open", "", "ben", 0);
  clip.alternatives = {{"Gate one open", -2.5}, {"Grate on open", -2.4}};
  EXPECT_EQ(learned->corrected(clip, {}), "Gate one open");
}

TEST(Corrections, ListWhatWasNotHeard) {
  const auto learned = Corrections::learn(notes("anna", "train"));
  ASSERT_TRUE(learned);
  EXPECT_THAT(learned->phrases(), testing::ElementsAre("three", "press"));
  EXPECT_THAT(learned->phrases(1), testing::ElementsAre("three"));
}

TEST(Corrections, ComeBackFromTheirFile) {
  const auto learned = Corrections::learn(notes("anna", "train"));
  ASSERT_TRUE(learned);
  const auto model = WordModel::from_arpa(learned->model().to_arpa(), "x");
  ASSERT_TRUE(model);
  const auto again = Corrections::from_json(learned->to_json(), *model);
  ASSERT_TRUE(again) << again.error().message;
  const auto clip = heard_clip("Line free/0.4 open.", "", "ben", 0);
  EXPECT_EQ(again->corrected(clip, {}), learned->corrected(clip, {}));
  for (const char* text : {"{}", "[]", R"({"corrections": {"a": {"b": -1}}})", R"({"corrections": {"a": 5}})"})
    EXPECT_FALSE(Corrections::from_json(*parse_json(text), *model)) << text;
}

TEST(Corrections, LoadFromTheFolderOfAReport) {
  const TemporaryFolder folder;
  const auto learned = Corrections::learn(notes("anna", "train"));
  ASSERT_TRUE(learned);
  double weight = 0.5;
  EXPECT_EQ(Corrections::load(folder.path(), weight).error().code, ErrorCode::not_found);
  auto json = learned->to_json();
  json["weight"] = 0.3;
  ASSERT_TRUE(write_file(folder.path() / "words.arpa", learned->model().to_arpa()));
  ASSERT_TRUE(write_file(folder.path() / "corrections.json", to_text(json)));
  const auto loaded = Corrections::load(folder.path(), weight);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_DOUBLE_EQ(weight, 0.3);
  EXPECT_EQ(loaded->corrected(heard_clip("Line free/0.4 open.", "", "ben", 0), {}), "Line three open.");
  json["weight"] = 9;
  ASSERT_TRUE(write_file(folder.path() / "corrections.json", to_text(json)));
  EXPECT_THAT(Corrections::load(folder.path(), weight).error().message, testing::HasSubstr("weight is 9"));
}

TEST(Corrections, AreMeasuredOnWhatWasHeldOut) {
  std::vector<Clip> clips;
  for (const char* speaker : {"anna", "ben", "cleo"}) {
    for (auto& clip : notes(speaker, "train")) clips.push_back(std::move(clip));
  }
  for (auto& clip : notes("dora", "test")) clips.push_back(std::move(clip));
  const auto study = study_corrections(clips);
  ASSERT_TRUE(study) << study.error().message;
  EXPECT_EQ(study->train_clips, 18U);
  EXPECT_EQ(study->train_corrected, 9U);
  ASSERT_EQ(study->held_out.size(), 6U);
  std::size_t before = 0, after = 0;
  for (const auto& clip : study->held_out) before += clip.errors_before, after += clip.errors_after;
  EXPECT_EQ(before, 3U);
  EXPECT_EQ(after, 0U);
  EXPECT_GT(study->options.weight, 0);
}

TEST(Corrections, NeedBothParts) {
  const auto study = study_corrections(notes("anna", "train"));
  ASSERT_FALSE(study);
  EXPECT_THAT(study.error().message,
              testing::HasSubstr("6 reviewed clips that a model heard are in train and 0 in test"));
  auto unreviewed = notes("anna", "train");
  for (auto& clip : unreviewed) clip.is_reviewed = false;
  EXPECT_FALSE(Corrections::learn(unreviewed));
}

}  // namespace
}  // namespace verge::audio
