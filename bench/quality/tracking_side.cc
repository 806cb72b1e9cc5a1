// bench/quality/tracking_side.cc -- our side of the tracking judgement: a film to boxes, boxes to ways, ways to counts.
//
//   verge-bench-tracking detect --model DIR --film FILE [--score-min 0.1] [--count N]    pictures of the film to boxes
//   verge-bench-tracking track [--fps 10] [--score-high 0.45] ...                        boxes to ways
//   verge-bench-tracking count --area AREA.json [--fps 10]                               ways to entries and crossings
//
// One JSON line a picture, on both sides: {"frame": 12, "objects": [[left, top, right, bottom, score, id], ...]}, boxes
// in parts of the picture; `detect` gives no id but the colours of each box ("colours", track_colours.h, thousandths),
// `count` answers {"frame", "event": entered | in | out, "id"} instead. One file of boxes thus serves every tracker,
// and every tracker's ways are counted by the same zone and line (zone.h, line.h). AREA has "zone" and "line" as the
// labels of quality/data have them.
#include <CLI/CLI.hpp>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "connectors/camera/film.h"
#include "models/model_card.h"
#include "vision/logic/line.h"
#include "vision/logic/zone.h"
#include "vision/recognition/detect.h"
#include "vision/tracking/track.h"
#include "vision/tracking/track_colours.h"

namespace verge::bench {
namespace {

using pipeline::Object;

struct Settings {
  std::string model, film, area;
  float score_min = 0.1F;
  int count = 1'000'000;
  double fps = 10, aspect = 768.0 / 576;
  vision::TrackerOptions tracker;
};

double round_to(double value, double parts) { return std::round(value * parts) / parts; }

Json rows_of(const std::vector<Object>& objects) {
  Json rows = Json::array();
  for (const Object& object : objects) {
    Json row = {round_to(object.box.left, 1e5), round_to(object.box.top, 1e5), round_to(object.box.right, 1e5),
                round_to(object.box.bottom, 1e5), round_to(object.score, 1e4)};
    if (!object.track.empty()) row.push_back(object.track);
    rows.push_back(std::move(row));
  }
  return rows;
}

Json colours_row(const pipeline::Frame& frame, const Object& object) {
  Json row = Json::array();
  const auto colours = vision::colours_of(frame, object.box);
  if (colours)
    for (const float part : colours->parts) row.push_back(std::lround(part * 1000));
  return row;
}

std::optional<vision::Colours> read_colours(const Json& row) {
  if (row.empty()) return std::nullopt;
  vision::Colours colours;
  for (std::size_t i = 0; i < colours.parts.size(); ++i) colours.parts[i] = row.at(i).get<float>() / 1000;
  return colours;
}

struct Picture {
  int frame = 0;
  std::vector<Object> objects;
  std::vector<std::optional<vision::Colours>> colours;
};

Result<Picture> read_picture(const std::string& line) {
  VERGE_TRY(const Json json, parse_json(line));
  Picture picture;
  try {
    picture.frame = json.at("frame").get<int>();
    for (const Json& row : json.at("objects")) {
      Object object;
      object.label = "person";
      object.box = {row.at(0).get<double>(), row.at(1).get<double>(), row.at(2).get<double>(), row.at(3).get<double>()};
      object.score = row.at(4).get<float>();
      if (row.size() > 5) object.track = row.at(5).get<std::string>();
      picture.objects.push_back(std::move(object));
    }
    for (const Json& row : json.value("colours", Json::array())) picture.colours.push_back(read_colours(row));
  } catch (const Json::exception& thrown) {
    return Error{ErrorCode::invalid_argument, fmt::format("read \"{:.80}\": {}", line, thrown.what())};
  }
  return picture;
}

Status for_each_picture(const std::function<void(const Picture&)>& act) {
  for (std::string line; std::getline(std::cin, line);) {
    VERGE_TRY(const Picture picture, read_picture(line));
    act(picture);
  }
  return Done{};
}

std::int64_t time_of(int frame, double fps) {
  return 1'000'000 + static_cast<std::int64_t>(std::llround(frame / fps * 1e6));
}

Status detect(const Settings& settings) {
  VERGE_TRY(models::LoadedModel model, models::open_model(settings.model, inference::SessionOptions{.threads = 1}));
  VERGE_TRY(const auto detector,
            vision::Detector::make(std::move(model), {.score_min = settings.score_min, .labels = {"person"}}));
  VERGE_TRY(const auto film, connectors::FilmReader::open(settings.film));
  for (int frame = 0; frame < settings.count; ++frame) {
    VERGE_TRY(const auto picture, film->next());
    if (!picture) break;
    VERGE_TRY(const auto found, detector->detect(*picture->frame));
    Json colours = Json::array();
    for (const Object& object : found) colours.push_back(colours_row(*picture->frame, object));
    std::cout << to_text({{"frame", frame}, {"objects", rows_of(found)}, {"colours", std::move(colours)}}) << '\n';
  }
  return Done{};
}

Status track(const Settings& settings) {
  vision::Tracker tracker(settings.tracker);
  return for_each_picture([&](const Picture& picture) {
    const auto shown =
        tracker.update(picture.objects, time_of(picture.frame, settings.fps), settings.aspect, picture.colours);
    std::cout << to_text({{"frame", picture.frame}, {"objects", rows_of(shown)}}) << '\n';
  });
}

Result<Json> read_area(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error{ErrorCode::not_found, fmt::format("open \"{}\": no such file", path)};
  return parse_json(std::string(std::istreambuf_iterator<char>(file), {}));
}

Status count(const Settings& settings) {
  VERGE_TRY(const Json area, read_area(settings.area));
  const Json& line = area["line"];
  vision::ZoneCounter zone({.polygon = area["zone"]["polygon"].get<std::vector<vision::Point>>()});
  vision::LineCounter gate({.from = line["from"].get<vision::Point>(), .to = line["to"].get<vision::Point>()});
  const auto tell = [&](const vision::Moment& moment, const std::string& event, const std::string& id) {
    const double frame = static_cast<double>(moment.monotonic_us - 1'000'000) / 1e6 * settings.fps;
    std::cout << to_text({{"frame", std::lround(frame)}, {"event", event}, {"id", id}}) << '\n';
  };
  return for_each_picture([&](const Picture& picture) {
    const std::int64_t time = time_of(picture.frame, settings.fps);
    for (const auto& change : zone.update(picture.objects, {time, time}))
      if (change.is_entry) tell(change.moment, "entered", picture.objects[change.object].track);
    for (const auto& crossing : gate.update(picture.objects, {time, time}, settings.aspect))
      tell(crossing.moment, crossing.is_in ? "in" : "out", picture.objects[crossing.object].track);
  });
}

}  // namespace
}  // namespace verge::bench

int main(int argument_count, char** words) {
  verge::bench::Settings settings;
  CLI::App app("Boxes, ways and counts of a film", "verge-bench-tracking");
  app.require_subcommand(1);
  auto* detect = app.add_subcommand("detect", "A film to boxes");
  detect->add_option("--model", settings.model, "Folder of the detector")->required();
  detect->add_option("--film", settings.film)->required();
  detect->add_option("--score-min", settings.score_min)->check(CLI::Range(0.0, 1.0));
  detect->add_option("--count", settings.count, "Pictures")->check(CLI::Range(1, 1'000'000));
  auto* track = app.add_subcommand("track", "Boxes to ways");
  track->add_option("--score-high", settings.tracker.score_high);
  track->add_option("--score-new", settings.tracker.score_new);
  track->add_option("--overlap-min", settings.tracker.overlap_min);
  track->add_option("--overlap-min-weak", settings.tracker.overlap_min_weak);
  track->add_option("--reach", settings.tracker.reach);
  track->add_option("--colours-weight", settings.tracker.colours_weight);
  track->add_option("--lost", settings.tracker.lost_s, "Seconds");
  track->add_option("--confirm", settings.tracker.confirm_count);
  auto* count = app.add_subcommand("count", "Ways to entries and crossings");
  count->add_option("--area", settings.area, "JSON file with a zone and a line")->required();
  for (auto* command : {track, count}) command->add_option("--fps", settings.fps, "Of the numbered pictures");
  CLI11_PARSE(app, argument_count, words);
  const verge::Status done = detect->parsed()  ? verge::bench::detect(settings)
                             : track->parsed() ? verge::bench::track(settings)
                                               : verge::bench::count(settings);
  if (!done) fmt::print(stderr, "verge-bench-tracking: {}\n", done.error().message);
  return done ? 0 : verge::exit_code_of(done.error().code);
}
