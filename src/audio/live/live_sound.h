// audio/live/live_sound.h -- sound as a live tile shows it: level, wave form, a small spectrogram, speech, score.
//
// Sources: Stevens et al. 1937 and the HTK form of the mel scale, 2595 log10(1 + f / 700). docs/formats/live.md.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipeline/stage.h"

namespace verge::audio {

/// Loudness of 64 bands, the lowest first, each 0 (-100 dB and less) to 255 (0 dB: a sine at full scale).
inline constexpr std::size_t kLiveBands = 64;
inline constexpr double kLiveFloor_db = -100;

/// One column of kLiveBands bytes for each 32 ms of the sound, at least one; the frequencies go up to 8 kHz or half the
/// rate, whichever is less. samples: -1..1, at most a second; more is cut.
std::vector<std::uint8_t> mel_columns(std::span<const float> samples, int rate_hz);

/// Kind "sound" of docs/formats/live.md: the block and those since the last frame (LiveRequest::sound), 2.2 KB/s of
/// bytes. Nothing for an utterance that was cut out, and for what is no sound.
std::optional<pipeline::LiveFrame> render_sound(const pipeline::Packet& packet, const pipeline::LiveRequest& request);

}  // namespace verge::audio
