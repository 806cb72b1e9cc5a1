// audio/speech/recognition/sound_features.h -- what a recogniser's network wants to see of an utterance.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "inference/tensor.h"

namespace verge::audio {

enum class FeatureKind : std::uint8_t {
  samples,             ///< [1, n]: the sound as it is, -1..1 (Moonshine).
  normalized_samples,  ///< [1, n]: mean 0, variance 1 (wav2vec 2 and its like).
  whisper_mel,         ///< [1, 80, 3000]: Radford et al. 2022: log10 mel power, 30 s, padded with silence.
  kaldi_mel,           ///< [1, frames, 80]: Kaldi's filter banks, natural logarithm, no dither (zipformers).
};
/// "samples", "normalized_samples", "whisper_mel", "kaldi_mel".
std::optional<FeatureKind> feature_kind_from(std::string_view name);

/// samples: 16 kHz, at least 400; what is longer than 30 s is cut for whisper_mel.
inference::Tensor features_of(FeatureKind kind, std::span<const float> samples);

}  // namespace verge::audio
