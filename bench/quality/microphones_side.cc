// bench/quality/microphones_side.cc -- our side of the microphone judgement: what is understood through each simulated
// microphone and noise, by what stands before the voice detector.
//
//   verge-bench-microphones --clips A.wav,B.wav --voice silero_vad.onnx --speech FOLDER --microphones flat,telephone
//       --noises clean,white_10 --treatments none,level,condition [--seed 1]
//
// The clips are one stream, each at the same loudness, with pauses, as one microphone would hear them. One JSON line
// per microphone, noise and treatment: the text of each clip in the order given.
#include <CLI/CLI.hpp>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "audio/conditioning/conditioner.h"
#include "audio/recording/recording.h"
#include "audio/simulated/microphone.h"
#include "audio/speech/speech_recognizer.h"
#include "audio/speech/voice_detector.h"
#include "audio/speech/voice_segmenter.h"
#include "base/json.h"

namespace verge::bench {
namespace {

constexpr std::size_t kBlock = audio::VoiceDetector::kBlockSamples;
constexpr double kPauseS = 1.5;
constexpr double kSpeechDb = -23;

struct Settings {
  std::vector<std::string> clips, microphones, noises, treatments;
  std::string voice, speech;
  std::uint64_t seed = 1;
};

/// All clips, with where each begins and ends, in samples.
struct Stream {
  std::vector<float> samples;
  std::vector<std::pair<std::int64_t, std::int64_t>> clips;
};

Result<Stream> read_stream(const std::vector<std::string>& files) {
  Stream stream;
  const auto pause = [&] {
    stream.samples.resize(stream.samples.size() + static_cast<std::size_t>(kPauseS * audio::simulated::kRateHz), 0.0F);
  };
  pause();
  for (const auto& file : files) {
    VERGE_TRY(auto clip, audio::read_recording(file, audio::simulated::kRateHz));
    const double gain_db = kSpeechDb - audio::simulated::speech_level_db(clip.samples);
    for (float& sample : clip.samples) sample *= static_cast<float>(std::pow(10, gain_db / 20));
    const auto begin = std::ssize(stream.samples);
    stream.samples.insert(stream.samples.end(), clip.samples.begin(), clip.samples.end());
    stream.clips.emplace_back(begin, std::ssize(stream.samples));
    pause();
  }
  stream.samples.resize(stream.samples.size() / kBlock * kBlock);
  return stream;
}

/// What one treatment makes of a block, in place, and what the voice detector gets to hear of it.
struct Treatment {
  std::function<void(std::span<float> block)> treat;
  std::function<void(std::span<float> block)> for_detector;
  audio::SegmenterOptions segments;
  bool knows_segments = false;  ///< Utterances are cut where the clean recording has speech: what the detector costs.
};

std::function<void(std::span<float>)> conditioning(const audio::ConditionerOptions& options) {
  auto conditioner = std::make_shared<audio::Conditioner>(options, audio::simulated::kRateHz, kBlock);
  return [conditioner](std::span<float> block) { conditioner->process(block, block); };
}

/// "none", "level" (what stage `voice` does by itself), "condition" (that stage before it), or "condition" with changed
/// settings: "condition/equalizer=0/suppression=6".
Result<Treatment> make_treatment(const std::string& name) {
  const auto parts = CLI::detail::split(name, '/');
  Treatment treatment;
  audio::ConditionerOptions options;
  for (std::size_t at = 1; at < parts.size(); ++at) {
    const auto pair = CLI::detail::split(parts[at], '=');
    const float value = pair.size() == 2 ? std::stof(pair[1]) : 0;
    if (pair.front() == "equalizer") {
      options.equalizer_db_max = value;
    } else if (pair.front() == "suppression") {
      options.suppression_db = value;
    } else if (pair.front() == "hum") {
      options.removes_hum = value != 0;
    } else if (pair.front() == "join") {
      treatment.segments.join_s = value;
    } else if (pair.front() == "begin") {
      treatment.segments.begin_probability = value;
      treatment.segments.end_probability = value * 0.7F;
    } else if (pair.front() == "detect") {
      audio::ConditionerOptions detector;
      detector.removes_hum = false;
      detector.equalizer_db_max = 0;
      detector.suppression_db = value;
      treatment.for_detector = conditioning(detector);
    } else if (pair.front() == "segments") {
      treatment.knows_segments = true;
    } else {
      return Error{ErrorCode::invalid_argument, "no setting \"" + parts[at] + "\""};
    }
  }
  auto level = std::make_shared<audio::LevelControl>(audio::LevelOptions{},
                                                     static_cast<double>(kBlock) / audio::simulated::kRateHz);
  if (parts.front() == "none") {
    treatment.treat = [](std::span<float>) {};
  } else if (parts.front() == "level") {
    treatment.treat = [level](std::span<float> block) { level->apply(block, block); };
  } else if (parts.front() == "condition") {
    treatment.treat = [condition = conditioning(options), level](std::span<float> block) {
      condition(block);
      level->apply(block, block);
    };
  } else {
    return Error{ErrorCode::invalid_argument, "no treatment \"" + name + "\""};
  }
  return treatment;
}

class Listener {
 public:
  static Result<Listener> open(const Settings& settings) {
    VERGE_TRY(auto detector, audio::VoiceDetector::load(settings.voice));
    VERGE_TRY(auto recognizer, audio::SpeechRecognizer::load(settings.speech));
    return Listener(std::move(detector), std::move(recognizer));
  }

  /// How much like speech each block is.
  Result<std::vector<float>> detect(std::vector<float> sound, const Treatment& treatment) {
    detector_->reset();
    std::vector<float> probabilities;
    for (std::size_t at = 0; at + kBlock <= sound.size(); at += kBlock) {
      const std::span block(sound.data() + at, kBlock);
      if (treatment.for_detector) treatment.for_detector(block);
      VERGE_TRY(const float probability, detector_->probability(block));
      probabilities.push_back(probability);
    }
    return probabilities;
  }

  /// The text of each clip; an utterance belongs to the clip that its middle is nearest to.
  Result<std::vector<std::string>> understand(const Stream& stream, std::vector<float> sound,
                                              const Treatment& treatment) {
    for (std::size_t at = 0; at + kBlock <= sound.size(); at += kBlock)
      treatment.treat(std::span(sound.data() + at, kBlock));
    VERGE_TRY(const auto probabilities, detect(treatment.knows_segments ? stream.samples : sound, treatment));
    audio::VoiceSegmenter segmenter(treatment.segments, audio::simulated::kRateHz, kBlock);
    std::vector<std::string> texts(stream.clips.size());
    const auto take = [&](std::optional<audio::Utterance> utterance) -> Status {
      if (!utterance) return Done{};
      VERGE_TRY(const auto transcript, recognizer_->recognize(utterance->samples));
      const auto middle = utterance->begin_sample + std::ssize(utterance->samples) / 2;
      std::size_t nearest = 0;
      const auto distance = [&](std::size_t clip) {
        const auto [begin, end] = stream.clips[clip];
        return std::max<std::int64_t>({begin - middle, middle - end, 0});
      };
      for (std::size_t clip = 0; clip < texts.size(); ++clip)
        if (distance(clip) < distance(nearest)) nearest = clip;
      texts[nearest] += (texts[nearest].empty() ? "" : " ") + transcript.text;
      return Done{};
    };
    for (std::size_t block = 0; block < probabilities.size(); ++block)
      VERGE_CHECK(take(segmenter.add(std::span(sound.data() + block * kBlock, kBlock), probabilities[block])));
    VERGE_CHECK(take(segmenter.flush()));
    return texts;
  }

 private:
  Listener(std::unique_ptr<audio::VoiceDetector> detector, std::unique_ptr<audio::SpeechRecognizer> recognizer)
      : detector_(std::move(detector)), recognizer_(std::move(recognizer)) {}
  std::unique_ptr<audio::VoiceDetector> detector_;
  std::unique_ptr<audio::SpeechRecognizer> recognizer_;
};

Status run(const Settings& settings) {
  VERGE_TRY(const auto stream, read_stream(settings.clips));
  VERGE_TRY(auto listener, Listener::open(settings));
  for (const auto& noise : settings.noises) {
    for (const auto& microphone : settings.microphones) {
      VERGE_TRY(const auto heard, audio::simulated::hear(stream.samples, microphone, noise, settings.seed));
      for (const auto& treatment : settings.treatments) {
        VERGE_TRY(const auto treat, make_treatment(treatment));
        VERGE_TRY(const auto texts, listener.understand(stream, heard, treat));
        fmt::print("{}\n", to_text({{"microphone", microphone},
                                    {"noise", noise},
                                    {"treatment", treatment},
                                    {"seed", settings.seed},
                                    {"texts", texts}}));
        std::fflush(stdout);
      }
    }
  }
  return Done{};
}

}  // namespace
}  // namespace verge::bench

int main(int argc, char** argv) {
  verge::bench::Settings settings;
  settings.microphones = verge::audio::simulated::microphone_names();
  settings.noises = verge::audio::simulated::noise_names();
  settings.treatments = {"none", "level", "condition"};
  CLI::App app("Listens through simulated microphones");
  bool asks_names = false;
  app.add_flag("--names", asks_names, "The microphones on one line, the noises on the next");
  app.add_option("--clips", settings.clips)->delimiter(',');
  app.add_option("--voice", settings.voice);
  app.add_option("--speech", settings.speech);
  app.add_option("--microphones", settings.microphones)->delimiter(',');
  app.add_option("--noises", settings.noises)->delimiter(',');
  app.add_option("--treatments", settings.treatments)->delimiter(',');
  app.add_option("--seed", settings.seed);
  CLI11_PARSE(app, argc, argv);
  if (asks_names) {
    fmt::print("{}\n{}\n", fmt::join(settings.microphones, " "), fmt::join(settings.noises, " "));
    return 0;
  }
  const auto done = verge::bench::run(settings);
  if (!done) fmt::print(stderr, "verge-bench-microphones: {}\n", done.error().message);
  return done ? 0 : 1;
}
