#include "pipeline/sound/audio_block.h"

#include <algorithm>
#include <cmath>

namespace verge::pipeline {

float level_db(const std::vector<float>& samples) {
  double sum = 0;
  for (const float sample : samples) sum += static_cast<double>(sample) * sample;
  const double power = sum / static_cast<double>(std::max<std::size_t>(1, samples.size()));
  return power > 1e-12 ? static_cast<float>(10 * std::log10(power)) : -120.0F;
}

std::shared_ptr<const AudioBlock> make_audio_block(int rate_hz, std::vector<float> samples) {
  auto block = std::make_shared<AudioBlock>();
  block->rate_hz = rate_hz;
  block->samples = std::move(samples);
  block->level_db = level_db(block->samples);
  return block;
}

}  // namespace verge::pipeline
