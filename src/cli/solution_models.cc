#include "cli/solution_models.h"

#include <algorithm>
#include <fmt/format.h>

#include "audio/simulated/machines.h"
#include "audio/teach/heard_picture.h"
#include "audio/teach/teach_sound.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/process.h"
#include "cli/content_digest.h"
#include "cli/teach_vision.h"
#include "models/import.h"
#include "telemetry/teach/teach.h"
#include "training/table.h"
#include "vision/teach/teach.h"

namespace verge::cli {
namespace {

constexpr std::chrono::minutes kRecordTimeout{10};

using std::filesystem::path;

/// What goes into a model besides its recipe: its files (with a model file's neighbours, which may be its weights) and
/// the programs that make it.
Result<std::string> key_of(const ModelRecipe& recipe) {
  ContentDigest digest;
  digest.add(to_text(recipe.original));
  digest.add(to_text(recipe.card));
  for (const auto& file : recipe.files) {
    const auto tree = recipe.kind == ModelRecipe::Kind::import ? file.parent_path() : file;
    VERGE_CHECK(digest.add_tree(file.filename().string(), tree));
  }
  if (recipe.kind != ModelRecipe::Kind::copy) VERGE_CHECK(digest.add_tree("verge", "/proc/self/exe"));
  if (recipe.is_recorded) VERGE_CHECK(digest.add_tree("verge-infer", program_folder() / "verge-infer"));
  return digest.short_hex();
}

Status copy_files(const ModelRecipe& recipe, const path& target) {
  for (const auto& file : recipe.files) {
    std::error_code error;
    std::filesystem::copy(file, target / file.filename(), std::filesystem::copy_options::recursive, error);
    if (error)
      return Error{ErrorCode::unavailable,
                   fmt::format("copy {} to {}: {}", file.string(), target.string(), error.message())};
  }
  return Done{};
}

Status import_file(const ModelRecipe& recipe, const path& target) {
  models::ImportOptions options;
  options.target = target;
  options.card = recipe.card;
  VERGE_CHECK(models::import_model(recipe.files.front(), options));
  return Done{};
}

/// Where a recording lies until it was learned from; gone at the end of the scope.
struct Recording {
  path folder;
  explicit Recording(const path& target) : folder(target.string() + ".record") {}
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
};

void tell_recording(const ModelRecipe& recipe, const Progress& progress) {
  progress(fmt::format("model {}: recording with {}", recipe.name, recipe.files.front().filename().string()));
}

Status train_telemetry(const ModelRecipe& recipe, const path& target, const Progress& progress) {
  const Recording recording(target);
  tell_recording(recipe, progress);
  VERGE_TRY(const auto csv, record_table(recipe.files.front(), recording.folder));
  VERGE_TRY(const auto table, training::read_csv(csv));
  progress(fmt::format("model {}: learning from {} rows", recipe.name, table.row_count()));
  telemetry::TeachOptions options;
  options.false_alarms_per_week = recipe.false_alarms_per_week;
  options.window_s = recipe.window_s;
  VERGE_CHECK(telemetry::teach(table, target, options));
  return Done{};
}

Status train_vision(const ModelRecipe& recipe, const path& target, const Home& home, const Progress& progress) {
  const Recording recording(target);
  VisionLesson lesson = *recipe.lesson;
  if (recipe.is_recorded) {
    tell_recording(recipe, progress);
    VERGE_TRY(lesson.folder, record_pictures(recipe.files.front(), recording.folder));
  }
  VERGE_TRY(const auto outcome, teach_vision(lesson, target, home, [&](const std::string& line) {
              progress(fmt::format("model {}: {}", recipe.name, line));
            }));
  if (!outcome.is_learned) return Error{ErrorCode::invalid_argument, outcome.verdict};
  std::error_code ignored;
  std::filesystem::remove_all(target / "work", ignored);  // Not into images.
  return Done{};
}

/// Of one sound three minutes of normal sound, of several a folder of clips each.
Status simulate_sounds(const std::vector<std::string>& sounds, const path& folder) {
  constexpr int kClips = 12;
  const bool is_one = sounds.size() == 1;
  for (const auto& sound : sounds) {
    const path target = is_one ? folder : folder / sound;
    std::error_code problem;
    std::filesystem::create_directories(target, problem);
    for (int clip = 0; clip < (is_one ? 1 : kClips); ++clip) {
      VERGE_TRY(const auto samples,
                audio::simulated::machine_sound(sound, is_one ? 180 : 5, 1000 + static_cast<std::uint64_t>(clip)));
      VERGE_CHECK(write_file(target / fmt::format("{:02}.wav", clip), audio::audible_wav(samples, 16'000)));
    }
  }
  return Done{};
}

Status train_audio(const ModelRecipe& recipe, const path& target, const Progress& progress) {
  VERGE_CHECK(find_engine());
  const Recording recording(target);
  audio::TeachSoundRequest request = *recipe.sound;
  request.target = target;
  request.name = recipe.name;
  if (!recipe.simulated.empty()) {
    VERGE_CHECK(simulate_sounds(recipe.simulated, recording.folder));
    request.folder = recording.folder;
  }
  request.tell = [&](const std::string& line) { progress(fmt::format("model {}: {}", recipe.name, line)); };
  VERGE_TRY(const auto outcome, audio::teach_sound(request));
  if (!outcome.is_learned) return Error{ErrorCode::invalid_argument, outcome.verdict};
  return Done{};
}

Status make_model(const ModelRecipe& recipe, const path& target, const Home& home, const Progress& progress) {
  switch (recipe.kind) {
    case ModelRecipe::Kind::catalogue:
      VERGE_CHECK(models::import_from_catalogue(recipe.catalogue_name, recipe.files.front(), target));
      return Done{};
    case ModelRecipe::Kind::import:
      return import_file(recipe, target);
    case ModelRecipe::Kind::copy:
      return copy_files(recipe, target);
    case ModelRecipe::Kind::train:
      if (recipe.sound) return train_audio(recipe, target, progress);
      return recipe.lesson ? train_vision(recipe, target, home, progress) : train_telemetry(recipe, target, progress);
  }
  return Done{};
}

/// A model's folder appears whole or not at all.
Status make_in_place(const ModelRecipe& recipe, const path& target, const Home& home, const Progress& progress) {
  const path partial = target.string() + ".partial";
  std::error_code error;
  std::filesystem::remove_all(partial, error);
  std::filesystem::create_directories(partial, error);
  if (error)
    return Error{ErrorCode::unavailable, fmt::format("make the folder {}: {}", partial.string(), error.message())};
  auto made = make_model(recipe, partial, home, progress);
  if (made) {
    std::filesystem::rename(partial, target, error);
    if (!error) return Done{};
    made = Error{ErrorCode::unavailable,
                 fmt::format("move {} to {}: {}", partial.string(), target.string(), error.message())};
  }
  std::filesystem::remove_all(partial, error);
  return std::move(made).error().within(fmt::format("make model \"{}\"", recipe.name));
}

Status record(const path& pipeline, const path& work) {
  std::error_code error;
  std::filesystem::remove_all(work, error);
  std::filesystem::create_directories(work, error);
  std::filesystem::copy(pipeline, work / pipeline.filename(), error);
  if (error)
    return Error{ErrorCode::unavailable,
                 fmt::format("copy {} to {}: {}", pipeline.string(), work.string(), error.message())};

  const auto program = program_folder() / "verge-infer";
  VERGE_TRY(const auto output, run_process({.arguments = {program.string(), "--pipeline",
                                                          (work / pipeline.filename()).string(), "--metrics", "off"},
                                            .folder = work},
                                           kRecordTimeout));
  if (output.exit_code == 0) return Done{};
  const auto from = output.output.size() > 1000 ? output.output.size() - 1000 : 0;
  return Error{ErrorCode::invalid_argument,
               fmt::format("record with {}: it ended with exit code {}: {}", pipeline.string(), output.exit_code,
                           output.output.substr(from))};
}

/// What a recording left behind.
Result<path> the_only_one(const path& pipeline, const path& work, std::string_view what, std::string_view sink,
                          bool (*is_wanted)(const std::filesystem::directory_entry& entry)) {
  std::vector<path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(work, error)) {
    if (is_wanted(entry)) found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  return Error{ErrorCode::invalid_argument,
               fmt::format("record with {}: it wrote {} {}, one is needed; end the pipeline with one sink {}",
                           pipeline.string(), found.size(), what, sink)};
}

void drop_old_models(const path& folder) {
  std::vector<std::pair<std::filesystem::file_time_type, path>> made;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    made.emplace_back(entry.last_write_time(error), entry.path());
  std::sort(made.rbegin(), made.rend());
  for (std::size_t at = kMadeModelsMax; at < made.size(); ++at) std::filesystem::remove_all(made[at].second, error);
}

}  // namespace

Result<std::map<std::string, path>> make_models(const Solution& solution, const Home& home, const Progress& progress) {
  const auto folder = home.models() / "made";
  std::map<std::string, path> made;
  for (const auto& recipe : solution.models) {
    VERGE_TRY(const auto key, key_of(recipe));
    const auto target = folder / key;
    std::error_code ignored;
    if (!std::filesystem::exists(target)) {
      progress(fmt::format("model {}: making it", recipe.name));
      VERGE_CHECK(make_in_place(recipe, target, home, progress));
    }
    std::filesystem::last_write_time(target, std::filesystem::file_time_type::clock::now(), ignored);
    made[recipe.name] = target;
  }
  drop_old_models(folder);
  return made;
}

Result<path> record_table(const path& pipeline, const path& work) {
  VERGE_CHECK(record(pipeline, work));
  return the_only_one(pipeline, work, "CSV files", "csv",
                      [](const auto& entry) { return entry.path().extension() == ".csv"; });
}

Result<path> record_pictures(const path& pipeline, const path& work) {
  VERGE_CHECK(record(pipeline, work));
  return the_only_one(pipeline, work, "folders", "pictures", [](const auto& entry) { return entry.is_directory(); });
}

}  // namespace verge::cli
