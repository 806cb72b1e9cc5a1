#include "audio/teach/teach_sound.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

#include "audio/features/sound_look.h"
#include "audio/recording/recording.h"
#include "audio/sound/sound_model.h"
#include "audio/teach/sound_files.h"
#include "base/crypto.h"
#include "base/disk.h"

namespace verge::audio {
namespace {

using std::filesystem::path;

bool is_sound_file(const path& file) {
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return ending == ".wav" || ending == ".flac" || ending == ".ogg" || ending == ".oga" || ending == ".opus" ||
         ending == ".mp3";
}

bool is_hidden(const path& file) {
  const std::string name = file.filename().string();
  return name.starts_with('.') || name.starts_with('_');
}

/// Sound files right in the folder, sorted.
std::vector<path> sound_files_in(const path& folder) {
  std::vector<path> files;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(folder, problem))
    if (entry.is_regular_file(problem) && is_sound_file(entry.path()) && !is_hidden(entry.path()))
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Status read_into(SoundFolder& folder, const std::vector<path>& files, const std::string& prefix, int label) {
  for (const path& file : files) {
    const std::string name = prefix + file.filename().string();
    auto read = read_recording(file, kLookRateHz, kTaughtHoursMax * 3600);
    if (!read) {
      folder.passed_over.push_back(fmt::format("{} was passed over: {}", name, read.error().message));
      continue;
    }
    folder.seconds += static_cast<double>(read->samples.size()) / kLookRateHz;
    if (folder.seconds > kTaughtHoursMax * 3600) {
      return Error{ErrorCode::limit,
                   fmt::format("the recordings are longer than {:g} hours together; take fewer", kTaughtHoursMax)};
    }
    if (!read->samples.empty()) folder.recordings.push_back({name, label, std::move(read->samples)});
  }
  return Done{};
}

}  // namespace

Result<SoundFolder> read_sound_folder(const path& where) {
  if (!std::filesystem::is_directory(where))
    return Error{ErrorCode::not_found, fmt::format("there is no folder {}", where.string())};
  SoundFolder folder;
  const auto files = sound_files_in(where);
  if (!files.empty()) {
    VERGE_CHECK(read_into(folder, files, "", 0));
  } else {
    std::vector<path> below;
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(where, problem))
      if (entry.is_directory(problem) && !is_hidden(entry.path()) && !sound_files_in(entry.path()).empty())
        below.push_back(entry.path());
    std::ranges::sort(below);
    for (const path& each : below) {
      const std::string label = each.filename().string();
      VERGE_CHECK(read_into(folder, sound_files_in(each), label + "/", static_cast<int>(folder.labels.size())));
      folder.labels.push_back(label);
    }
  }
  if (!folder.recordings.empty()) return folder;
  return Error{
      ErrorCode::invalid_argument,
      fmt::format(
          "no recording can be read in {}; put WAV, FLAC, Ogg or MP3 files there: normal sound right in it, or kinds "
          "of sound in a folder each{}",
          where.string(), folder.passed_over.empty() ? "" : "; " + folder.passed_over.front())};
}

void forget_sound_model(const TeachSoundRequest& request) {
  for (const char* file : {"card.json", "model.onnx"}) {
    std::error_code ignored;  // None may be there from before.
    std::filesystem::remove(request.target / file, ignored);
  }
}

Status write_sound_model(const TeachSoundRequest& request, const models::OnnxModel& model, models::ModelCard card) {
  const std::string bytes = models::to_bytes(model);
  card.digest = sha256_digest(bytes);
  card.name =
      request.name.empty() ? std::filesystem::weakly_canonical(request.target).filename().string() : request.name;
  VERGE_CHECK(write_file(request.target / "model.onnx", bytes));
  return write_file(request.target / "card.json", to_pretty_text(models::to_json(card)) + "\n");
}

models::ModelCard sound_card(const std::string& task, std::size_t pool, std::vector<std::string> labels) {
  models::ModelCard card;
  card.name = "sound";
  card.task = task;
  card.family = "audio";
  card.inputs = {{"look", inference::DataType::float32, {-1, static_cast<std::int64_t>(kLookNumbers)}}};
  const auto outputs = task == kClassTask ? static_cast<std::int64_t>(labels.size()) : 1;
  card.outputs = {{task == kClassTask ? "probabilities" : "score", inference::DataType::float32, {-1, outputs}}};
  card.labels = std::move(labels);
  card.audio = models::AudioInput{kLookRateHz};
  card.head = {{"kind", "sound-looks"}, {"pool", pool}};
  card.source = {{"trainer", "verge train audio"}};
  return card;
}

std::string moment_text(const TaughtRecording& recording, double at_s) {
  return fmt::format("{}, {}:{:04.1f}", recording.name, static_cast<int>(at_s / 60),
                     at_s - 60 * static_cast<int>(at_s / 60));
}

Result<TaughtSound> teach_sound(const TeachSoundRequest& request) {
  if (!(request.minutes >= 0.01 && request.minutes <= 1440))
    return Error{ErrorCode::invalid_argument, fmt::format("{:g} minutes; give 0.01..1440", request.minutes)};
  if (!(request.false_alarms_per_day >= 0.01 && request.false_alarms_per_day <= 1000))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{:g} false alarms a day; give 0.01..1000", request.false_alarms_per_day)};
  if (!request.task.empty() && request.task != "anomaly" && request.task != "classify")
    return Error{ErrorCode::invalid_argument,
                 fmt::format("there is no task \"{}\"; give anomaly or classify", request.task)};
  VERGE_TRY(SoundFolder folder, read_sound_folder(request.folder));
  const std::string task = !request.task.empty() ? request.task : folder.labels.size() > 1 ? "classify" : "anomaly";
  if (task == "classify" && folder.labels.size() < 2) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{} has no two folders with recordings; kinds of sound lie in a folder each",
                             request.folder.string())};
  }
  if (request.tell) request.tell(fmt::format("{} recordings, {:.0f} s", folder.recordings.size(), folder.seconds));
  std::error_code problem;
  std::filesystem::create_directories(request.target, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("make the folder {}: {}", request.target.string(), problem.message())};
  return task == "classify" ? teach_sound_kinds(request, folder) : teach_normal_sound(request, folder);
}

}  // namespace verge::audio
