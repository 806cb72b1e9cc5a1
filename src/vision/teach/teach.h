// vision/teach/teach.h -- from a folder of the user's own pictures to a model: one entry per task.
//
// A task writes model.onnx, card.json and report.html into the target folder; what it computed from pictures stays in
// target/work, so that a run that was broken off goes on there. When the data do not teach what is asked, only the
// report is written, which says why. Deterministic: equal pictures and options give equal files, unless time ran out.
// To add a task: a name in kTeachTasks, a case in guess_task() and teach().
// Threads: one call, one thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "pipeline/packet.h"
#include "vision/picture/crop.h"
#include "vision/teach/anomaly.h"

namespace verge::vision {

enum class TeachTask : std::uint8_t {
  classify,     ///< FOLDER/LABEL/picture.jpg, two labels or more: few_shot.h.
  anomaly,      ///< FOLDER/picture.jpg, or FOLDER/good/picture.jpg, all of good parts: anomaly.h.
  by_template,  ///< The same, few are enough, and FOLDER/defects with boxes in FOLDER/labels.jsonl: marked_folder.h.
};
inline constexpr std::array<std::string_view, 3> kTeachTasks{"classify", "anomaly",
                                                             "template"};  ///< In the order of TeachTask.
std::optional<TeachTask> find_teach_task(std::string_view name);
/// Whether it learns on a detector's trunk.
constexpr bool needs_backbone(TeachTask task) { return task != TeachTask::by_template; }
/// What the folder's form asks for. Errors: not_found, invalid_argument saying which forms there are.
Result<TeachTask> guess_task(const std::filesystem::path& folder);

struct TeachRequest {
  std::filesystem::path folder, target;
  std::string name;                ///< Of the model, in its card; empty: the target's.
  std::filesystem::path backbone;  ///< Folder of the detector whose trunk is used, and that finds objects.
  std::uint64_t seed = 1;
  double minutes = 30;  ///< Then it makes do with what it has, 0.01..1440.
  int side = 0;         ///< Pixels of the model's square input, multiples of 32; of a template its longer side; 0: by
                        ///< the task.
  std::string objects;  ///< Learn from the objects with this label that the detector finds; empty: whole pictures.
  BoxPart region = BoxPart::whole;           ///< Of an object's box.
  AlignParts align = AlignParts::automatic;  ///< Of the task anomaly.
  std::string positive;                      ///< The label that must not be missed; empty: none.
  double cost_miss = 1, cost_false_alarm = 1;
  /// A decoded picture file. Errors: unavailable when no file can be read here; others: this file is passed over.
  std::function<Result<std::shared_ptr<pipeline::Frame>>(const std::filesystem::path& file)> read;
  std::function<void(const std::string& line)> tell;  ///< Progress; may be empty.
};

struct TeachOutcome {
  bool is_learned = false;            ///< False: the data do not teach it; there is a report, and no model.
  std::string verdict;                ///< One sentence.
  std::vector<std::string> headings;  ///< Of a table for the terminal.
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> notes;  ///< Warnings and decisions, in sentences.
  Json summary = Json::object();   ///< All of it, for programs.
};

/// Errors: invalid_argument (folder or option; names what to change), timeout (not even one look at each picture was
/// possible; run again to go on), those of models, pictures and disk.
Result<TeachOutcome> teach(TeachTask task, const TeachRequest& request);

/// How much of the time is gone. Threads: use from anywhere.
class TeachTime {
 public:
  explicit TeachTime(double minutes) : seconds_(minutes * 60) {}
  double elapsed_s() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  /// Whether this share of the time is over.
  bool is_over(double share = 1) const { return elapsed_s() > share * seconds_; }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double seconds_;
};

/// The task classify. Errors: as teach().
Result<TeachOutcome> teach_classifier(const TeachRequest& request);

/// The task anomaly. Errors: as teach().
Result<TeachOutcome> teach_normal(const TeachRequest& request);

/// The task template. Errors: as teach().
Result<TeachOutcome> teach_template(const TeachRequest& request);

}  // namespace verge::vision
