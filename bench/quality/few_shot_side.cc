// bench/quality/few_shot_side.cc -- our side of the few-shot judgement: learns from N pictures a label, many times.
//
//   verge-bench-few-shot --model DIR --folder SET --features OUT [--shots 2,5,10] [--draws 20] [--side 320]
//
// SET/LABEL/picture.jpg. One JSON line per draw: balanced accuracy on all pictures that were not drawn, with all views
// and with one, what learn_few_shot said of itself, and which pictures were drawn. OUT gets [pictures, channels]
// float32: the plain mean over the trunk's stride-16 map, for the peers (few_shot.py).
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fstream>

#include "base/json.h"
#include "connectors/camera/picture_folder.h"
#include "vision/teach/few_shot.h"
#include "vision/teach/labelled_folder.h"
#include "vision/teach/views.h"

namespace verge::bench {
namespace {

struct Settings {
  std::string model, folder, features;
  std::vector<int> shots{2, 5, 10};
  int draws = 20, side = 320, views = 4;
};

struct Pictures {
  std::vector<std::string> labels;
  std::vector<vision::FewShotItem> items;
};

Result<Pictures> look(const Settings& settings) {
  VERGE_TRY(const auto folder, vision::read_labelled_folder(settings.folder));
  VERGE_TRY(const auto backbone,
            vision::Backbone::open(settings.model, {.strides = {16}, .width = settings.side, .height = settings.side}));
  std::ofstream plain(settings.features, std::ios::binary);
  Pictures pictures{folder.labels, {}};
  for (const auto& picture : folder.pictures) {
    VERGE_TRY(const auto frame, connectors::read_picture_file(picture.file));
    vision::FewShotItem item{picture.label, static_cast<int>(pictures.items.size()), {}};
    for (int view = 0; view < settings.views; ++view) {
      std::shared_ptr<const pipeline::Frame> seen = frame;
      if (view > 0) {
        VERGE_TRY(seen, vision::make_view(*frame, view, settings.side, settings.side, pictures.items.size()));
      }
      VERGE_TRY(const auto maps, backbone->features(*seen));
      item.views.push_back(vision::pooled(maps.front()));
      if (view > 0) continue;
      const auto& map = maps.front();
      const auto cells = static_cast<std::size_t>(map.rows * map.columns);
      for (std::size_t channel = 0; channel < static_cast<std::size_t>(map.channels); ++channel) {
        float sum = 0;
        for (const float value : map.values().subspan(channel * cells, cells)) sum += value;
        sum /= static_cast<float>(cells);
        plain.write(reinterpret_cast<const char*>(&sum), sizeof sum);
      }
    }
    pictures.items.push_back(std::move(item));
  }
  return pictures;
}

/// Per label `shots` of its pictures.
std::vector<std::size_t> draw_pictures(const Pictures& pictures, int shots, std::uint64_t seed) {
  training::SeededNumbers numbers(seed);
  std::vector<std::size_t> drawn;
  for (std::size_t label = 0; label < pictures.labels.size(); ++label) {
    std::vector<std::size_t> own;
    for (std::size_t at = 0; at < pictures.items.size(); ++at)
      if (pictures.items[at].label == static_cast<int>(label)) own.push_back(at);
    for (std::size_t at = own.size(); at > 1; --at) std::swap(own[at - 1], own[numbers.below(at)]);
    drawn.insert(drawn.end(), own.begin(), own.begin() + std::min<std::ptrdiff_t>(shots, std::ssize(own)));
  }
  std::ranges::sort(drawn);
  return drawn;
}

double judge(const Pictures& pictures, const std::vector<std::size_t>& drawn, const vision::FewShotResult& result) {
  training::Confusion table(static_cast<int>(pictures.labels.size()));
  for (std::size_t at = 0; at < pictures.items.size(); ++at) {
    if (std::ranges::binary_search(drawn, at)) continue;
    const auto logits = result.model.logits(pictures.items[at].views.front());
    table.add(pictures.items[at].label, static_cast<int>(std::ranges::max_element(logits) - logits.begin()));
  }
  return table.balanced_accuracy();
}

Status run(const Settings& settings) {
  VERGE_TRY(const Pictures pictures, look(settings));
  for (const int shots : settings.shots) {
    for (int turn = 0; turn < settings.draws; ++turn) {
      const auto drawn = draw_pictures(pictures, shots, static_cast<std::uint64_t>(turn) + 1);
      std::vector<vision::FewShotItem> taught;
      for (const auto at : drawn) taught.push_back(pictures.items[at]);
      VERGE_TRY(const auto result, vision::learn_few_shot(taught, pictures.labels, {}));
      for (auto& item : taught) item.views.resize(1);
      VERGE_TRY(const auto one_view, vision::learn_few_shot(taught, pictures.labels, {}));
      fmt::print("{}\n", to_text({{"shots", shots},
                                  {"draw", turn},
                                  {"accuracy", judge(pictures, drawn, result)},
                                  {"one_view", judge(pictures, drawn, one_view)},
                                  {"said", result.accuracy},
                                  {"low", result.interval.low},
                                  {"high", result.interval.high},
                                  {"is_learned", result.is_better_than_chance()},
                                  {"drawn", drawn}}));
      std::fflush(stdout);
    }
  }
  return Done{};
}

}  // namespace
}  // namespace verge::bench

int main(int argc, char** argv) {
  verge::bench::Settings settings;
  CLI::App app("Learns from few pictures, many times");
  app.add_option("--model", settings.model)->required();
  app.add_option("--folder", settings.folder)->required();
  app.add_option("--features", settings.features)->required();
  app.add_option("--shots", settings.shots)->delimiter(',');
  app.add_option("--draws", settings.draws);
  app.add_option("--side", settings.side);
  app.add_option("--views", settings.views)->check(CLI::Range(1, verge::vision::kViewsMax));
  CLI11_PARSE(app, argc, argv);
  const auto done = verge::bench::run(settings);
  if (!done) fmt::print(stderr, "verge-bench-few-shot: {}\n", done.error().message);
  return done ? 0 : 1;
}
