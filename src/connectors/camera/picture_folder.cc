#include "connectors/camera/picture_folder.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <thread>

#include "base/disk.h"
#include "base/log.h"

namespace verge::connectors {
namespace {

constexpr auto kFolderStopCheck = std::chrono::milliseconds(50);
constexpr std::int64_t kStepDefault_us = 1'000'000;
constexpr std::size_t kPictureBytesMax = 128U << 20U;

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

Result<std::shared_ptr<pipeline::Frame>> decode_picture(const std::filesystem::path& file, const FfmpegLibrary& ffmpeg,
                                                        CameraCounters& counters) {
  const auto failure = [&](std::string_view words) {
    return Error{ErrorCode::corrupt, fmt::format("read picture {}: {}", file.string(), words)};
  };
  auto bytes = read_file(file, kPictureBytesMax);
  if (!bytes) {
    counters.broken.add();
    return std::move(bytes).error();
  }
  // A decoder of its own: a broken picture says nothing about the next.
  PictureDecoder::Format format;
  format.codec = lower_extension(file) == ".png" ? AV_CODEC_ID_PNG : AV_CODEC_ID_MJPEG;
  VERGE_TRY(const auto decoder, PictureDecoder::open(ffmpeg, format, {}, counters));
  if (!decoder->put_whole(*bytes, 0)) return failure("it is broken");
  VERGE_TRY(auto picture, decoder->next());
  if (!picture) return failure("it is broken");
  return std::move(picture->frame);
}

class PictureFolder final : public pipeline::Source {
 public:
  PictureFolder(PictureFolderOptions options, const pipeline::Context& context)
      : options_(std::move(options)),
        stream_(context.stream),
        clock_(context.clock == nullptr ? system_clock() : *context.clock),
        counters_(*context.metrics, context.stream),
        step_us_(options_.fps > 0 ? static_cast<std::int64_t>(1e6 / options_.fps) : kStepDefault_us) {}

  Status open() override {
    VERGE_TRY(ffmpeg_, open_ffmpeg());
    VERGE_TRY(files_, pictures_in(options_.path));
    return Done{};
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    next_ = {clock_.now_us(), clock_.monotonic_us()};
    for (;;) {
      std::size_t shown = 0;
      for (const auto& file : files_) {
        if (should_stop()) return Done{};
        auto frame = read_picture(file);
        if (!frame) {
          log_warning("camera", frame.error().message, {{"source", stream_}});
          continue;
        }
        if (is_live() && !wait_until(next_.monotonic_us, should_stop)) return Done{};
        (*frame)->take = take_;
        emit(scene_packet(*std::move(frame), next_));
        next_ = {next_.captured_us + step_us_, next_.monotonic_us + step_us_};
        ++shown;
      }
      if (shown == 0) {
        return Error{ErrorCode::corrupt, fmt::format("read folder {}: none of its {} pictures can be decoded",
                                                     options_.path.string(), files_.size())};
      }
      if (!options_.loop) return Done{};
      ++take_;
      VERGE_TRY(files_, pictures_in(options_.path));
    }
  }

  bool is_live() const override { return options_.pace && options_.fps > 0; }

 private:
  Result<std::shared_ptr<pipeline::Frame>> read_picture(const std::filesystem::path& file) {
    return decode_picture(file, *ffmpeg_, counters_);
  }

  bool wait_until(std::int64_t monotonic_us, const std::function<bool()>& should_stop) const {
    for (;;) {
      const std::int64_t left_us = monotonic_us - clock_.monotonic_us();
      if (left_us <= 0) return true;
      if (should_stop()) return false;
      std::this_thread::sleep_for(
          std::min<std::chrono::microseconds>(kFolderStopCheck, std::chrono::microseconds(left_us)));
    }
  }

  const PictureFolderOptions options_;
  const std::string stream_;
  const Clock& clock_;
  CameraCounters counters_;
  const std::int64_t step_us_;
  const FfmpegLibrary* ffmpeg_ = nullptr;
  std::vector<std::filesystem::path> files_;
  Arrival next_;
  std::uint32_t take_ = 0;
};

}  // namespace

Result<std::vector<std::filesystem::path>> pictures_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    const std::string extension = lower_extension(entry->path());
    if (extension == ".jpg" || extension == ".jpeg" || extension == ".png") files.push_back(entry->path());
  }
  if (problem) {
    return Error{ErrorCode::not_found, fmt::format("read folder {}: {}", folder.string(), problem.message())};
  }
  if (files.empty()) {
    return Error{ErrorCode::not_found,
                 fmt::format("read folder {}: it has no .jpg, .jpeg or .png pictures", folder.string())};
  }
  std::ranges::sort(files);
  return files;
}

Result<std::shared_ptr<pipeline::Frame>> read_picture_file(const std::filesystem::path& file) {
  VERGE_TRY(const FfmpegLibrary* ffmpeg, open_ffmpeg());
  Metrics metrics;
  CameraCounters counters(metrics, file.filename().string());
  return decode_picture(file, *ffmpeg, counters);
}

std::unique_ptr<pipeline::Source> make_picture_folder(PictureFolderOptions options, const pipeline::Context& context) {
  return std::make_unique<PictureFolder>(std::move(options), context);
}

}  // namespace verge::connectors
