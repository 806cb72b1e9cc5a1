// audio/features/sound_look.h -- a second of sound as a row of numbers: colour, change, and the rhythm of the bands.
//
// 64 mel bands of 50 ms every 20 ms. A look is 1 s of them, one every 0.5 s:
//   0..63     mean of the logarithm of each band's energy, less the mean of all bands (so the gain does not count)
//   64..127   its standard deviation over the second
//   128..159  modulation: for 8 groups of 8 bands, the logarithm of the envelope's power at 1-2, 3-5, 6-11 and 12-25
//   Hz,
//             relative to the group's mean level
// Bands more than 50 dB below the look's mean count as 50 dB below: there is only what the microphone adds.
// Source: modulation spectrum, Hermansky 1998; relative floor and mean removal as in cepstral mean normalisation.
// Threads: one stream.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "audio/features/log_mel.h"
#include "base/result.h"

namespace verge::audio {

inline constexpr int kLookRateHz = 16'000;
inline constexpr std::size_t kLookMels = 64, kLookFrames = 50, kLookHopFrames = 25;
inline constexpr std::size_t kLookNumbers = 2 * kLookMels + 32;
inline constexpr double kLookSeconds = 1.0, kLookHopSeconds = 0.5;

/// Energies of 64 bands, 50 frames a second.
LogMelOptions look_mel_options();
/// How bands are coloured before they are looked at, factors of their energy, [64]; empty: not at all.
using BandColour = std::vector<float>;
/// A smooth random response of a microphone: a tilt and two slow waves over the mel scale, 3 dB standard deviation
/// each.
BandColour random_colour(std::uint64_t seed);

/// energies  [50, 64]
/// row  [160]
/// Returns false, and leaves the row, when it is digital silence (mean energy below 1e-9): nothing can be said of it.
bool describe_look(std::span<const float> energies, const BandColour& colour, std::span<float> row);

struct Look {
  std::int64_t end_sample = 0;  ///< Of the stream: where the second ends.
  std::vector<float> energies;  ///< [50, 64]
};

/// Cuts a stream into looks.
class Looks {
 public:
  Looks();
  /// Calls `take` for each look that is complete.
  void add(std::span<const float> samples, const std::function<void(const Look&)>& take);
  void reset();

 private:
  LogMel mel_;
  std::vector<float> energies_;   ///< Frames that the next look needs.
  std::int64_t first_frame_ = 0;  ///< Of energies_.
};

/// The looks of a whole recording; the last part shorter than a second is padded by repeating the recording when there
/// is less than one look, else left out.
std::vector<Look> looks_of(std::span<const float> samples);

}  // namespace verge::audio
