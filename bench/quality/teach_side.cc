// bench/quality/teach_side.cc -- our side of the quality benchmarks of what `verge train vision` teaches from pictures.
//
//   verge-bench-teach anomaly --network DIR --model DIR [--align auto|on|off] PICTURE...   teaches from good pictures
//   verge-bench-teach look --model DIR PICTURE...                    one JSON line per picture: value and boxes
//   verge-bench-teach pairs                                          template defects; see judge_pairs()
//   verge-bench-teach compare                                        processor time of one look of the stage compare
//
// With the library's default settings, as a user gets them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "connectors/camera/film.h"
#include "vision/recognition/anomaly.h"
#include "vision/recognition/compare.h"
#include "vision/teach/anomaly.h"
#include "vision/teach/defect_filter.h"
#include "vision/teach/template_graph.h"

namespace verge::bench {
namespace {

using Picture = std::shared_ptr<const pipeline::Frame>;

struct TeachSettings {
  std::string network, model, align = "auto";
  std::vector<std::string> pictures;
};

Result<Picture> read_still(const std::string& path) {
  VERGE_TRY(const auto reader, connectors::FilmReader::open(path));
  VERGE_TRY(auto picture, reader->next());
  if (!picture) return Error{ErrorCode::corrupt, "no picture in " + path};
  return Picture(std::move(picture->frame));
}

Status teach_model(const TeachSettings& settings) {
  VERGE_TRY(const models::ModelCard card, models::load_card(std::filesystem::path(settings.network) / "card.json"));
  VERGE_TRY(const models::OnnxModel network, models::load_model(std::filesystem::path(settings.network) / card.file));
  std::vector<Picture> good;
  for (const auto& path : settings.pictures) {
    VERGE_TRY(auto picture, read_still(path));
    good.push_back(std::move(picture));
  }
  const auto begun = std::chrono::steady_clock::now();
  vision::AnomalyOptions options;
  options.align = static_cast<vision::AlignParts>(
      std::ranges::find(vision::kAlignParts, std::string_view(settings.align)) - vision::kAlignParts.begin());
  VERGE_TRY(auto taught, vision::teach_anomaly(network, card, good, options));
  const std::string bytes = models::to_bytes(taught.model);
  taught.card.digest = sha256_digest(bytes);
  std::filesystem::create_directories(settings.model);
  VERGE_CHECK(write_file(std::filesystem::path(settings.model) / "model.onnx", bytes));
  VERGE_CHECK(write_file(std::filesystem::path(settings.model) / "card.json", to_text(models::to_json(taught.card))));
  std::cout << to_text(
                   Json{{"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count()},
                        {"ways", taught.findings.ways},
                        {"way", taught.card.source["way"]},
                        {"is_aligned", taught.findings.is_aligned},
                        {"align", taught.findings.alignment},
                        {"good_scores", taught.findings.good_scores},
                        {"bytes", bytes.size()}})
            << std::endl;
  return Done{};
}

Status look_at(const TeachSettings& settings) {
  VERGE_TRY(models::LoadedModel model, models::open_model(settings.model));
  VERGE_TRY(const auto finder, vision::AnomalyFinder::make(std::move(model), {}));
  for (const auto& path : settings.pictures) {
    VERGE_TRY(const Picture picture, read_still(path));
    VERGE_TRY(const auto seen, finder->look(*picture));
    Json boxes = Json::array();
    for (const auto& region : seen.regions)
      boxes.push_back({region.box.left, region.box.top, region.box.right, region.box.bottom});
    std::cout << to_text(
                     Json{{"picture", path}, {"value", seen.value}, {"boxes", boxes}, {"is_found", !seen.unaligned}})
              << '\n';
  }
  std::cout.flush();
  return Done{};
}

Json boxes_of(const std::vector<vision::Defect>& defects, int margin) {
  Json boxes = Json::array();
  for (const auto& defect : defects) {
    boxes.push_back(
        {defect.left - margin, defect.top - margin, defect.right + margin, defect.bottom + margin, defect.score});
  }
  return boxes;
}

Result<vision::GreyPicture> read_grey(const Json& path) {
  VERGE_TRY(const Picture picture, read_still(path.get<std::string>()));
  return vision::as_grey(*picture);
}

/// Standard input: lines {"good": [files], "picture": file, "labels": [[left, top, right, bottom]]}; those with labels
/// come first and teach the filter. For each of the others one line {"plain": boxes, "filtered": boxes}.
Status judge_pairs() {
  std::vector<vision::TemplateExample> labelled;
  std::optional<vision::DefectFilter> filter;
  for (std::string text; std::getline(std::cin, text);) {
    VERGE_TRY(const Json line, parse_json(text));
    std::vector<vision::GreyPicture> good;
    for (const Json& path : line.at("good")) {
      VERGE_TRY(auto picture, read_grey(path));
      good.push_back(std::move(picture));
    }
    VERGE_TRY(const auto inspector, vision::TemplateInspector::make(good));
    VERGE_TRY(const auto picture, read_grey(line.at("picture")));
    auto inspected = inspector.inspect(picture);
    if (!inspected && inspected.error().code != ErrorCode::not_found) return inspected.error();
    if (!inspected) std::cerr << line.at("picture").get<std::string>() << ": " << inspected.error().message << '\n';
    std::vector<vision::Defect> candidates = inspected ? *std::move(inspected) : std::vector<vision::Defect>();
    if (line.contains("labels")) {
      vision::TemplateExample example{std::move(candidates), {}};
      for (const Json& box : line["labels"]) {
        example.labels.push_back({box[0].get<int>(), box[1].get<int>(), box[2].get<int>(), box[3].get<int>(), 1, {}});
      }
      labelled.push_back(std::move(example));
      continue;
    }
    if (!filter && !labelled.empty()) {
      VERGE_TRY(filter, vision::learn_defect_filter(labelled));
    }
    Json answer = {{"plain", boxes_of(candidates, inspector.options().margin)}};
    if (filter) {
      const auto kept = inspector.inspect(picture, &*filter);
      answer["filtered"] = kept ? boxes_of(*kept, filter->margin) : Json::array();
    }
    std::cout << to_text(answer) << '\n';
  }
  std::cout.flush();
  return Done{};
}

/// Bars and pads that lie `across` pixels to the right; a filter's worth of work when there is a gap.
vision::GreyPicture drawn_part(int width, int height, int across, bool has_gap) {
  vision::GreyPicture picture{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int u = x - across, noise = (x * 31 + y * 17 + x * y) % 7;
      const bool is_bar = u / 24 % 3 == 0 && y / 40 % 4 != u / 96 % 4;
      const bool is_gap = has_gap && y > height / 2 && y < height / 2 + 12 && u > width / 3 && u < width / 2;
      picture.values.push_back(static_cast<std::uint8_t>((is_bar && !is_gap ? 190 : 60) + noise));
    }
  }
  return picture;
}

/// JSON lines: milliseconds of this thread's and the engine's processor time, median of 15 looks.
Status time_compare() {
  for (const auto& [width, height] : {std::pair{640, 480}, std::pair{1000, 1000}}) {
    VERGE_TRY(const auto inspector, vision::TemplateInspector::make(std::vector{drawn_part(width, height, 0, false)}));
    VERGE_TRY(const auto graph, vision::template_graph(inspector.pictures(), inspector.options().shift));
    models::LoadedModel model;
    model.card.picture = models::PictureInput{};
    model.card.picture->width = width;
    model.card.picture->height = height;
    model.card.picture->colours = models::ColourOrder::grey;
    model.card.picture->mean = {0};
    model.card.picture->deviation = {1};
    model.card.picture->fit = models::PictureFit::stretch;
    model.card.head = {{"kind", "template"}};
    VERGE_TRY(model.session, inference::load_onnx_bytes(models::to_bytes(graph)));
    VERGE_TRY(const auto comparer, vision::TemplateComparer::make(std::move(model), {}));
    for (const bool has_gap : {false, true}) {
      const auto part = drawn_part(width, height, 5, has_gap);
      pipeline::Frame frame;
      frame.format = pipeline::PixelFormat::gray8;
      frame.width = width;
      frame.height = height;
      frame.planes[0] = part.values.data();
      frame.strides[0] = width;
      std::vector<double> times;
      std::string said;
      for (int run = 0; run < 15; ++run) {
        const auto begun = std::clock();
        VERGE_TRY(const auto seen, comparer->look(frame));
        times.push_back(1000.0 * static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC);
        said = seen.attribute.name;
      }
      std::ranges::sort(times);
      std::cout << to_text(Json{{"width", width}, {"height", height}, {"says", said}, {"processor_ms", times[7]}})
                << std::endl;
    }
  }
  return Done{};
}

int main_of(int count, char** words) {
  TeachSettings settings;
  CLI::App app{"Our side of the quality benchmarks of teaching.", "verge-bench-teach"};
  app.require_subcommand(1);
  auto* teach = app.add_subcommand("anomaly", "Teaches what is normal");
  auto* look = app.add_subcommand("look", "Looks at pictures with a taught model");
  teach->add_option("--network", settings.network, "Model folder of the detector whose trunk is used")->required();
  teach->add_option("--align", settings.align, "Whether pictures are laid over a good one first")
      ->check(CLI::IsMember(std::vector<std::string>(vision::kAlignParts.begin(), vision::kAlignParts.end())));
  for (auto* command : {teach, look}) {
    command->add_option("--model", settings.model, "Folder of the taught model")->required();
    command->add_option("pictures", settings.pictures)->required();
  }
  auto* pairs = app.add_subcommand("pairs", "Finds template defects of the pairs on the standard input");
  auto* compare = app.add_subcommand("compare", "Processor time of one look of the stage compare");
  CLI11_PARSE(app, count, words);
  const Status done = *compare ? time_compare()
                      : *pairs ? judge_pairs()
                      : *teach ? teach_model(settings)
                               : look_at(settings);
  if (done) return 0;
  std::cerr << "verge-bench-teach: " << done.error().message << '\n';
  return exit_code_of(done.error().code);
}

}  // namespace
}  // namespace verge::bench

int main(int count, char** words) { return verge::bench::main_of(count, words); }
