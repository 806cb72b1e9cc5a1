// bench/quality/small_objects_side.cc -- our side of small_objects.py: what detect finds in a film, looking closer or
// not.
//
//   verge-bench-small-objects --model DIR --film FILE [--tiles auto | --focus] [--runs-max 65] [--every 5] [--count 60]
//
// One JSON line per analysed picture: {"picture", "runs", "processor_ms", "boxes": [[left, top, right, bottom,
// score]]}, persons only, in parts of the picture. Motion sees every picture, the detector every `every`th; processor
// time is that of both for the pictures since the last one.
#include <CLI/CLI.hpp>
#include <ctime>
#include <fmt/format.h>

#include "base/json.h"
#include "connectors/camera/film.h"
#include "vision/motion/motion.h"
#include "vision/recognition/close_detector.h"

namespace verge::bench {
namespace {

struct Settings {
  std::string model, film, tiles;
  bool has_focus = false;
  int runs_max = 65, every = 5, count = 60;
};

double processor_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

Result<vision::LookOptions> look_of(const Settings& settings) {
  using Way = vision::LookOptions::Way;
  vision::LookOptions look;
  look.runs_max = settings.runs_max;
  if (settings.has_focus) {
    look.way = Way::motion;
  } else if (settings.tiles == "auto") {
    look.way = Way::native;
  } else if (!settings.tiles.empty()) {
    look.way = Way::tiles;
    VERGE_TRY(look.grid, vision::read_tiles(settings.tiles));
  }
  return look;
}

Json boxes_of(const std::vector<pipeline::Object>& objects) {
  Json boxes = Json::array();
  for (const pipeline::Object& object : objects) {
    const contract::Region& box = object.box;
    boxes.push_back({box.left, box.top, box.right, box.bottom, object.score});
  }
  return boxes;
}

Status run(const Settings& settings) {
  VERGE_TRY(const vision::LookOptions look, look_of(settings));
  VERGE_TRY(models::LoadedModel model, models::open_model(settings.model, inference::SessionOptions{.threads = 1}));
  VERGE_TRY(auto detector, vision::Detector::make(std::move(model), {.labels = {"person"}}));
  vision::CloseDetector close(std::move(detector), look);
  vision::MotionDetector motion({});
  VERGE_TRY(const auto film, connectors::FilmReader::open(settings.film));
  double spent_ms = 0;
  for (int picture = 0; picture < settings.every * settings.count; ++picture) {
    VERGE_TRY(const auto read, film->next());
    if (!read) break;
    const double begun_ms = processor_ms();
    if (settings.has_focus) motion.update(*read->frame, read->time_us);
    if (picture % settings.every != 0) {
      spent_ms += processor_ms() - begun_ms;
      continue;
    }
    VERGE_TRY(const auto found, close.detect(*read->frame, motion.moving(), "film"));
    spent_ms += processor_ms() - begun_ms;
    fmt::print("{}\n", to_text({{"picture", picture},
                                {"runs", found.runs},
                                {"processor_ms", spent_ms},
                                {"boxes", boxes_of(found.objects)}}));
    std::fflush(stdout);
    spent_ms = 0;
  }
  return Done{};
}

}  // namespace
}  // namespace verge::bench

int main(int argc, char** argv) {
  verge::bench::Settings settings;
  CLI::App app("What detect finds in a film, looking closer or not");
  app.add_option("--model", settings.model)->required();
  app.add_option("--film", settings.film)->required();
  app.add_option("--tiles", settings.tiles);
  app.add_flag("--focus", settings.has_focus);
  app.add_option("--runs-max", settings.runs_max)->check(CLI::Range(1, 65));
  app.add_option("--every", settings.every)->check(CLI::Range(1, 1000));
  app.add_option("--count", settings.count)->check(CLI::Range(1, 100'000));
  CLI11_PARSE(app, argc, argv);
  const auto done = verge::bench::run(settings);
  if (!done) fmt::print(stderr, "verge-bench-small-objects: {}\n", done.error().message);
  return done ? 0 : 1;
}
