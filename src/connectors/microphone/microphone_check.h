// connectors/microphone/microphone_check.h -- listens to a microphone for some seconds and says what it hears.
//
// Connects as the source `microphone` does, by the same links. Threads: blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "connectors/microphone/live_microphone.h"

namespace verge::connectors {

/// What a sound's samples say about the microphone; levels in decibels relative to full scale, -120 and less is -120.
struct SoundFigures {
  double level_db = -120;    ///< RMS of all.
  double loud_db = -120;     ///< Of the loudest tenth of the stretches of 32 ms: where somebody speaks, the voice.
  double floor_db = -120;    ///< Of the quietest tenth: the room and the microphone.
  double peak_db = -120;     ///< The largest sample.
  double offset = 0;         ///< Mean, full scale is 1: a converter that is not centred.
  double clipped_share = 0;  ///< Of the samples, those at full scale.
};
/// clipped: how many samples are at full scale.
SoundFigures figures_of(const std::vector<float>& samples, int rate_hz, std::uint64_t clipped);

enum class SoundVerdict : std::uint8_t { good, dead, quiet, loud, noisy };
/// dead: digital silence, below -90 dB all the time. loud: more than one sample in 10,000 clipped. quiet: the loud part
/// below -50 dB. noisy: the quiet part above -35 dB, and the loud part less than 10 dB above it.
SoundVerdict judge_sound(const SoundFigures& figures);
/// "dead", …; and a sentence with what to do.
std::string_view name_of(SoundVerdict verdict);
std::string_view advice_for(SoundVerdict verdict);

struct MicrophoneCheckOptions {
  double seconds = 5;      ///< So long, from the first sample on, at most 60.
  double patience_s = 10;  ///< For the first sample.
};

struct MicrophoneReport {
  std::string note;  ///< "s16le, 2 channels", "aac, 1 channel"
  int rate_hz = 0;   ///< As it comes.
  double seconds = 0, first_sample_s = 0;
  std::uint64_t missing = 0, broken = 0;  ///< Samples that the sender said were lost; packets that could not be read.
  SoundFigures figures;
};

/// Errors: not_found (a library is missing), invalid_argument (refused), unavailable, timeout.
Result<MicrophoneReport> check_microphone(const std::string& shown, SoundLink& link,
                                          const MicrophoneCheckOptions& options, const Clock& clock);

}  // namespace verge::connectors
