// bench/pictures_side.cc -- our side of the benchmarks of what surrounds a model's run: pictures to tensors, numbers to
// boxes. Waits for a command, works, prints the seconds (wall and processor).
//
//   verge-bench-pictures --film FILE --jpegs FOLDER --head FILE
//
// Commands on the standard input, each with a number of pictures; one JSON line answers each:
//   prepost N    N decoded pictures, letterboxed to 640 x 640 floats, and a YOLOv8 head's numbers to boxes
//   prepost8 N   the same with bytes for the network
//   jpeg N       N JPEG files in memory, decoded and letterboxed to 640 x 640 floats
//   h264 N       the next N pictures of the film, decoded and letterboxed to 640 x 640 floats
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <iostream>
#include <map>
#include <sstream>

#include "base/disk.h"
#include "base/json.h"
#include "connectors/camera/film.h"
#include "vision/heads/box_head.h"
#include "vision/picture/letterbox.h"

namespace verge::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kSide = 640;
constexpr int kLabels = 80;
constexpr int kCells = 8400;  // 80 x 80 + 40 x 40 + 20 x 20
constexpr std::size_t kPreparedFrames = 16;
constexpr float kScoreMin = 0.25F;
constexpr float kOverlapMax = 0.5F;

vision::LetterboxOptions options_for(inference::DataType type) {
  vision::LetterboxOptions options;
  options.width = options.height = kSide;
  if (type == inference::DataType::float32) options.deviation = {255, 255, 255};
  options.padding = 114;
  options.fit = models::PictureFit::letterbox;
  options.type = type;
  return options;
}

/// A letterbox with the tensor that it fills.
struct Target {
  explicit Target(inference::DataType type)
      : letterbox(options_for(type)), tensor(type, vision::shape_of(letterbox.options())) {}
  Status fill(const pipeline::Frame& frame) {
    VERGE_CHECK(letterbox.fill(frame, tensor, is_padded));
    is_padded = true;
    return Done{};
  }

  vision::Letterbox letterbox;
  inference::Tensor tensor;
  bool is_padded = false;
};

models::ModelCard card_of_head() {
  models::ModelCard card;
  card.name = "bench";
  card.picture = models::PictureInput{};
  card.picture->width = card.picture->height = kSide;
  for (int i = 0; i < kLabels; ++i) card.labels.push_back(fmt::format("label {}", i));
  card.head = {{"kind", "yolo-v8"}};
  return card;
}

class Works {
 public:
  static Result<std::unique_ptr<Works>> open(const std::string& film, const std::string& jpegs,
                                             const std::string& head) {
    auto works = std::make_unique<Works>();
    VERGE_TRY(works->film_, connectors::FilmReader::open(film));
    for (std::size_t i = 0; i < kPreparedFrames; ++i) {
      VERGE_TRY(auto frame, works->next_of_film());
      works->frames_.push_back(std::move(frame));
    }
    VERGE_CHECK(works->read_jpegs(jpegs));
    VERGE_CHECK(works->read_head(head));
    return works;
  }

  /// Boxes found. Errors: invalid_argument for an unknown work.
  Result<std::uint64_t> run(const std::string& work, std::size_t count) {
    std::uint64_t objects = 0;
    for (std::size_t i = 0; i < count; ++i, ++turn_) {
      if (work == "prepost" || work == "prepost8") {
        VERGE_CHECK((work == "prepost" ? floats_ : bytes_).fill(*frames_[turn_ % frames_.size()]));
        VERGE_TRY(const std::uint64_t found, boxes());
        objects += found;
      } else if (work == "jpeg") {
        VERGE_TRY(const auto frame, next_jpeg());
        VERGE_CHECK(floats_.fill(*frame));
      } else if (work == "h264") {
        VERGE_TRY(const auto frame, next_of_film());
        VERGE_CHECK(floats_.fill(*frame));
      } else {
        return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" is no work; see the top of this file", work)};
      }
    }
    return objects;
  }

 private:
  Result<std::shared_ptr<pipeline::Frame>> next_of_film() {
    VERGE_TRY(auto picture, film_->next());
    if (!picture) {
      VERGE_CHECK(film_->rewind());
      VERGE_TRY(picture, film_->next());
    }
    if (!picture) return Error{ErrorCode::corrupt, "the film has no pictures"};
    return picture->frame;
  }

  Status read_jpegs(const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      VERGE_TRY(std::string bytes, read_file(entry.path()));
      jpegs_.push_back(std::move(bytes));
    }
    VERGE_TRY(const auto* ffmpeg, connectors::open_ffmpeg());
    connectors::PictureDecoder::Format format;
    format.codec = AV_CODEC_ID_MJPEG;
    VERGE_TRY(jpeg_decoder_, connectors::PictureDecoder::open(*ffmpeg, format, {}, counters_));
    return Done{};
  }

  Result<std::shared_ptr<pipeline::Frame>> next_jpeg() {
    ++jpeg_time_us_;
    jpeg_decoder_->put_whole(jpegs_[turn_ % jpegs_.size()], jpeg_time_us_);
    VERGE_TRY(auto picture, jpeg_decoder_->next());
    if (!picture) return Error{ErrorCode::corrupt, "a JPEG file gave no picture"};
    return picture->frame;
  }

  Status read_head(const std::string& file) {
    VERGE_TRY(const std::string bytes, read_file(file));
    const inference::Shape shape{1, 4 + kLabels, kCells};
    outputs_.emplace_back(inference::DataType::float32, shape);
    const auto numbers = outputs_[0].values<float>();
    if (bytes.size() != numbers.size_bytes()) {
      return Error{ErrorCode::corrupt,
                   fmt::format("{} has {} bytes instead of {}", file, bytes.size(), numbers.size_bytes())};
    }
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
    VERGE_TRY(head_, vision::make_box_head(card_of_head(), {{"columns", inference::DataType::float32, shape}}));
    return Done{};
  }

  Result<std::uint64_t> boxes() {
    std::vector<vision::Detection> found;
    VERGE_CHECK(head_->decode(outputs_, {{}, kScoreMin}, found));
    return vision::suppress_weaker(std::move(found), kOverlapMax).size();
  }

  std::unique_ptr<connectors::FilmReader> film_;
  std::vector<std::shared_ptr<pipeline::Frame>> frames_;
  std::vector<std::string> jpegs_;
  Metrics metrics_;
  connectors::CameraCounters counters_{metrics_, "bench"};
  std::unique_ptr<connectors::PictureDecoder> jpeg_decoder_;
  std::unique_ptr<vision::BoxHead> head_;
  std::vector<inference::Tensor> outputs_;
  Target floats_{inference::DataType::float32}, bytes_{inference::DataType::uint8};
  std::size_t turn_ = 0;
  std::int64_t jpeg_time_us_ = 0;
};

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Status serve(Works& works) {
  std::cout << to_text(Json{{"ready", "verge"}}) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string work;
    std::size_t count = 0;
    words >> work >> count;
    const double processor_begun = processor_s();
    const auto begun = SteadyClock::now();
    VERGE_TRY(const std::uint64_t objects, works.run(work, count));
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - begun).count();
    std::cout << to_text(
                     Json{{"seconds", seconds}, {"processor_s", processor_s() - processor_begun}, {"objects", objects}})
              << std::endl;
  }
  return Done{};
}

int main_of(int count, char** words) {
  std::string film, jpegs, head;
  CLI::App app{"Our side of the benchmarks of pictures without a model.", "verge-bench-pictures"};
  app.add_option("--film", film, "1920 x 1080, H.264")->required();
  app.add_option("--jpegs", jpegs, "Folder of 1920 x 1080 JPEG files")->required();
  app.add_option("--head", head, "What a YOLOv8 head gave: 84 x 8400 little-endian floats")->required();
  CLI11_PARSE(app, count, words);
  auto works = Works::open(film, jpegs, head);
  const Status served = works ? serve(**works) : Status(works.error());
  if (served) return 0;
  std::cerr << "verge-bench-pictures: " << served.error().message << '\n';
  return exit_code_of(served.error().code);
}

}  // namespace
}  // namespace verge::bench

int main(int count, char** words) { return verge::bench::main_of(count, words); }
