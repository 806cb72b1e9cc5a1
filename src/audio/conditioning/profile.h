// audio/conditioning/profile.h -- what is known of one microphone in one place, as a small JSON file.
//
// Stage `condition` keeps one (`state`) and begins with one (`profile`). Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "audio/conditioning/conditioner.h"
#include "base/json_fwd.h"
#include "base/result.h"

namespace verge::audio {

/// Decibels are relative to full scale.
struct MicrophoneProfile {
  int rate_hz = 16'000;
  double heard_s = 0;  ///< How much sound it rests on.
  float background_db = -120;
  float snr_db = 0;         ///< What stood out above the background, 200 Hz to 4 kHz; 0: nothing did.
  float loud_db = -120;     ///< The loudest twentieth of the blocks.
  float offset = 0;         ///< Mean of the samples, -1..1.
  float clipped_share = 0;  ///< Of the blocks, 0..1.
  float dead_share = 0;     ///< Of the blocks, 0..1.
  double hum_hz = 0;        ///< 50 or 60 and a little; 0: none.
  float hum_db = -120;
  Bands background_bands_db{};  ///< bands.h says which.
  LearnedMicrophone learned;
};

Json to_json(const MicrophoneProfile& profile);
/// Errors: invalid_argument naming the member and its range.
Result<MicrophoneProfile> profile_from_json(const Json& json);
/// Errors: not_found, invalid_argument; the message names the file.
Result<MicrophoneProfile> load_profile(const std::filesystem::path& file);
/// Replaces the file. Errors: those of write_file.
Status save_profile(const std::filesystem::path& file, const MicrophoneProfile& profile);

}  // namespace verge::audio
