// audio/simulated/machines.h -- sounds of machines and rooms, made by formula: for demonstrations and tests.
//
// Not recordings: nothing measured on them says how well a real fault is found. Equal names, lengths and seeds give
// equal samples; the part of a sound that begins at another moment is not a copy of it. Threads: pure functions.
//
// Source: bearing faults as impacts at the rate of balls over a defect that ring a resonance (Randall and Antoni 2011,
// "Rolling element bearing diagnostics").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::audio::simulated {

/// motor (four-pole, 1,480 turns a minute, with a fan), motor_bearing (the same with a defect of the outer race),
/// motor_unbalanced, room (a quiet workshop), leak (air out of a pipe, in that room), smoke_alarm (three beeps of 3.1
/// kHz and a pause), siren (two tones), glass (a pane breaks, once in 3 s).
std::vector<std::string> machine_names();

/// 16 kHz, -1..1. seconds: 0.1..3600. Errors: not_found (the message lists the names), invalid_argument.
Result<std::vector<float>> machine_sound(std::string_view name, double seconds, std::uint64_t seed);

}  // namespace verge::audio::simulated
