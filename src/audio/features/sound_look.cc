#include "audio/features/sound_look.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/assert.h"
#include "base/kernel.h"
#include "training/validation.h"

namespace verge::audio {
namespace {

constexpr std::size_t kGroups = 8, kGroupBands = kLookMels / kGroups;
constexpr std::array<std::size_t, 5> kRhythmEdges{1, 3, 6, 12, 26};  ///< Hz, as a look is one second long.
constexpr std::size_t kRhythms = kRhythmEdges.size() - 1;
constexpr double kDeviationDb = 3;
constexpr float kSilence = 1e-9F, kFloorShare = 1e-5F;
constexpr float kRhythmFloor = 1e-4F;  ///< Of the mean level, squared: slower than noise can tell.

/// Cosine and sine of each frequency and frame, [26, 50, 2].
const std::vector<float>& rhythm_table() {
  static const std::vector<float> table = [] {
    std::vector<float> made;
    for (std::size_t hz = 0; hz < kRhythmEdges.back(); ++hz) {
      for (std::size_t frame = 0; frame < kLookFrames; ++frame) {
        const double turn = 2 * std::numbers::pi * static_cast<double>(hz * frame % kLookFrames) / kLookFrames;
        made.push_back(static_cast<float>(std::cos(turn)));
        made.push_back(static_cast<float>(std::sin(turn)));
      }
    }
    return made;
  }();
  return table;
}

/// envelope  [50], any level
void describe_rhythm(std::span<const float> envelope, std::span<float> row) {
  float mean = 0;
  for (const float value : envelope) mean += value / kLookFrames;
  const auto& table = rhythm_table();
  for (std::size_t rhythm = 0; rhythm < kRhythms; ++rhythm) {
    float power = 0;
    for (std::size_t hz = kRhythmEdges[rhythm]; hz < kRhythmEdges[rhythm + 1]; ++hz) {
      const float* turns = table.data() + hz * kLookFrames * 2;
      float re = 0, im = 0;
      for (std::size_t frame = 0; frame < kLookFrames; ++frame, turns += 2) {
        re += envelope[frame] * turns[0];
        im += envelope[frame] * turns[1];
      }
      power += re * re + im * im;
    }
    const float share = power / (mean * mean * kLookFrames * kLookFrames + 1e-30F);
    row[rhythm] = std::log(share + kRhythmFloor);
  }
}

}  // namespace

LogMelOptions look_mel_options() {
  LogMelOptions options;
  options.rate_hz = kLookRateHz;
  options.window = 800;
  options.hop = 320;
  options.mels = static_cast<int>(kLookMels);
  options.is_logarithm = false;
  return options;
}

BandColour random_colour(std::uint64_t seed) {
  training::SeededNumbers numbers(seed);
  const auto normal = [&] {  // Sum of twelve even ones, Irwin and Hall.
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += numbers.part();
    return sum;
  };
  const double tilt = normal(), slow = normal(), faster = normal(), shift = numbers.part(), other = numbers.part();
  BandColour colour(kLookMels);
  for (std::size_t band = 0; band < kLookMels; ++band) {
    const double x = (static_cast<double>(band) + 0.5) / kLookMels;
    const double db = kDeviationDb * (tilt * 3.46 * (x - 0.5) + slow * std::sin(2 * std::numbers::pi * (x + shift)) +
                                      faster * std::sin(4 * std::numbers::pi * (x + other)));
    colour[band] = static_cast<float>(std::pow(10.0, db / 10));
  }
  return colour;
}

VERGE_UNROLLED bool describe_look(std::span<const float> energies, const BandColour& colour, std::span<float> row) {
  VERGE_ASSERT(energies.size() == kLookFrames * kLookMels && row.size() == kLookNumbers);
  VERGE_ASSERT(colour.empty() || colour.size() == kLookMels);
  std::vector<float> levels(energies.begin(), energies.end());
  double sum = 0;
  for (std::size_t at = 0; at < levels.size(); ++at) {
    if (!colour.empty()) levels[at] *= colour[at % kLookMels];
    sum += levels[at];
  }
  const float mean = static_cast<float>(sum / static_cast<double>(levels.size()));
  if (!(mean > kSilence)) return false;

  float envelopes[kGroups][kLookFrames] = {};
  float sums[kLookMels] = {}, squares[kLookMels] = {};
  const float floor = mean * kFloorShare;
  for (std::size_t frame = 0; frame < kLookFrames; ++frame) {
    for (std::size_t band = 0; band < kLookMels; ++band) {
      const float level = levels[frame * kLookMels + band] + floor;
      envelopes[band / kGroupBands][frame] += std::sqrt(level);
      const float value = std::log(level / mean);
      sums[band] += value;
      squares[band] += value * value;
    }
  }
  float middle = 0;
  for (std::size_t band = 0; band < kLookMels; ++band) middle += sums[band] / (kLookFrames * kLookMels);
  for (std::size_t band = 0; band < kLookMels; ++band) {
    const float average = sums[band] / kLookFrames;
    row[band] = average - middle;
    row[kLookMels + band] = std::sqrt(std::max(0.0F, squares[band] / kLookFrames - average * average));
  }
  for (std::size_t group = 0; group < kGroups; ++group)
    describe_rhythm(envelopes[group], row.subspan(2 * kLookMels + group * kRhythms, kRhythms));
  return true;
}

Looks::Looks() : mel_(*LogMel::make(look_mel_options())) {}

void Looks::reset() {
  mel_.reset();
  energies_.clear();
  first_frame_ = 0;
}

void Looks::add(std::span<const float> samples, const std::function<void(const Look&)>& take) {
  mel_.add(samples, energies_);
  constexpr std::size_t kWhole = kLookFrames * kLookMels, kStep = kLookHopFrames * kLookMels;
  std::size_t at = 0;
  for (; at + kWhole <= energies_.size(); at += kStep) {
    Look look;
    const auto begin = energies_.begin() + static_cast<std::ptrdiff_t>(at);
    look.energies.assign(begin, begin + static_cast<std::ptrdiff_t>(kWhole));
    const auto& options = mel_.options();
    look.end_sample = (first_frame_ + static_cast<std::int64_t>(kLookFrames) - 1) * options.hop + options.window;
    first_frame_ += static_cast<std::int64_t>(kLookHopFrames);
    take(look);
  }
  energies_.erase(energies_.begin(), energies_.begin() + static_cast<std::ptrdiff_t>(at));
}

std::vector<Look> looks_of(std::span<const float> samples) {
  std::vector<Look> looks;
  if (samples.empty()) return looks;
  constexpr std::size_t kShortest = kLookRateHz + 480;  // A second of frames, each 50 ms long.
  std::vector<float> repeated;
  if (samples.size() < kShortest) {
    while (repeated.size() < kShortest) repeated.insert(repeated.end(), samples.begin(), samples.end());
    samples = repeated;
  }
  Looks cutter;
  cutter.add(samples, [&](const Look& look) { looks.push_back(look); });
  return looks;
}

}  // namespace verge::audio
