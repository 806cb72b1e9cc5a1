#include "telemetry/teach/teach.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/time.h"
#include "models/model_card.h"
#include "telemetry/teach/relations.h"
#include "training/report.h"
#include "training/tail.h"

namespace verge::telemetry {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

constexpr double kWeekSeconds = 7 * 86'400;
constexpr std::size_t kWindowsMin = 20;  // So many windows must fit into the data for a fit and an honest measurement.
constexpr std::size_t kScoresMin = 100;  // Unseen scores that the threshold's tail needs.
constexpr double kGapPeriods = 10;       // A hole of more than this many periods splits the data.
constexpr double kMissingShareMax = 0.2;
constexpr int kTrialsPerKind = 24;
constexpr double kBaselineSpreads = 4;

Error cannot_learn(const std::string& because) {
  return {ErrorCode::invalid_argument, "I cannot learn this, because " + because};
}

/// The part of the data that is learned from, complete and evenly spaced.
struct Learnable {
  std::vector<std::string> channels;
  MatrixXd rows;  ///< [rows, channels]
  double period_s = 0;
  RelationsOptions window;
  std::vector<std::string> decisions;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double period_of(const training::Table& table) {
  std::vector<double> steps_s;
  for (std::size_t row = 1; row < table.row_count(); ++row) {
    steps_s.push_back(static_cast<double>(table.times_us[row] - table.times_us[row - 1]) / 1e6);
  }
  return median(std::move(steps_s));
}

/// The longest stretch without a long hole: a window must not look across one.
std::pair<std::size_t, std::size_t> longest_stretch(const training::Table& table, double period_s) {
  std::pair<std::size_t, std::size_t> best{0, 0};
  std::size_t begin = 0;
  for (std::size_t row = 1; row <= table.row_count(); ++row) {
    const bool ends = row == table.row_count() ||
                      static_cast<double>(table.times_us[row] - table.times_us[row - 1]) / 1e6 > kGapPeriods * period_s;
    if (!ends) continue;
    if (row - begin > best.second - best.first) best = {begin, row};
    begin = row;
  }
  return best;
}

bool is_constant(const std::vector<float>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return !(*high > *low);
}

/// Missing readings take the last one; leading ones the first.
std::vector<float> filled(const std::vector<float>& values) {
  std::vector<float> result = values;
  const auto first = std::find_if(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  float last = first != values.end() ? *first : 0.0F;
  for (float& value : result) {
    if (std::isfinite(value)) {
      last = value;
    } else {
      value = last;
    }
  }
  return result;
}

Status check_options(const TeachOptions& options) {
  const auto is_within = [](double value, double low, double high) { return value >= low && value <= high; };
  if (!is_within(options.false_alarms_per_week, 0.01, 1000))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{:g} false alarms a week; give 0.01..1000", options.false_alarms_per_week)};
  if (!is_within(options.window_s, 2, 86'400))
    return Error{ErrorCode::invalid_argument, fmt::format("a window of {:g} s; give 2..86400", options.window_s)};
  if (!is_within(options.fit_share, 0.3, 0.9))
    return Error{ErrorCode::invalid_argument, fmt::format("a fit share of {:g}; give 0.3..0.9", options.fit_share)};
  return Done{};
}

Result<RelationsOptions> choose_window(double period_s, const TeachOptions& options) {
  RelationsOptions chosen;
  const double rows = options.window_s / period_s;
  chosen.block_rows = static_cast<std::size_t>(std::lround(rows / static_cast<double>(chosen.blocks)));
  if (chosen.block_rows < 2) {
    return cannot_learn(
        fmt::format("a window of {:.3g} s holds only {:.0f} rows; give a longer one (--window at least {:.3g}).",
                    options.window_s, rows, period_s * 2 * static_cast<double>(chosen.blocks)));
  }
  return chosen;
}

/// Enough for a fit and for measuring on the rest, which must give the tail its scores.
std::size_t rows_needed(const RelationsOptions& window, double fit_share) {
  const auto held_out = static_cast<double>(window.window_rows() + kScoresMin);
  return std::max(kWindowsMin * window.window_rows(), static_cast<std::size_t>(std::ceil(held_out / (1 - fit_share))));
}

Result<Learnable> look_at(const training::Table& table, const TeachOptions& options) {
  if (table.column_count() == 0) return cannot_learn("there is no column with numbers beside the time.");
  if (table.row_count() < 2) {
    const auto notes = table.notes.empty() ? "." : fmt::format(": {}", fmt::join(table.notes, " "));
    return cannot_learn((table.row_count() == 0 ? "there are no rows" : "there is only one row") + notes);
  }
  Learnable data;
  data.decisions = table.notes;
  data.period_s = period_of(table);
  const auto [begin, end] = longest_stretch(table, data.period_s);
  if (end - begin < table.row_count()) {
    data.decisions.push_back(
        fmt::format("There are holes in time; the longest stretch without one was used: {} of {} rows.", end - begin,
                    table.row_count()));
  }
  const auto stretch = table.rows(begin, end);

  std::vector<std::vector<float>> kept;
  for (std::size_t column = 0; column < stretch.column_count(); ++column) {
    const auto& values = stretch.columns[column];
    const auto missing = static_cast<double>(
        std::count_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); }));
    if (missing > kMissingShareMax * static_cast<double>(values.size())) {
      data.decisions.push_back(fmt::format("\"{}\" was left out: {:.0f} % of its readings are missing.",
                                           stretch.names[column], 100 * missing / static_cast<double>(values.size())));
      continue;
    }
    auto complete = filled(values);
    if (is_constant(complete)) {
      data.decisions.push_back(fmt::format("\"{}\" was left out: it never changes.", stretch.names[column]));
      continue;
    }
    data.channels.push_back(stretch.names[column]);
    kept.push_back(std::move(complete));
  }
  if (data.channels.empty())
    return cannot_learn(
        "no sensor changes: every column is constant or mostly missing. Record a period in which the machine works.");

  VERGE_TRY(data.window, choose_window(data.period_s, options));
  const auto rows_min = rows_needed(data.window, options.fit_share);
  if (stretch.row_count() < rows_min) {
    return cannot_learn(
        fmt::format("{:.0f} s of data without a hole are too short: at one row every {:.3g} s and a window of {:.0f} s "
                    "at least {:.0f} s are needed.",
                    static_cast<double>(stretch.row_count()) * data.period_s, data.period_s, options.window_s,
                    static_cast<double>(rows_min) * data.period_s));
  }
  if (data.channels.size() == 1)
    data.decisions.push_back(fmt::format("Only \"{}\" changes: it is judged by its own past alone.", data.channels[0]));
  data.rows.resize(static_cast<Index>(stretch.row_count()), static_cast<Index>(data.channels.size()));
  for (std::size_t column = 0; column < kept.size(); ++column) {
    for (std::size_t row = 0; row < kept[column].size(); ++row)
      data.rows(static_cast<Index>(row), static_cast<Index>(column)) = kept[column][row];
  }
  return data;
}

std::vector<float> scores_of(const Relations& relations, const MatrixXd& rows) {
  const auto window = static_cast<Index>(relations.options.window_rows());
  std::vector<float> scores;
  for (Index at = 0; at + window <= rows.rows(); ++at) {
    scores.push_back(static_cast<float>(score_window(relations, rows.middleRows(at, window)).value));
  }
  return scores;
}

/// Puts one fault into rows from `begin` on. Sizes are in spreads of the sensor on normal data.
void inject(MatrixXd& rows, Index begin, Index channel, int kind, double size, double period_s) {
  for (Index row = begin; row < rows.rows(); ++row) {
    const double age_s = static_cast<double>(row - begin) * period_s;
    double& value = rows(row, channel);
    switch (kind) {
      case 0:
        value += size;
        break;
      case 1:
        value += 2 * size * std::min(1.0, age_s / 40);
        break;
      case 2:
        value = rows(begin - 1, channel);
        break;
      default:
        value += size * std::sin(age_s / 6);
        break;
    }
  }
}

constexpr std::array<const char*, 4> kTrialKinds{"step", "drift", "stuck", "broken relation"};

/// Baseline: an alarm when any single sensor leaves its mean by more than four spreads.
bool baseline_exceeds(const Relations& relations, const MatrixXd& row) {
  return (((row.row(0) - relations.mean).array() / relations.spread.array()).abs() > kBaselineSpreads).any();
}

void run_trials(const Relations& relations, const MatrixXd& held_out, double threshold, double period_s,
                TeachResult& result) {
  const auto window = static_cast<Index>(relations.options.window_rows());
  const auto horizon = static_cast<Index>(std::lround(30 / period_s));
  const Index room = held_out.rows() - window - horizon - 2;
  for (int kind = 0; kind < static_cast<int>(kTrialKinds.size()); ++kind) {
    TrialResult ours{kTrialKinds[static_cast<std::size_t>(kind)], 0, 0, 0};
    TrialResult baseline = ours;
    std::vector<double> delays_s;
    for (int trial = 0; trial < kTrialsPerKind && room > 0; ++trial) {
      const Index from = room * trial / kTrialsPerKind;
      const Index channel = (trial * 5 + kind) % held_out.cols();
      const double size = (trial % 2 == 0 ? 1.0 : -1.0) * relations.spread(channel);
      MatrixXd rows = held_out.middleRows(from, window + horizon);
      inject(rows, window, channel, kind, size, period_s);
      ++ours.tried;
      ++baseline.tried;
      for (Index step = 1; step <= horizon; ++step) {
        if (score_window(relations, rows.middleRows(step, window)).value <= threshold) continue;
        ++ours.found;
        delays_s.push_back(static_cast<double>(step) * period_s);
        break;
      }
      for (Index step = 0; step < horizon; ++step) {
        if (!baseline_exceeds(relations, rows.middleRows(window + step, 1))) continue;
        ++baseline.found;
        break;
      }
    }
    if (!delays_s.empty()) ours.delay_s = median(std::move(delays_s));
    result.trials.push_back(ours);
    result.baseline_trials.push_back(baseline);
  }
}

models::ModelCard card_of(const TeachResult& result, const std::string& digest, const TeachOptions& options) {
  models::ModelCard card;
  card.name = "normal-relations";
  card.task = "anomaly-score";
  card.family = "telemetry";
  card.digest = digest;
  const auto channels = static_cast<std::int64_t>(result.channels.size());
  card.inputs = {{"window", inference::DataType::float32, {static_cast<std::int64_t>(result.window_rows), channels}}};
  card.outputs = {{"score", inference::DataType::float32, {1}},
                  {"contributions", inference::DataType::float32, {channels}}};
  card.labels = result.channels;
  card.head = {{"kind", "window-score"}, {"period_s", result.period_s}, {"window_rows", result.window_rows}};
  card.thresholds = {{"score", result.threshold}};
  card.licence = "LicenseRef-own-data";
  card.source = {{"trainer", "verge train telemetry"}, {"false_alarms_per_week", options.false_alarms_per_week}};
  Json found = Json::object();
  for (const auto& trial : result.trials)
    found[trial.kind] = {{"tried", trial.tried}, {"found", trial.found}, {"delay_s", trial.delay_s}};
  card.metrics = {{"injected_faults", found}};
  return card;
}

std::string report_of(const TeachResult& result, const training::Table& table,
                      const std::vector<float>& held_out_scores, const TeachOptions& options) {
  training::Report report("What was learned about this machine");
  report.paragraph(
      fmt::format("{} sensors, one reading every {:.3g} s, {} rows. A score looks at the newest {:.0f} s and says how "
                  "far the sensors are from what normally belongs "
                  "together; above {:.2f} it is an alarm.",
                  result.channels.size(), result.period_s, table.row_count(), options.window_s, result.threshold));
  report.heading("The score on data that training did not see");
  const auto held_out_s = static_cast<double>(held_out_scores.size()) * result.period_s;
  const auto above = std::count_if(held_out_scores.begin(), held_out_scores.end(),
                                   [&](float score) { return score > static_cast<float>(result.threshold); });
  report.chart("Score of each row; dashed: the alarm threshold", {{"score", held_out_scores}},
               static_cast<float>(result.threshold),
               to_iso8601(table.times_us.back() - static_cast<std::int64_t>(held_out_s * 1e6)),
               to_iso8601(table.times_us.back()));
  report.paragraph(
      fmt::format("{} of {} rows lie above it. The threshold is set for at most {:.3g} false alarms a week.", above,
                  held_out_scores.size(), options.false_alarms_per_week));
  report.heading("Would it notice a fault?");
  report.paragraph(
      "No faults were recorded, so some were put into the unseen data: one sensor each, as large as its usual spread. "
      "The plain rule beside it alarms when a "
      "sensor leaves its mean by four spreads.");
  std::vector<std::vector<std::string>> rows;
  for (std::size_t at = 0; at < result.trials.size(); ++at) {
    const auto& trial = result.trials[at];
    const auto& baseline = result.baseline_trials[at];
    rows.push_back({trial.kind, fmt::format("{} of {}", trial.found, trial.tried),
                    trial.found > 0 ? fmt::format("{:.1f} s", trial.delay_s) : "-",
                    fmt::format("{} of {}", baseline.found, baseline.tried)});
  }
  report.table({"Fault", "Noticed within 30 s", "Median delay", "Plain rule"}, rows);
  report.heading("What was decided, and why");
  report.list(result.decisions);
  report.heading("What it cannot see");
  report.list(
      {"States of the machine that were not recorded: a new product or speed looks like a fault until it is taught.",
       "Changes slower than the window that move all sensors together, as wear does."});
  return report.to_html();
}

}  // namespace

Result<TeachResult> teach(const training::Table& table, const std::filesystem::path& folder,
                          const TeachOptions& options, const std::function<void(std::string_view step)>& progress) {
  const auto tell = [&](std::string_view step) {
    if (progress) progress(step);
  };
  VERGE_CHECK(check_options(options));
  tell("looking at the data");
  VERGE_TRY(auto data, look_at(table, options));
  const auto& window = data.window;

  tell("learning how the sensors belong together");
  const auto fit_rows = static_cast<std::size_t>(options.fit_share * static_cast<double>(data.rows.rows()));
  const auto relations = fit_relations(data.rows, fit_rows, window);

  tell("measuring on data it has not seen");
  const MatrixXd held_out = data.rows.bottomRows(data.rows.rows() - static_cast<Index>(fit_rows));
  const auto scores = scores_of(relations, held_out);
  TeachResult result;
  result.channels = data.channels;
  result.period_s = data.period_s;
  result.window_rows = window.window_rows();
  result.decisions = std::move(data.decisions);
  const double probability = options.false_alarms_per_week * data.period_s / kWeekSeconds;
  result.threshold =
      training::threshold_for(training::fit_tail(scores), probability, *std::max_element(scores.begin(), scores.end()));
  result.decisions.push_back(fmt::format(
      "The first {:.0f} % of the rows were learned from, the rest measured the score.", 100 * options.fit_share));
  result.decisions.push_back(
      fmt::format("Threshold {:.2f}: the tail of {} unseen scores, extended to {:.3g} false alarms a week.",
                  result.threshold, scores.size(), options.false_alarms_per_week));

  tell("trying it against faults");
  run_trials(relations, held_out, result.threshold, data.period_s, result);

  tell("writing the model");
  VERGE_TRY(const auto model, to_onnx(relations, result.channels));
  const auto bytes = models::to_bytes(model);
  VERGE_CHECK(write_file(folder / "model.onnx", bytes));
  VERGE_CHECK(write_file(folder / "card.json",
                         to_pretty_text(models::to_json(card_of(result, sha256_digest(bytes), options))) + "\n"));
  VERGE_CHECK(write_file(folder / "report.html", report_of(result, table, scores, options)));
  return result;
}

Json to_json(const TeachResult& result) {
  Json trials = Json::array();
  for (std::size_t at = 0; at < result.trials.size(); ++at) {
    trials.push_back({{"kind", result.trials[at].kind},
                      {"tried", result.trials[at].tried},
                      {"found", result.trials[at].found},
                      {"delay_s", result.trials[at].delay_s},
                      {"plain_rule_found", result.baseline_trials[at].found}});
  }
  return {{"channels", result.channels},
          {"period_s", result.period_s},
          {"window_rows", result.window_rows},
          {"threshold", result.threshold},
          {"trials", trials},
          {"decisions", result.decisions}};
}

}  // namespace verge::telemetry
