// audio/teach/teach_sound.h -- from a folder of the user's own recordings to a model of what a place sounds like.
//
// FOLDER/recording.wav (or FOLDER/normal/recording.wav): normal sound alone, 1 minute at least, 5 to 30 are good. Five
// detectors (sound/detectors.h), each on the mean of ten looks and on single ones, are judged without any anomaly:
// ordinary sound held out (in five stretches of time) against the same sound with pretended faults (a band louder or
// missing, a tone, knocks, a hiss). The mean of two plain ones is kept unless one is clearly better. Its threshold
// follows from the held-out scores and a promised number of false alarms per day (training/tail.h), for the alarm as
// stage sound gives it: two looks in a row. FOLDER/LABEL/clip.wav, two labels or more: kinds of sound. Multinomial
// logistic regression on looks of all clips; judged by cross-validation in which no recording is on both sides. While
// learning, sound is also heard through random smooth microphone responses, so that another microphone is no fault.
// Writes model.onnx, card.json and report.html; when nothing was learned, only the report, which says why.
// Deterministic: equal recordings and options give equal files, unless time ran out. Threads: one call, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::audio {

inline constexpr double kTaughtHoursMax = 4;  ///< Of all recordings together: they are held in memory.

struct TeachSoundRequest {
  std::filesystem::path folder, target;
  std::string name;                 ///< Of the model, in its card; empty: the target's.
  std::string task;                 ///< "anomaly", "classify"; empty: as the folder's form says.
  double false_alarms_per_day = 1;  ///< The promise of an anomaly model, 0.01..1000.
  double minutes = 30;              ///< Then it makes do with what it has tried, 0.01..1440.
  std::uint64_t seed = 1;
  std::function<void(const std::string& line)> tell;  ///< Progress; may be empty.
};

struct TaughtSound {
  bool is_learned = false;
  std::string verdict;                ///< One sentence.
  std::vector<std::string> headings;  ///< Of a table for the terminal.
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> notes;  ///< Warnings and decisions, in sentences.
  Json summary = Json::object();   ///< All of it, for programs.
};

/// Errors: invalid_argument (folder, recordings, options; names what to change), not_found, limit, those of the disk.
Result<TaughtSound> teach_sound(const TeachSoundRequest& request);

}  // namespace verge::audio
