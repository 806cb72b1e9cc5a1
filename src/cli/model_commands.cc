// train, model: from recordings and foreign files to model folders.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "audio/teach/teach_sound.h"
#include "base/disk.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/quantize_model.h"
#include "cli/runtime_layers.h"
#include "cli/teach_vision.h"
#include "models/catalogue.h"
#include "models/import.h"
#include "models/inspect.h"
#include "telemetry/teach/teach.h"
#include "training/table.h"
#include "vision/teach/teach.h"

namespace verge::cli {
namespace {

struct ModelArguments {
  std::filesystem::path source, target, card;
  telemetry::TeachOptions teach;
  VisionLesson lesson;
  audio::TeachSoundRequest sound;
  QuantizeRequest smaller;
};

// ---- train ----

void print_taught(const telemetry::TeachResult& result, const std::filesystem::path& folder) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t at = 0; at < result.trials.size(); ++at) {
    const auto& trial = result.trials[at];
    const auto* baseline = at < result.baseline_trials.size() ? &result.baseline_trials[at] : nullptr;
    rows.push_back({trial.kind, fmt::format("{} of {}", trial.found, trial.tried),
                    trial.found > 0 ? fmt::format("{:.1f}", trial.delay_s) : "-",
                    baseline == nullptr ? "-" : fmt::format("{} of {}", baseline->found, baseline->tried)});
  }
  fmt::print("\nSensors: {}\nOne row every {:.3g} s, {} rows in a window, threshold {:.3f}\n\n",
             fmt::join(result.channels, ", "), result.period_s, result.window_rows, result.threshold);
  fmt::print("{}\n", to_table({"FAULT TRIED", "FOUND", "AFTER S", "FOUND BY PLAIN LIMITS"}, rows));
  for (const auto& decision : result.decisions) fmt::print("- {}\n", decision);
  fmt::print("\nWritten: {}\nReport:  {}\n", (folder / "model.onnx").string(), (folder / "report.html").string());
}

Status train_telemetry(const Context& context, const ModelArguments& arguments) {
  const bool is_table = context.form == OutputForm::table;
  if (is_table) fmt::print("reading {}\n", arguments.source.string());
  std::fflush(stdout);
  auto read = training::read_csv(arguments.source);
  if (!read && read.error().code == ErrorCode::invalid_argument)
    read.error().message.insert(0, "I cannot learn this, because ");
  VERGE_TRY(const auto table, std::move(read));
  if (is_table) fmt::print("{} rows of {} sensors\n", table.row_count(), table.column_count());
  std::error_code error;
  std::filesystem::create_directories(arguments.target, error);
  if (error)
    return Error{ErrorCode::unavailable,
                 fmt::format("make the folder {}: {}", arguments.target.string(), error.message())};
  VERGE_TRY(const auto result, telemetry::teach(table, arguments.target, arguments.teach, [&](std::string_view step) {
              if (!is_table) return;
              fmt::print("{}\n", step);
              std::fflush(stdout);
            }));
  if (is_table) {
    print_taught(result, arguments.target);
  } else {
    context.print(telemetry::to_json(result));
  }
  return Done{};
}

/// What was taught, of either family.
template <class Outcome>
Status print_outcome(const Context& context, const ModelArguments& arguments, const Outcome& outcome) {
  if (context.form == OutputForm::json) {
    auto json = outcome.summary;
    json["folder"] = arguments.target.string();
    context.print(json);
  } else {
    fmt::print("{}\n", to_table(outcome.headings, outcome.rows));
    for (const auto& note : outcome.notes) fmt::print("- {}\n", note);
    if (outcome.is_learned) fmt::print("\n{}\n", outcome.verdict);
    if (outcome.is_learned) fmt::print("\nWritten: {}", (arguments.target / "model.onnx").string());
    fmt::print("\nReport:  {}\n", (arguments.target / "report.html").string());
  }
  if (!outcome.is_learned) return Error{ErrorCode::invalid_argument, outcome.verdict};
  return Done{};
}

/// Progress goes to stderr, so that stdout is the result alone.
Status train_vision(const Context& context, const ModelArguments& arguments) {
  VERGE_TRY(const auto outcome, teach_vision(arguments.lesson, arguments.target, context.home,
                                             [](const std::string& line) { fmt::print(stderr, "{}\n", line); }));
  return print_outcome(context, arguments, outcome);
}

void add_train_vision(CLI::App& train, Context& context, const std::shared_ptr<ModelArguments>& arguments) {
  auto* vision = train.add_subcommand("vision", "A model from your own pictures, sorted into folders");
  VisionLesson& lesson = arguments->lesson;
  vision->add_option("folder", lesson.folder, "FOLDER/LABEL/picture.jpg: one folder of pictures for each label")
      ->required()
      ->check(CLI::ExistingDirectory);
  vision
      ->add_option("--out", arguments->target,
                   "Folder for model.onnx, card.json, report.html; kept work makes it "
                   "resumable")
      ->required();
  vision->add_option("--task", lesson.task, "classify, anomaly or template; default: as the folder's form says");
  vision->add_option("--objects", lesson.objects, "Learn from objects with this label that a detector finds: person");
  vision
      ->add_option("--region", lesson.region,
                   "Part of an object's box: whole, top (its upper half), head (its upper "
                   "third)")
      ->capture_default_str();
  vision
      ->add_option("--align", lesson.align,
                   "Task anomaly: whether pictures are laid over a good one first, so that a part is compared where it "
                   "lies: auto (when that clearly helps), on, off")
      ->capture_default_str();
  vision->add_option("--positive", lesson.positive, "The label that must not be missed, for the costs");
  vision->add_option("--cost-miss", lesson.cost_miss, "Of a positive that is not said")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  vision->add_option("--cost-false-alarm", lesson.cost_false_alarm, "Of a positive that is none")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  vision->add_option("--backbone", lesson.backbone, "Detector to learn on: a name of the catalogue, or a model folder")
      ->capture_default_str();
  vision
      ->add_option("--size", lesson.side,
                   "Pixels of the model's square input; default: 320, of objects 192; of a "
                   "template its longer side, default: the picture's")
      ->check(CLI::Range(32, 2048));
  vision->add_option("--minutes", lesson.minutes, "Then it makes do with what it has, 0.01..1440")
      ->check(CLI::Range(0.01, 1440.0))
      ->capture_default_str();
  vision->add_option("--seed", lesson.seed, "Equal seeds and pictures give equal files")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  vision->footer(
      "Examples:\n  verge train vision gate/ --out models/gate\n"
      "  verge train vision hats/ --out models/hats --objects person --region head --positive bare --cost-miss 10\n"
      "  verge train vision board/ --out models/board --task template");
  vision->callback([&context, arguments] { context.status = train_vision(context, *arguments); });
}

Status train_audio(const Context& context, ModelArguments& arguments) {
  VERGE_CHECK(find_engine());
  auto& request = arguments.sound;
  request.target = arguments.target;
  request.tell = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  VERGE_TRY(const auto outcome, audio::teach_sound(request));
  return print_outcome(context, arguments, outcome);
}

void add_train_audio(CLI::App& train, Context& context, const std::shared_ptr<ModelArguments>& arguments) {
  auto* audio = train.add_subcommand("audio", "A model of what a place sounds like, from your own recordings");
  auto& request = arguments->sound;
  audio
      ->add_option(
          "folder", request.folder,
          "Normal sound alone (FOLDER/recording.wav, 5 to 30 minutes), or kinds of sound (FOLDER/LABEL/clip.wav)")
      ->required()
      ->check(CLI::ExistingDirectory);
  audio->add_option("--out", arguments->target, "Folder for model.onnx, card.json, report.html")->required();
  audio->add_option("--task", request.task, "anomaly or classify; default: as the folder's form says");
  audio
      ->add_option("--false-alarms-per-day", request.false_alarms_per_day,
                   "The promise of an anomaly model, 0.01..1000")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  audio->add_option("--minutes", request.minutes, "Then it makes do with what it has, 0.01..1440")
      ->check(CLI::Range(0.01, 1440.0))
      ->capture_default_str();
  audio->add_option("--seed", request.seed, "Equal seeds and recordings give equal files")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  audio->footer(
      "Examples:\n  verge train audio pump-normal/ --out models/pump --false-alarms-per-day 0.5\n"
      "  verge train audio sounds/ --out models/sounds      # sounds/glass, sounds/alarm, sounds/background");
  audio->callback([&context, arguments] { context.status = train_audio(context, *arguments); });
}

// ---- model ----

Status print_import(const Context& context, const models::ImportReport& report, const std::filesystem::path& target) {
  if (context.form == OutputForm::json) {
    context.print({{"folder", target.string()},
                   {"format", report.format},
                   {"nodes_before", report.nodes_before},
                   {"nodes_after", report.nodes_after},
                   {"was_run", report.was_run},
                   {"card", models::to_json(report.card)}});
    return Done{};
  }
  fmt::print("{} ({}): {} operators became {}{}\nWritten: {}\n", report.card.name, report.format, report.nodes_before,
             report.nodes_after, report.was_run ? ", run once on zeros" : "", target.string());
  return Done{};
}

Status import_model(const Context& context, const ModelArguments& arguments) {
  models::ImportOptions options;
  options.target = arguments.target;
  if (!arguments.card.empty()) {
    VERGE_TRY(const auto text, read_file(arguments.card, 4U << 20U));
    auto card = parse_json(text);
    if (!card) return std::move(card).error().within("read " + arguments.card.string());
    options.card = *std::move(card);
  }
  find_onnxruntime();
  // A name of the catalogue is imported with the card that comes with the product.
  const auto* known = models::find_in_catalogue(arguments.source.string());
  if (known != nullptr && !std::filesystem::exists(arguments.source)) {
    VERGE_TRY(const auto report,
              models::import_from_catalogue(known->name, find_cache() / known->folder, arguments.target));
    return print_import(context, report, arguments.target);
  }
  if (!std::filesystem::exists(arguments.source)) {
    return Error{ErrorCode::not_found,
                 fmt::format("there is no file {} and no model of that name in the catalogue; `verge model list` shows "
                             "the names",
                             arguments.source.string())};
  }
  VERGE_TRY(const auto report, models::import_model(arguments.source, options));
  return print_import(context, report, arguments.target);
}

Status inspect_model(const Context& context, const ModelArguments& arguments) {
  const bool is_folder = std::filesystem::is_directory(arguments.source);
  std::filesystem::path file = arguments.source;
  Json card;
  if (is_folder) {
    VERGE_TRY(const auto known, models::load_card(arguments.source / "card.json"));
    file = arguments.source / known.file;
    card = models::to_json(known);
  }
  VERGE_TRY(const auto inspection, models::inspect_file(file));
  if (context.form == OutputForm::json) {
    auto json = models::to_json(inspection);
    if (is_folder) json["card"] = card;
    context.print(json);
    return Done{};
  }
  fmt::print("{}", models::to_text(inspection));
  if (is_folder) fmt::print("\ncard.json\n{}\n", to_pretty_text(card));
  return Done{};
}

Status quantize(const Context& context, const ModelArguments& arguments) {
  find_onnxruntime();
  VERGE_TRY(const auto outcome,
            quantize_model(arguments.smaller, [](const std::string& line) { fmt::print(stderr, "{}\n", line); }));
  const Json json = to_json(outcome);
  if (context.form == OutputForm::json) {
    context.print(json);
    return Done{};
  }
  const Agreement& judged = outcome.judged;
  fmt::print("{}\n", to_table({"", "FLOAT32", "8 BITS"},
                              {{"answers", std::to_string(judged.whole_answers), std::to_string(judged.small_answers)},
                               {"processor ms a picture", fmt::format("{:.1f}", judged.whole_cpu_ms),
                                fmt::format("{:.1f}", judged.small_cpu_ms)},
                               {"MB", fmt::format("{:.1f}", static_cast<double>(outcome.whole_bytes) / 1e6),
                                fmt::format("{:.1f}", static_cast<double>(outcome.small_bytes) / 1e6)}}));
  fmt::print(
      "Of the float32 model's answers about {} unseen pictures {:.1f} % were found again; {:.1f} % of the 8-bit "
      "model's were also the float32 one's.\n{} of {} layers stayed float32; weights of the others have {} "
      "bits.\nWritten: {}\n",
      judged.pictures, 100 * judged.found_share(), 100 * judged.precision(), outcome.float_layers.size(),
      outcome.layers, outcome.weight_bits, (arguments.smaller.target / "model.onnx").string());
  return Done{};
}

std::vector<std::filesystem::path> model_folders(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename() == "card.json") folders.push_back(at->path().parent_path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// What comes with the product, and what lies in VERGE_HOME/models.
Status list_models(const Context& context) {
  Json models = Json::array();
  for (const auto& entry : models::catalogue()) {
    if (entry.kind != "model") continue;
    std::string licences;
    for (const auto& source : entry.sources) {
      if (licences.find(source.licence) == std::string::npos)
        licences += (licences.empty() ? "" : ", ") + source.licence;
    }
    models.push_back({{"name", entry.name}, {"where", "catalogue"}, {"summary", entry.summary}, {"licence", licences}});
  }
  for (const auto& folder : model_folders(context.home.models())) {
    const auto card = models::load_card(folder / "card.json");
    if (!card) continue;
    models.push_back(
        {{"name", card->name}, {"where", folder.string()}, {"summary", card->task}, {"licence", card->licence}});
  }
  context.print_list(models, {{"MODEL", "name"}, {"SUMMARY", "summary"}, {"LICENCE", "licence"}, {"WHERE", "where"}});
  return Done{};
}

}  // namespace

void add_model_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<ModelArguments>();

  auto* train =
      app.add_subcommand("train", "Teach a model from your own recordings")->group("Models")->require_subcommand(1);
  train->footer(
      "Examples:\n  verge train telemetry normal-week.csv --out models/pump --false-alarms-per-week 1\n"
      "  verge train vision gate/ --out models/gate\n  verge train audio pump-normal/ --out models/pump");
  add_train_vision(*train, context, arguments);
  add_train_audio(*train, context, arguments);
  auto* telemetry = train->add_subcommand("telemetry", "An anomaly model from a recorded normal period (CSV)");
  telemetry->add_option("file", arguments->source, "CSV: a time column and numeric columns")
      ->required()
      ->check(CLI::ExistingFile);
  telemetry->add_option("--out", arguments->target, "Folder for model.onnx, card.json, report.html")->required();
  telemetry->add_option("--false-alarms-per-week", arguments->teach.false_alarms_per_week, "The promise, 0.01..1000")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  telemetry->add_option("--window", arguments->teach.window_s, "Seconds that one score looks at, 2..86400")
      ->check(CLI::Range(2.0, 86'400.0))
      ->capture_default_str();
  telemetry->footer("Example:\n  verge train telemetry normal-week.csv --out models/pump");
  telemetry->callback([&context, arguments] { context.status = train_telemetry(context, *arguments); });

  auto* model = app.add_subcommand("model", "Model files: import, make smaller, look inside")
                    ->group("Models")
                    ->require_subcommand(1);
  model->footer(
      "Examples:\n  verge model list\n  verge model import nanodet.json --out models/people --card people.card.json\n"
      "  verge model inspect models/people -o json");
  auto* import = model->add_subcommand("import", "Bring a TensorFlow.js or ONNX model into a model folder");
  import->add_option("source", arguments->source, "Model file (.json, .onnx), or a name of the catalogue")->required();
  import->add_option("--out", arguments->target, "The model folder")->required();
  import->add_option("--card", arguments->card, "What you know of it, as JSON: task, labels, picture, head")
      ->check(CLI::ExistingFile);
  import->callback([&context, arguments] { context.status = import_model(context, *arguments);
});
auto* smaller = model->add_subcommand("quantize", "A detector or classifier in 8 bits, calibrated on your pictures");
smaller->add_option("folder", arguments->smaller.source, "The model folder")->required()->check(CLI::ExistingDirectory);
smaller
    ->add_option("--calibration", arguments->smaller.pictures,
                 "Folder of pictures of what the camera sees; half calibrate, the others choose and judge")
    ->required()
    ->check(CLI::ExistingDirectory);
smaller->add_option("--out", arguments->smaller.target, "The new model folder")->required();
smaller
    ->add_option("--agree", arguments->smaller.agree_min,
                 "Of the float32 model's answers the small one must find, 0..1; layers stay float32 until it does")
    ->check(CLI::Range(0.0, 1.0))
    ->capture_default_str();
smaller
    ->add_option("--precision", arguments->smaller.precision_min,
                 "Of the small model's answers the float32 one must have given, 0..1")
    ->check(CLI::Range(0.0, 1.0))
    ->capture_default_str();
smaller
    ->add_option("--weight-bits", arguments->smaller.weight_bits,
                 "7: fast on every processor; 8: nearer to float32, slower where the device's processor has no VNNI")
    ->check(CLI::IsMember({7, 8}))
    ->capture_default_str();
smaller->callback([&context, arguments] { context.status = quantize(context, *arguments); });
auto* inspect = model->add_subcommand("inspect", "Inputs, outputs, operators, cost");
inspect->add_option("path", arguments->source, "ONNX file or model folder")->required()->check(CLI::ExistingPath);
inspect->callback([&context, arguments] { context.status = inspect_model(context, *arguments); });
model->add_subcommand("list", "Models of the catalogue and of this machine")->callback([&context] {
  context.status = list_models(context);
});
}  // namespace verge::cli

}  // namespace verge::cli
