// audio/speech/recognition/encoder_decoder.h -- Moonshine, Whisper and their like: an encoder hears, a decoder writes.
//
// Sources: Jeffries et al. 2024 (Moonshine), Radford et al. 2022 (Whisper). Encoder: samples [1, n] or log-mel [1, 80,
// 3000] -> [1, T, width]. Decoder: token_decoder.h, by beam search (beam 1: the likeliest token each time). Against
// made-up text: the token rate is bounded, loops are cut, unsure text is dropped. Threads: one call at a time.
#pragma once

#include <memory>

#include "audio/speech/recognition/sound_features.h"
#include "audio/speech/recognition/token_decoder.h"
#include "audio/speech/speech_recognizer.h"

namespace verge::audio {

/// What a card says of such a model.
struct EncoderDecoderForm {
  std::string encoder = "encoder.onnx", decoder = "decoder.onnx", tokenizer = "tokenizer.json";
  FeatureKind features = FeatureKind::samples;
  std::vector<std::int64_t> begin_tokens{1};  ///< Whisper: start, language, task, no time stamps.
  std::int64_t end_token = 2;
  std::vector<std::int64_t> forbidden{};  ///< Never written, such as Whisper's time stamps; sorted.
};

/// Errors: those of the parts; the message names the file.
Result<std::unique_ptr<SpeechRecognizer>> load_encoder_decoder(const std::filesystem::path& folder,
                                                               EncoderDecoderForm form, RecognizerOptions options,
                                                               int threads);

}  // namespace verge::audio
