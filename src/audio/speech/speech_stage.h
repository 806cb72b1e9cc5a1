// audio/speech/speech_stage.h -- stage `speech`: utterances in, events "speech.final" with the text out; others pass.
//
// The event: label = text, after corrections (transcripts/corrections.h) with extension.heard when they changed it,
// score = confidence, span = the utterance, duration_us, model = digest of the decoder. Threads: one stream.
#pragma once

#include <filesystem>
#include <memory>

#include "audio/live/sound_wish.h"
#include "audio/speech/speech_recognizer.h"
#include "pipeline/stage.h"

namespace verge::audio {

struct SpeechStageOptions {
  std::filesystem::path model;  ///< Folder with encoder.onnx, decoder.onnx, tokenizer.json.
  RecognizerOptions recognizer;
  SoundWish sound{};                    ///< Whether an event's sound is kept.
  std::filesystem::path corrections{};  ///< Folder of `verge data report`, applied to every text; empty: none.
};
Result<std::unique_ptr<pipeline::Stage>> make_speech_stage(SpeechStageOptions options,
                                                           const pipeline::Context& context);

}  // namespace verge::audio
