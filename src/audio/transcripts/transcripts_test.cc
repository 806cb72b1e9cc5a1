// Datasets, splits, formats and word errors: no model, no sound.
#include <cmath>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <unistd.h>

#include "audio/recording/recording.h"
#include "audio/transcripts/dataset.h"
#include "audio/transcripts/flac.h"
#include "audio/transcripts/splits.h"
#include "audio/transcripts/transcript_formats.h"
#include "audio/transcripts/word_errors.h"
#include "base/temporary_folder.h"

namespace verge::audio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Clip clip_of(const std::string& name, const std::string& text, const std::string& speaker = "") {
  Clip clip;
  clip.media = "media/" + name + ".flac";
  clip.text = text;
  clip.duration_s = 1;
  clip.speaker = speaker;
  return clip;
}

std::string text_of(const std::filesystem::path& file) { return *read_file(file); }

// ---- clips ----

TEST(Clip, ComesBackFromItsJson) {
  Clip clip = clip_of("a", "line three stop", "anna");
  clip.heard = "line free stop";
  clip.confidence = 0.75;
  clip.words = {{"line", 0.9, 0, 0.5}, {"free", 0.25, 0.5, 0.75}, {"stop", 1, 0.75, 1}};
  clip.alternatives = {{"line three stop", -1.5}, {"lime free stop", -4}};
  clip.is_reviewed = true;
  clip.revision = 3;
  clip.captured_us = 1'700'000'000'000'000;
  const auto again = clip_from_json(to_json(clip));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(*again), to_json(clip));
}

TEST(Clip, DoubtIsThatOfItsLeastSureWordUntilReviewed) {
  Clip clip = clip_of("a", "line free stop");
  clip.words = {{"line", 0.9}, {"free", 0.25}, {"stop", 1}};
  EXPECT_DOUBLE_EQ(doubt_of(clip), 0.75);
  clip.is_reviewed = true;
  EXPECT_DOUBLE_EQ(doubt_of(clip), 0);
}

TEST(Clip, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"text": "no media"})", "\"media\" must be"},
      {R"({"media": "media/../../etc/passwd"})", "\"media\" must be"},
      {R"({"media": "media/a", "text": 5})", "text"},
      {R"({"media": "media/a", "confidence": 1.5})", "\"confidence\" must be 0 to 1"},
      {R"({"media": "media/a", "text": "two\nlines"})", "without line breaks"},
      {R"({"media": "media/a", "words": ["a"]})", "\"words\" must be"},
      {R"({"media": "media/a", "revision": -1})", "\"revision\" must be"},
  };
  for (const auto& [text, expected] : rows) {
    const auto clip = clip_from_json(*parse_json(text));
    ASSERT_FALSE(clip) << text;
    EXPECT_THAT(clip.error().message, HasSubstr(expected)) << text;
  }
}

TEST(Clip, MediaNamesStayInTheFolder) {
  for (const char* name : {"media/a.flac", "media/gate 1/b-2_c.wav"}) EXPECT_TRUE(is_media_name(name)) << name;
  for (const char* name : {"", "media", "media/", "media//a", "media/.hidden", "media/a/..", "/media/a", "a.flac",
                           "media/a\nb", "media/a/"})
    EXPECT_FALSE(is_media_name(name)) << name;
}

// ---- datasets ----

TEST(Dataset, KeepsWhatWasPutAcrossAKill) {
  const TemporaryFolder folder;
  const auto place = folder.path() / "voices";
  {
    auto dataset = Dataset::create(place, {.name = "voices: \"gate\"", .licence = "CC0"});
    ASSERT_TRUE(dataset) << dataset.error().message;
    ASSERT_TRUE((*dataset)->put(clip_of("a", "one")));
    ASSERT_TRUE((*dataset)->put(clip_of("b", "two")));
    Clip changed = *(*dataset)->find("media/a.flac");
    changed.text = "won";
    ASSERT_TRUE((*dataset)->put(changed));
    // No call that ends the work: what put() acknowledged is there, with the torn line of a kill behind it.
    const int file = ::open((place / "labels.jsonl").c_str(), O_WRONLY | O_APPEND);
    ASSERT_EQ(::write(file, R"({"media": "media/c.f)", 20), 20);
    ::close(file);
    auto reader = Dataset::open(place, Dataset::Access::read);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ((*reader)->info().name, "voices: \"gate\"");
    ASSERT_EQ((*reader)->clips().size(), 2U);
    EXPECT_EQ((*reader)->clips()[0].text, "won");
    EXPECT_EQ((*reader)->clips()[0].revision, 2U);
  }
  auto writer = Dataset::open(place, Dataset::Access::change);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->put(clip_of("c", "three")));
  writer->reset();
  auto reader = Dataset::open(place, Dataset::Access::read);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->clips().size(), 3U);
}

TEST(Dataset, RefusesAChangeOfWhatSomebodyElseChanged) {
  const TemporaryFolder folder;
  auto dataset = Dataset::create(folder.path() / "d", {});
  ASSERT_TRUE(dataset);
  ASSERT_TRUE((*dataset)->put(clip_of("a", "one")));
  const Clip seen_by_both = *(*dataset)->find("media/a.flac");
  Clip first = seen_by_both, second = seen_by_both;
  first.text = "first";
  second.text = "second";
  ASSERT_TRUE((*dataset)->put(first));
  const auto refused = (*dataset)->put(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_EQ((*dataset)->find("media/a.flac")->text, "first");
}

TEST(Dataset, IsChangedByOneProgramAtATime) {
  const TemporaryFolder folder;
  auto one = Dataset::create(folder.path() / "d", {});
  ASSERT_TRUE(one);
  const auto other = Dataset::open(folder.path() / "d", Dataset::Access::change);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::conflict);
  EXPECT_TRUE(Dataset::open(folder.path() / "d", Dataset::Access::read));
}

TEST(Dataset, IsNotMadeInAFolderWithSomethingIn) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "mine.txt", "x"));
  const auto made = Dataset::create(folder.path(), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::conflict);
}

TEST(Dataset, NamesTheLineThatCannotBeRead) {
  const auto clips = parse_labels("{\"media\": \"media/a\"}\n\n{\"media\": 5}\n", "labels.jsonl");
  ASSERT_FALSE(clips);
  EXPECT_THAT(clips.error().message, HasSubstr("labels.jsonl:3:"));
}

TEST(Dataset, WritesLabelsAnewWhenMostLinesWereReplaced) {
  const TemporaryFolder folder;
  auto dataset = Dataset::create(folder.path() / "d", {});
  ASSERT_TRUE(dataset);
  ASSERT_TRUE((*dataset)->put(clip_of("a", "0")));
  for (int change = 1; change < 1100; ++change) {
    Clip clip = (*dataset)->clips().front();
    clip.text = std::to_string(change);
    ASSERT_TRUE((*dataset)->put(clip));
  }
  const auto text = text_of(folder.path() / "d/labels.jsonl");
  EXPECT_LT(std::ranges::count(text, '\n'), 200);
  EXPECT_EQ((*Dataset::open(folder.path() / "d", Dataset::Access::read))->clips().front().text, "1099");
}

TEST(Dataset, VersionsAreContentHashesAndShowWhatChanged) {
  const TemporaryFolder folder;
  auto made = Dataset::create(folder.path() / "d", {});
  ASSERT_TRUE(made);
  auto& dataset = **made;
  ASSERT_TRUE(dataset.put(clip_of("a", "one")));
  ASSERT_TRUE(dataset.put(clip_of("b", "two")));
  const auto first = dataset.record_version("as heard", 1);
  ASSERT_TRUE(first) << first.error().message;
  Clip changed = dataset.clips().front();
  changed.text = "won";
  ASSERT_TRUE(dataset.put(changed));
  ASSERT_TRUE(dataset.put(clip_of("c", "three")));
  const auto second = dataset.record_version("reviewed", 2);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->parent, first->version);
  EXPECT_NE(second->version, first->version);
  EXPECT_EQ(dataset.record_version("again", 3)->recorded_us, 2) << "nothing changed: no new version";
  const auto differences = dataset.differences(first->version.substr(7, 8), "now");
  ASSERT_TRUE(differences) << differences.error().message;
  ASSERT_EQ(differences->size(), 2U);
  EXPECT_EQ((*differences)[0].change, ClipChange::changed);
  EXPECT_EQ((*differences)[0].before, "one");
  EXPECT_EQ((*differences)[0].after, "won");
  EXPECT_EQ((*differences)[1].change, ClipChange::added);
  EXPECT_EQ(dataset.differences("beef", "now").error().code, ErrorCode::not_found);
  // A change that is taken back gives the version it was; revisions do not count.
  Clip back = *dataset.find("media/a.flac");
  back.text = "one";
  ASSERT_TRUE(dataset.put(back));
  std::vector<Clip> two{*dataset.find("media/a.flac"), *dataset.find("media/b.flac")};
  EXPECT_EQ(version_of(two), first->version);
}

// ---- splits ----

TEST(Splits, KeepEachSpeakerOnOneSide) {
  std::vector<Clip> clips;
  for (int at = 0; at < 60; ++at) {
    clips.push_back(clip_of(fmt::format("{:03}", at), "x", fmt::format("speaker{}", at % 7)));
    clips.back().duration_s = 1 + at % 5;
  }
  auto again = clips;
  const auto parts = split_clips(clips, {.test_share = 0.3, .dev_share = 0.2});
  ASSERT_TRUE(parts) << parts.error().message;
  std::map<std::string, std::set<std::string>> splits_of;
  for (const auto& clip : clips) splits_of[clip.speaker].insert(clip.split);
  for (const auto& [speaker, splits] : splits_of) EXPECT_EQ(splits.size(), 1U) << speaker;
  ASSERT_EQ(parts->size(), 3U);
  for (const auto& part : *parts) EXPECT_GT(part.clips, 0U) << part.name;
  ASSERT_TRUE(split_clips(again, {.test_share = 0.3, .dev_share = 0.2}));
  EXPECT_EQ(to_labels(again), to_labels(clips)) << "the same every time";
}

TEST(Splits, KeysTogetherAreTransitive) {
  // anna spoke in the hall, ben in the hall and the yard: the three clips cannot be parted by speaker and room.
  std::vector<Clip> clips{clip_of("a", "x", "anna"), clip_of("b", "x", "ben"), clip_of("c", "x", "ben"),
                          clip_of("d", "x", "cleo")};
  clips[0].room = clips[1].room = "hall";
  clips[2].room = "yard";
  clips[3].room = "office";
  ASSERT_TRUE(split_clips(clips, {.by_room = true, .test_share = 0.25}));
  EXPECT_EQ(clips[0].split, clips[1].split);
  EXPECT_EQ(clips[0].split, clips[2].split);
  EXPECT_NE(clips[0].split, clips[3].split);
}

TEST(Splits, RecordingsStayTogetherAndTooFewGroupsAreAnError) {
  std::vector<Clip> clips{clip_of("a", "x"), clip_of("b", "x")};
  for (auto& clip : clips) clip.source = "meeting.wav";
  const auto parts = split_clips(clips, {});
  ASSERT_FALSE(parts);
  EXPECT_THAT(parts.error().message, HasSubstr("1 group(s)"));
  EXPECT_FALSE(split_clips(clips, {.test_share = 1.0}));
}

// ---- formats ----

TEST(TranscriptFormats, ReadWhatOthersWrite) {
  const auto lines = parse_json_lines(
      "\xEF\xBB\xBF{\"audio_filepath\": \"a.wav\", \"text\": \"go on\", \"duration\": 2.5}\r\n", "m.jsonl");
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_EQ(lines->front().file, "a.wav");
  EXPECT_EQ(lines->front().clip.text, "go on");
  const auto libri = parse_librispeech("84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT IN\n", "t");
  ASSERT_TRUE(libri) << libri.error().message;
  EXPECT_EQ((*libri)[1].file, "84-121123-0001");
  EXPECT_EQ((*libri)[1].clip.speaker, "84");
  const auto voice = parse_common_voice("client_id\tpath\tsentence\tage\nabc\tx.mp3\tGo on.\t\n", "t");
  ASSERT_TRUE(voice) << voice.error().message;
  EXPECT_EQ(voice->front().file, "clips/x.mp3");
  EXPECT_EQ(voice->front().clip.text, "Go on.");
  const auto turns = parse_rttm(";; a remark\nSPEAKER meeting 1 0.50 2.25 <NA> <NA> anna <NA> <NA>\n", "t");
  ASSERT_TRUE(turns) << turns.error().message;
  ASSERT_EQ(turns->size(), 1U);
  EXPECT_DOUBLE_EQ(turns->front().duration_s, 2.25);
}

TEST(TranscriptFormats, NameFileAndLineOfAMistake) {
  const auto message = [](const auto& answer) { return answer ? std::string("no error") : answer.error().message; };
  EXPECT_THAT(message(parse_json_lines("{\"media\": \"a\"}\n{}\n", "m.jsonl")), HasSubstr("m.jsonl:2: no recording"));
  EXPECT_THAT(message(parse_json_lines("{\"media\": \"../a\"}\n", "m")), HasSubstr("outside of the list's folder"));
  EXPECT_THAT(message(parse_json_lines("{\"media\": \"/etc/passwd\"}\n", "m")), HasSubstr("outside"));
  EXPECT_THAT(message(parse_librispeech("one two\n", "t")), HasSubstr("t:1: a line must be"));
  EXPECT_THAT(message(parse_common_voice("client_id\tpath\n", "t")), HasSubstr("\"sentence\""));
  EXPECT_THAT(message(parse_common_voice("client_id\tpath\tsentence\na\tb\n", "t")), HasSubstr("t:2: 2 cells"));
  EXPECT_THAT(message(parse_common_voice("client_id\tpath\tsentence\na\tb\t\xFF\n", "t")), HasSubstr("UTF-8"));
  EXPECT_THAT(message(parse_rttm("SPEAKER a 1 zero 1 <NA> <NA> b\n", "t")), HasSubstr("t:1: the begin \"zero\""));
  EXPECT_THAT(message(parse_rttm("SPEAKER a 1\n", "t")), HasSubstr("3 fields"));
}

TEST(TranscriptFormats, WriteWhatOthersRead) {
  EXPECT_EQ(to_librispeech_text("Don't stop; go on!"), "DON'T STOP GO ON");
  Clip clip = clip_of("a", "Go on.", "anna");
  const auto row = common_voice_heading() + "\n" + to_common_voice(clip, "a.flac", "en") + "\n";
  const auto again = parse_common_voice(row, "t");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->front().clip.speaker, "anna");
  EXPECT_FALSE(again->front().clip.is_reviewed);
  const auto turns = parse_rttm(to_rttm({"my meeting", 1.5, 2, "anna b"}) + "\n", "t");
  ASSERT_TRUE(turns);
  EXPECT_EQ(turns->front().speaker, "anna_b");
}

// ---- word errors ----

TEST(WordErrors, CountEachKind) {
  struct Row {
    const char* said;
    const char* heard;
    std::size_t words, replaced, left_out, added;
  };
  const Row rows[] = {
      {"line three stop", "Line three, stop.", 3, 0, 0, 0},
      {"line three stop", "line free stop", 3, 1, 0, 0},
      {"line three stop", "line stop", 3, 0, 1, 0},
      {"line three stop", "the line three stop", 3, 0, 0, 1},
      {"", "you", 0, 0, 0, 1},
      {"go on", "", 2, 0, 2, 0},
      {"don’t stop", "don't stop", 2, 0, 0, 0},
      {"well-known", "well known", 2, 0, 0, 0},
  };
  for (const auto& row : rows) {
    const auto errors = word_errors(row.said, row.heard);
    EXPECT_EQ(errors.words, row.words) << row.said;
    EXPECT_EQ(errors.replaced, row.replaced) << row.said << " / " << row.heard;
    EXPECT_EQ(errors.left_out, row.left_out) << row.said << " / " << row.heard;
    EXPECT_EQ(errors.added, row.added) << row.said << " / " << row.heard;
  }
  EXPECT_THAT(counted_words("'Tis O'Neil's, naïve 42!"), ElementsAre("tis", "o'neil's", "naïve", "42"));
}

TEST(WordErrors, IntervalsCoverTheRateAndPairsAreTighter) {
  std::vector<WordErrors> before, after;
  for (std::size_t clip = 0; clip < 40; ++clip) {
    before.push_back({10, clip % 4, 0, 0});
    after.push_back({10, clip % 4 == 0 ? 0 : clip % 4 - 1, 0, 0});
  }
  const auto rate = rate_interval(before);
  EXPECT_LT(rate.low, 0.15);
  EXPECT_GT(rate.high, 0.15);
  const auto difference = difference_interval(before, after);
  EXPECT_LT(difference.high, 0) << "better in every draw";
  EXPECT_LT(difference.high - difference.low, rate.high - rate.low);
}

// ---- sound ----

TEST(Flac, ComesBackToWithinAStepOf16Bits) {
  const TemporaryFolder folder;
  std::vector<float> sound(4000);
  for (std::size_t at = 0; at < sound.size(); ++at) sound[at] = 0.5F * std::sin(0.05F * static_cast<float>(at));
  const auto bytes = to_flac(sound, 16'000);
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_LT(bytes->size(), 2 * sound.size());
  ASSERT_TRUE(write_file(folder.path() / "a.flac", *bytes));
  const auto again = read_recording(folder.path() / "a.flac", 16'000);
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->samples.size(), sound.size());
  for (std::size_t at = 0; at < sound.size(); ++at) ASSERT_NEAR(again->samples[at], sound[at], 1.0 / 32'000);
  EXPECT_FALSE(to_flac({}, 16'000));
}

}  // namespace
}  // namespace verge::audio
