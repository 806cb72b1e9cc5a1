// audio/speech/voice_stage.h -- stage `voice`: sound in, sound with level and speech probability and utterances out.
//
// For each block it emits the block (level raised, speech_probability set) and, when one is complete, an utterance
// (is_segment) with the time of its first sample. Threads: one stream.
#pragma once

#include <filesystem>
#include <memory>

#include "audio/conditioning/level.h"
#include "audio/speech/voice_segmenter.h"
#include "pipeline/stage.h"

namespace verge::audio {

struct VoiceStageOptions {
  std::filesystem::path model;  ///< silero_vad.onnx
  SegmenterOptions segments;
  LevelOptions level;
};
Result<std::unique_ptr<pipeline::Stage>> make_voice_stage(VoiceStageOptions options, const pipeline::Context& context);

}  // namespace verge::audio
