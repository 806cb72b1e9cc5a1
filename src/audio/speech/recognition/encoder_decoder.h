// audio/speech/recognition/encoder_decoder.h -- Moonshine and its like: an encoder hears, a decoder writes.
//
// Source: Jeffries et al. 2024 (Moonshine). Encoder: samples [1, n] at 16 kHz, -1..1 -> [1, T, width]. Decoder:
// token_decoder.h, by beam search (beam 1: the likeliest token each time). Against made-up text: the token rate is
// bounded, loops are cut, unsure text is dropped. Threads: one call at a time.
#pragma once

#include <memory>

#include "audio/speech/recognition/token_decoder.h"
#include "audio/speech/speech_recognizer.h"

namespace verge::audio {

/// What has to be known of such a model; the defaults are Moonshine's.
struct EncoderDecoderForm {
  std::string encoder = "encoder.onnx", decoder = "decoder.onnx", tokenizer = "tokenizer.json";
  std::vector<std::int64_t> begin_tokens{1};  ///< Given before the first token is asked for; one or more.
  std::int64_t end_token = 2;
};

/// Errors: those of the parts; the message names the file.
Result<std::unique_ptr<SpeechRecognizer>> load_encoder_decoder(const std::filesystem::path& folder,
                                                               EncoderDecoderForm form, RecognizerOptions options,
                                                               int threads);

}  // namespace verge::audio
