// audio/speech/speech_recognizer.h -- an utterance to text: Moonshine, an encoder and a decoder with a key/value cache.
//
// Source: Jeffries et al. 2024 (Moonshine). Encoder: input_values [1, samples] at 16 kHz, -1..1 -> last_hidden_state
// [1, T, width]. Decoder: greedy, one token a step, past_key_values kept between steps. The number of layers and heads
// is read from the model. Threads: one call at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "audio/speech/spoken_words.h"
#include "audio/speech/token_text.h"
#include "base/result.h"
#include "inference/session.h"

namespace verge::audio {

struct RecognizerOptions {
  double tokens_per_s_max = 6.5;  ///< The model's own bound on its output; stops endless repetition.
  /// The model may end at once on real speech (a silent deletion). While its end-of-text probability on the first step
  /// is below this, the end is forbidden there; noise reaches 0.9995 and more.
  double end_probability_noise = 0.9995;
  double log_probability_min = -1.2;  ///< Mean per token; text below it is dropped as made up.
  int repetitions_max = 8;            ///< The same token so often in a row is a loop: stop.
};

struct Transcript {
  std::string text;       ///< Empty when nothing was said.
  double confidence = 0;  ///< exp(mean log probability of the tokens), 0..1.
  std::size_t token_count = 0;
  std::vector<SpokenWord> words;  ///< Of text, in order; empty with it.
};

class SpeechRecognizer {
 public:
  /// Files encoder.onnx, decoder.onnx and tokenizer.json in `folder`. Errors: those of load_onnx, invalid_argument
  /// naming a missing input.
  static Result<std::unique_ptr<SpeechRecognizer>> load(const std::filesystem::path& folder,
                                                        RecognizerOptions options = {}, int threads = 1);
  /// samples: 16 kHz mono, 0.1..30 s. Errors: invalid_argument (length), those of Session::run.
  Result<Transcript> recognize(std::span<const float> samples);
  /// Of the decoder's file.
  std::string model_digest() const { return decoder_->model_digest(); }

 private:
  SpeechRecognizer(std::unique_ptr<inference::Session> encoder, std::unique_ptr<inference::Session> decoder,
                   TokenText tokens, RecognizerOptions options);
  Result<inference::Tensor> encode(std::span<const float> samples);
  void begin_cache();
  Result<std::vector<float>> step(std::int64_t token, const inference::Tensor& hidden, bool is_first);

  std::unique_ptr<inference::Session> encoder_, decoder_;
  const TokenText tokens_;
  const RecognizerOptions options_;
  std::vector<std::string> past_names_;     ///< Decoder inputs "past_key_values.…".
  std::vector<std::string> present_names_;  ///< The outputs that replace them, same order.
  std::vector<inference::Tensor> past_;
  inference::Tensor token_, uses_cache_;
};

}  // namespace verge::audio
