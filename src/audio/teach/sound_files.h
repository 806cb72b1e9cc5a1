// audio/teach/sound_files.h -- what both teaching tasks read and leave behind. Threads: one.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "audio/teach/teach_sound.h"
#include "models/model_card.h"
#include "models/onnx_graph.h"

namespace verge::audio {

struct TaughtRecording {
  std::string name;  ///< "glass/3.wav"
  int label = 0;
  std::vector<float> samples;  ///< 16 kHz
};

struct SoundFolder {
  std::vector<std::string> labels;  ///< Of sub-folders, sorted; empty: the recordings lie in the folder itself.
  std::vector<TaughtRecording> recordings;
  std::vector<std::string> passed_over;  ///< In sentences.
  double seconds = 0;
};
/// Errors: not_found (no folder), invalid_argument (no recording in it), limit (more than kTaughtHoursMax).
Result<SoundFolder> read_sound_folder(const std::filesystem::path& folder);

/// Removes what an earlier run left, so that its model is not taken for this one's.
void forget_sound_model(const TeachSoundRequest& request);
/// model.onnx and card.json, which gets the digest and the model's name. Errors: those of the disk.
Status write_sound_model(const TeachSoundRequest& request, const models::OnnxModel& model, models::ModelCard card);
models::ModelCard sound_card(const std::string& task, std::size_t pool, std::vector<std::string> labels);

class SoundTime {
 public:
  explicit SoundTime(double minutes) : seconds_(minutes * 60) {}
  bool is_over() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() > seconds_;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double seconds_;
};

/// "12.5 s of glass/3.wav"
std::string moment_text(const TaughtRecording& recording, double at_s);

Result<TaughtSound> teach_normal_sound(const TeachSoundRequest& request, const SoundFolder& folder);
Result<TaughtSound> teach_sound_kinds(const TeachSoundRequest& request, const SoundFolder& folder);

}  // namespace verge::audio
