// Real recordings through the real models, fetched by set-up ($VERGE_CACHE); the same files the example plays.
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "audio/recording/recording.h"
#include "audio/speech/speech_recognizer.h"
#include "audio/speech/voice_detector.h"
#include "audio/speech/voice_segmenter.h"

namespace verge::audio {
namespace {

std::filesystem::path cache() {
  const char* folder = std::getenv("VERGE_CACHE");
  return folder != nullptr ? folder : std::filesystem::path(std::getenv("HOME")) / ".cache/verge";
}

std::vector<Utterance> utterances_of(const std::vector<float>& samples) {
  auto detector = VoiceDetector::load(cache() / "models/silero-vad/silero_vad.onnx");
  EXPECT_TRUE(detector) << detector.error().message;
  VoiceSegmenter segmenter({}, 16'000, VoiceDetector::kBlockSamples);
  std::vector<Utterance> found;
  for (std::size_t at = 0; at + VoiceDetector::kBlockSamples <= samples.size(); at += VoiceDetector::kBlockSamples) {
    const std::span block(samples.data() + at, VoiceDetector::kBlockSamples);
    auto probability = (*detector)->probability(block);
    EXPECT_TRUE(probability);
    if (auto utterance = segmenter.add(block, *probability)) found.push_back(std::move(*utterance));
  }
  if (auto utterance = segmenter.flush()) found.push_back(std::move(*utterance));
  return found;
}

/// Lower-case words without punctuation.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char letter : text) {
    if (std::isalpha(static_cast<unsigned char>(letter)) != 0) {
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// Joined by blanks they are the text; their times follow one another to the end.
void expect_words_of_text(const Transcript& transcript, double duration_s) {
  std::string joined;
  double at = 0;
  for (const auto& word : transcript.words) {
    joined += (joined.empty() ? "" : " ") + word.text;
    EXPECT_NEAR(word.begin_s, at, 1e-9);
    EXPECT_GT(word.end_s, word.begin_s);
    EXPECT_GT(word.confidence, 0);
    EXPECT_LE(word.confidence, 1);
    at = word.end_s;
  }
  EXPECT_EQ(joined, transcript.text);
  EXPECT_NEAR(at, duration_s, 1e-9);
}

TEST(Speech, ReadsTheSampleOfThePackage) {
  auto recording = read_recording(cache() / "media/speech/beckett.wav", 16'000);
  ASSERT_TRUE(recording) << recording.error().message;
  auto recognizer = SpeechRecognizer::load(cache() / "models/moonshine-tiny");
  ASSERT_TRUE(recognizer) << recognizer.error().message;
  std::string text;
  for (const auto& utterance : utterances_of(recording->samples)) {
    auto transcript = (*recognizer)->recognize(utterance.samples);
    ASSERT_TRUE(transcript) << transcript.error().message;
    EXPECT_GT(transcript->confidence, 0.4) << transcript->text;
    expect_words_of_text(*transcript, static_cast<double>(utterance.samples.size()) / 16'000);
    text += transcript->text + " ";
  }
  EXPECT_THAT(words_of(text), testing::ElementsAre("ever", "tried", "ever", "failed", "no", "matter", "try", "again",
                                                   "fail", "again", "fail", "better"));
}

TEST(Speech, PrefersThePhrasesOfThePlace) {
  auto recording = read_recording(cache() / "media/voices/Rear_Left.wav", 16'000);
  ASSERT_TRUE(recording) << recording.error().message;
  const auto heard = [&](RecognizerOptions options) {
    auto recognizer = SpeechRecognizer::load(cache() / "models/moonshine-tiny", std::move(options));
    EXPECT_TRUE(recognizer) << recognizer.error().message;
    auto transcript = (*recognizer)->recognize(recording->samples);
    EXPECT_TRUE(transcript) << transcript.error().message;
    return transcript->text;
  };
  EXPECT_THAT(words_of(heard({})), testing::ElementsAre("rear", "laughed")) << "what it hears without help";
  const std::vector<std::string> phrases{"rear left", "rear right", "front left"};
  auto bias = PhraseBias::make(phrases, 0.2);
  ASSERT_TRUE(bias);
  const auto shared = std::make_shared<const PhraseBias>(*std::move(bias));
  EXPECT_THAT(words_of(heard({.beam = 4, .phrases = shared})), testing::ElementsAre("rear", "left"));
  EXPECT_EQ(SpeechRecognizer::load(cache() / "models/moonshine-tiny", {.beam = 17}).error().code,
            ErrorCode::invalid_argument);
}

TEST(Speech, FindsNoUtteranceInSilenceToneOrNoise) {
  std::vector<float> sound(3 * 16'000, 0.0F);
  EXPECT_TRUE(utterances_of(sound).empty());
  for (std::size_t at = 0; at < sound.size(); ++at) sound[at] = 0.1F * std::sin(0.39F * static_cast<float>(at));
  EXPECT_TRUE(utterances_of(sound).empty());
  std::minstd_rand random(7);
  std::uniform_real_distribution<float> noise(-0.1F, 0.1F);
  for (float& sample : sound) sample = noise(random);
  EXPECT_TRUE(utterances_of(sound).empty());
}

TEST(Speech, RefusesWhatItCannotRead) {
  EXPECT_EQ(read_recording("/nowhere.wav", 16'000).error().code, ErrorCode::not_found);
  EXPECT_EQ(read_recording("layers.txt", 16'000).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(SpeechRecognizer::load("/nowhere").error().code, ErrorCode::not_found);
  auto recognizer = SpeechRecognizer::load(cache() / "models/moonshine-tiny");
  ASSERT_TRUE(recognizer);
  EXPECT_EQ((*recognizer)->recognize(std::vector<float>(100, 0.0F)).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge::audio
