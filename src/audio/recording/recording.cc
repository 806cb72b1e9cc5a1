#include "audio/recording/recording.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <memory>
#include <sndfile.h>
#include <soxr.h>

namespace verge::audio {
namespace {

constexpr int kChannelsMax = 8;
constexpr int kRateMin_hz = 1'000, kRateMax_hz = 768'000;
constexpr std::size_t kPieceFrames = 65'536;

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

/// Piece by piece: a header may promise more than there is.
std::vector<float> read_frames(SNDFILE* file, const SF_INFO& info) {
  const auto channels = static_cast<std::size_t>(info.channels);
  std::vector<float> interleaved;
  std::vector<float> piece(kPieceFrames * channels);
  for (sf_count_t left = info.frames; left > 0;) {
    const auto read = sf_readf_float(file, piece.data(), std::min<sf_count_t>(left, kPieceFrames));
    if (read <= 0) break;
    const auto end = piece.begin() + static_cast<std::ptrdiff_t>(read) * info.channels;
    // A file of floats may hold anything.
    std::replace_if(
        piece.begin(), end, [](float sample) { return !std::isfinite(sample); }, 0.0F);
    interleaved.insert(interleaved.end(), piece.begin(), end);
    left -= read;
  }
  return interleaved;
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
    return Error{ErrorCode::invalid_argument,
                 fmt::format("read the recording \"{}\": {}; give WAV, FLAC, MP3, Opus or another Ogg", path.string(),
                             sf_strerror(nullptr))};
  }
  const auto mistake = [&](ErrorCode code, std::string_view what) {
    return Error{code, fmt::format("read the recording \"{}\": {}", path.string(), what)};
  };
  if (info.channels > kChannelsMax) return mistake(ErrorCode::invalid_argument, "it has more than eight channels");
  if (info.samplerate < kRateMin_hz || info.samplerate > kRateMax_hz) {
    return mistake(ErrorCode::invalid_argument,
                   fmt::format("its rate is {} Hz; 1000 to 768000 can be read", info.samplerate));
  }
  if (info.frames < 0) return mistake(ErrorCode::corrupt, "its length is unknown");
  if (static_cast<double>(info.frames) / info.samplerate > seconds_max) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("read the recording \"{}\": it is longer than {} s; cut it", path.string(), seconds_max)};
  }
  const auto interleaved = read_frames(file.get(), info);
  if (interleaved.empty() && info.frames > 0) return mistake(ErrorCode::corrupt, "nothing of it can be read");
  VERGE_TRY(auto samples, convert_rate(average_channels(interleaved, static_cast<std::size_t>(info.channels)),
                                       info.samplerate, rate_hz));
  return Recording{rate_hz, std::move(samples)};
}

}  // namespace verge::audio
