// pipeline/nearest_word.h -- "did you mean": the allowed word that is closest to a mistyped one.
//
// Source: restricted Damerau-Levenshtein distance (insert, delete, replace, swap neighbours).
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace verge::pipeline {

/// Edits that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The closest allowed word, or empty when none is within a third of the word's length (at least one edit).
std::string nearest_word(std::string_view word, const std::vector<std::string>& allowed);

/// "; did you mean \"detect\"? Allowed: detect, track, zone". Without a near word only the list.
std::string suggestion(std::string_view word, const std::vector<std::string>& allowed);

}  // namespace verge::pipeline
