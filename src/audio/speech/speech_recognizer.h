// audio/speech/speech_recognizer.h -- an utterance to text: Moonshine, an encoder and a decoder with a key/value cache.
//
// Sources: Jeffries et al. 2024 (Moonshine); phrases by vocabulary/phrase_bias.h. The numbers of layers and heads are
// read from the model. Threads: one call at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "audio/speech/spoken_words.h"
#include "audio/speech/token_text.h"
#include "audio/speech/vocabulary/phrase_bias.h"
#include "audio/transcripts/clip.h"
#include "base/result.h"

namespace verge::audio {

struct RecognizerOptions {
  double tokens_per_s_max = 6.5;  ///< The model's own bound on its output; stops endless repetition.
  /// The model may end at once on real speech (a silent deletion). While its end-of-text probability on the first step
  /// is below this, the end is forbidden there; noise reaches 0.9995 and more.
  double end_probability_noise = 0.9995;
  double log_probability_min = -1.2;  ///< Mean per token; text below it is dropped as made up.
  int repetitions_max = 8;            ///< The same token so often in a row is a loop: stop.
  int beam = 1;                       ///< Hypotheses followed at once, 1..16; each costs as much as the first.
  std::shared_ptr<const PhraseBias> phrases{};  ///< Preferred; null: none. Wants a beam of 4 or so.
};

struct Transcript {
  std::string text;       ///< Empty when nothing was said.
  double confidence = 0;  ///< exp(mean log probability of the tokens), 0..1.
  std::size_t token_count = 0;
  std::vector<SpokenWord> words;            ///< Of text, in order; empty with it.
  std::vector<Alternative> alternatives{};  ///< Other texts, the likeliest first; with a beam above 1.
};

class SpeechRecognizer {
 public:
  static constexpr int kRateHz = 16'000;
  static constexpr int kBeamMax = 16;

  /// Files encoder.onnx, decoder.onnx and tokenizer.json in `folder`. Errors: those of load_onnx, invalid_argument
  /// naming what the decoder lacks, or for a beam outside 1..kBeamMax.
  static Result<std::unique_ptr<SpeechRecognizer>> load(const std::filesystem::path& folder,
                                                        RecognizerOptions options = {}, int threads = 1);
  virtual ~SpeechRecognizer() = default;
  /// samples: 16 kHz mono, 0.1..30 s. Errors: invalid_argument (length), those of Session::run.
  virtual Result<Transcript> recognize(std::span<const float> samples) = 0;
  /// Of the file that makes the text.
  virtual std::string model_digest() const = 0;

 protected:
  static Status check_length(std::span<const float> samples);
};

}  // namespace verge::audio
