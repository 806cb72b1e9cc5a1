// audio/speech/voice_stage.h -- stage `voice`: sound in, sound with level and speech probability and utterances out.
//
// For each block it emits the block (level raised, speech_probability set) and, when one is complete, an utterance
// (is_segment) with the time of its first sample. All streams of a
// program that name the same model share it (voice_batch.h); a block may then come out with the next one. Threads: one
// stream.
#pragma once

#include <filesystem>
#include <memory>

#include "audio/conditioning/level.h"
#include "audio/speech/voice_batch.h"
#include "audio/speech/voice_segmenter.h"
#include "pipeline/stage.h"

namespace verge::audio {

struct VoiceStageOptions {
  std::filesystem::path model;  ///< silero_vad.onnx
  SegmenterOptions segments;
  LevelOptions level;
};
Result<std::unique_ptr<pipeline::Stage>> make_voice_stage(VoiceStageOptions options, const pipeline::Context& context,
                                                          VoiceBatches& batches);

}  // namespace verge::audio
