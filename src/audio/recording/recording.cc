#include "audio/recording/recording.h"

#include <fmt/format.h>
#include <memory>
#include <sndfile.h>
#include <soxr.h>

namespace verge::audio {
namespace {

std::vector<float> average_channels(const std::vector<float>& interleaved, std::size_t channels) {
  if (channels == 1) return interleaved;
  std::vector<float> mono(interleaved.size() / channels);
  for (std::size_t frame = 0; frame < mono.size(); ++frame) {
    float sum = 0;
    for (std::size_t channel = 0; channel < channels; ++channel) sum += interleaved[frame * channels + channel];
    mono[frame] = sum / static_cast<float>(channels);
  }
  return mono;
}

Result<std::vector<float>> convert_rate(const std::vector<float>& samples, int from_hz, int to_hz) {
  if (from_hz == to_hz) return samples;
  std::vector<float> converted(samples.size() * static_cast<std::size_t>(to_hz) / static_cast<std::size_t>(from_hz) +
                               1);
  std::size_t written = 0;
  const auto* problem = soxr_oneshot(from_hz, to_hz, 1, samples.data(), samples.size(), nullptr, converted.data(),
                                     converted.size(), &written, nullptr, nullptr, nullptr);
  if (problem != nullptr)
    return Error{ErrorCode::internal, fmt::format("convert {} Hz to {} Hz: {}", from_hz, to_hz, problem)};
  converted.resize(written);
  return converted;
}

}  // namespace

Result<Recording> read_recording(const std::filesystem::path& path, int rate_hz, double seconds_max) {
  if (!std::filesystem::exists(path)) {
    return Error{ErrorCode::not_found, fmt::format("read the recording \"{}\": there is no such file", path.string())};
  }
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(sf_open(path.c_str(), SFM_READ, &info), sf_close);
  if (!file || info.samplerate <= 0 || info.channels <= 0) {
    return Error{ErrorCode::invalid_argument, fmt::format("read the recording \"{}\": {}; give WAV, FLAC or Ogg",
                                                          path.string(), sf_strerror(nullptr))};
  }
  if (static_cast<double>(info.frames) / info.samplerate > seconds_max) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("read the recording \"{}\": it is longer than {} s; cut it", path.string(), seconds_max)};
  }
  std::vector<float> interleaved(static_cast<std::size_t>(info.frames * info.channels));
  const auto frames = sf_readf_float(file.get(), interleaved.data(), info.frames);
  interleaved.resize(static_cast<std::size_t>(frames * info.channels));
  VERGE_TRY(auto samples, convert_rate(average_channels(interleaved, static_cast<std::size_t>(info.channels)),
                                       info.samplerate, rate_hz));
  return Recording{rate_hz, std::move(samples)};
}

}  // namespace verge::audio
