#include "telemetry/add_stages.h"

#include <cmath>

#include "telemetry/csv_sink.h"
#include "telemetry/machine_source.h"
#include "telemetry/score_stage.h"

namespace verge::telemetry {
namespace {

pipeline::OptionInfo option(std::string name, std::string type, std::string summary, Json fallback,
                            bool is_required = false) {
  return {std::move(name), std::move(type), std::move(summary), std::move(fallback), is_required};
}

Result<std::unique_ptr<pipeline::Source>> make_machine(const Json& options, const pipeline::Context& context) {
  MachineSourceOptions machine;
  VERGE_TRY(const auto seed, integer_member(options, "seed", 1));
  machine.simulator.seed = static_cast<std::uint64_t>(seed);
  VERGE_TRY(machine.simulator.rate_hz, number_member(options, "rate_hz", machine.simulator.rate_hz));
  VERGE_TRY(machine.is_paced, bool_member(options, "paced", machine.is_paced));
  VERGE_TRY(machine.minutes, number_member(options, "minutes", machine.minutes));
  return make_machine_source(machine, context);
}

Result<std::unique_ptr<pipeline::Stage>> make_score(const Json& options, const pipeline::Context& context) {
  ScoreStageOptions score;
  VERGE_TRY(const auto model, string_member(options, "model"));
  score.model = model;
  VERGE_TRY(score.alarm.for_s, number_member(options, "for_s", score.alarm.for_s));
  VERGE_TRY(score.alarm.clear_s, number_member(options, "clear_s", score.alarm.clear_s));
  VERGE_TRY(score.alarm.cool_down_s, number_member(options, "cool_down_s", score.alarm.cool_down_s));
  VERGE_TRY(score.score_every_s, number_member(options, "score_every_s", score.score_every_s));
  VERGE_TRY(score.threshold_factor, number_member(options, "threshold_factor", score.threshold_factor));
  return make_score_stage(std::move(score), context);
}

Result<std::unique_ptr<pipeline::Sink>> make_csv(const Json& options, const pipeline::Context& context) {
  VERGE_TRY(const auto path, string_member(options, "path"));
  return make_csv_sink(context.folder / path);
}

/// JSON has no NaN: a missing reading becomes null.
Json number(float value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::optional<pipeline::LiveFrame> render_row(const pipeline::Packet& packet, const pipeline::LiveRequest&) {
  const auto row = pipeline::payload_as<pipeline::SensorRow>(packet);
  if (!row) return std::nullopt;
  Json reading = Json::array({packet.captured_us});
  for (const float value : row->values) reading.push_back(number(value));
  pipeline::LiveFrame frame;
  frame.header = {
      {"kind", "points"}, {"channels", *row->channels}, {"rows", Json::array({reading})}, {"alarm", row->is_alarm}};
  if (row->score) frame.header["scores"] = Json::array({Json::array({packet.captured_us, *row->score})});
  if (row->threshold) frame.header["threshold"] = *row->threshold;
  return frame;
}

}  // namespace

void add_stages(pipeline::Catalog& catalog) {
  catalog.add(pipeline::Kind<pipeline::Source>{
      .name = "machine",
      .where = "telemetry/machine_source.h",
      .summary = "A simulated pump with eight sensors and faults to order.",
      .options = {option("seed", "integer", "Another seed, another course of set-points and noise", 1),
                  option("rate_hz", "number", "Rows per second, 0.1..100", 4.0),
                  option("paced", "flag", "At the machine's own pace; false: as fast as the pipeline takes it", true),
                  option("minutes", "number", "End after so much simulated time; 0: never", 0.0)},
      .make = make_machine});
  catalog.add(pipeline::Kind<pipeline::Stage>{
      .name = "score",
      .where = "telemetry/score_stage.h",
      .summary = "Scores sensor rows with a taught model and raises alarms.",
      .options = {option("model", "path", "Folder that `verge train telemetry` wrote", nullptr, true),
                  option("for_s", "number", "The score must stay above the limit so long, seconds, 0..3600", 3.0),
                  option("clear_s", "number", "… and below it so long to end the alarm, seconds, 0..3600", 10.0),
                  option("cool_down_s", "number", "No new alarm so long after one ended, seconds, 0..86400", 20.0),
                  option("score_every_s", "number", "At most one score event in so many seconds, 0.1..3600", 1.0),
                  option("threshold_factor", "number",
                         "Times the model's own limit; above 1 is less sensitive, 0.1..10", 1.0)},
      .make = make_score});
  catalog.add(pipeline::Kind<pipeline::Sink>{.name = "csv",
                                             .where = "telemetry/csv_sink.h",
                                             .summary = "Writes sensor rows into a CSV file, for training.",
                                             .options = {option("path", "path", "The file, replaced", nullptr, true)},
                                             .make = make_csv});
  catalog.add_live_renderer(render_row);
}

}  // namespace verge::telemetry
