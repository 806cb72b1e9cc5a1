// pipeline/sound/audio_block.h -- samples as a block that stages take.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/packet.h"

namespace verge::pipeline {

/// Sources cut sound into blocks of 32 ms: 512 samples at 16 kHz, what voice detectors take.
constexpr std::size_t block_samples(int rate_hz) { return static_cast<std::size_t>(rate_hz) * 32 / 1000; }

/// RMS relative to full scale, in decibels; -120 and less is -120.
float level_db(const std::vector<float>& samples);

/// With its level.
std::shared_ptr<const AudioBlock> make_audio_block(int rate_hz, std::vector<float> samples);

}  // namespace verge::pipeline
