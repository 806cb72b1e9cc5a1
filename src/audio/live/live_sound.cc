#include "audio/live/live_sound.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <unsupported/Eigen/FFT>

#include "audio/features/mel_scale.h"
#include "base/json.h"

namespace verge::audio {
namespace {

constexpr double kColumn_s = 0.032;
constexpr double kFrequencyMax_hz = 8000;

/// Of one piece of sound: power per bin, so that a sine at full scale has about 1 in its own.
std::vector<double> power_spectrum(std::span<const float> samples) {
  std::vector<double> windowed(samples.size());
  double window_sum = 0;
  for (std::size_t at = 0; at < samples.size(); ++at) {
    const double window =
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(at) / static_cast<double>(samples.size()));
    windowed[at] = window * static_cast<double>(samples[at]);
    window_sum += window;
  }
  Eigen::FFT<double> fft;
  std::vector<std::complex<double>> bins;
  fft.fwd(bins, windowed);
  std::vector<double> power(samples.size() / 2 + 1);
  const double scale = window_sum > 0 ? 2 / window_sum : 0;
  for (std::size_t bin = 0; bin < power.size(); ++bin) power[bin] = std::norm(bins[bin] * scale);
  return power;
}

/// The loudest bin of each band; a band between two bins takes them by its place, so that low bands are not empty.
void append_bands(std::span<const double> power, double bin_hz, double top_hz, std::vector<std::uint8_t>& columns) {
  for (std::size_t band = 0; band < kLiveBands; ++band) {
    const auto edge = [&](std::size_t at) {
      return hz_of(mel_of(top_hz) * static_cast<double>(at) / static_cast<double>(kLiveBands)) / bin_hz;
    };
    const double from = edge(band), to = edge(band + 1);
    const double middle = std::min((from + to) / 2, static_cast<double>(power.size() - 1));
    const auto below = static_cast<std::size_t>(middle);
    const double part = middle - static_cast<double>(below);
    double most = power[below] * (1 - part) + power[std::min(below + 1, power.size() - 1)] * part;
    for (auto bin = static_cast<std::size_t>(std::ceil(from)); bin < power.size() && static_cast<double>(bin) < to;
         ++bin)
      most = std::max(most, power[bin]);
    const double db = 10 * std::log10(most + 1e-12);
    columns.push_back(static_cast<std::uint8_t>(std::lround(255 * std::clamp(1 - db / kLiveFloor_db, 0.0, 1.0))));
  }
}

void append_peaks(std::span<const float> samples, std::size_t count, Json& peaks) {
  for (std::size_t part = 0; part < count; ++part) {
    float peak = 0;
    for (std::size_t at = part * samples.size() / count; at < (part + 1) * samples.size() / count; ++at)
      peak = std::max(peak, std::abs(samples[at]));
    peaks.push_back(std::round(std::min(1.0F, peak) * 1000) / 1000);
  }
}

double rounded_to_tenth(double value) { return std::round(value * 10) / 10; }

}  // namespace

std::vector<std::uint8_t> mel_columns(std::span<const float> samples, int rate_hz) {
  std::vector<std::uint8_t> columns;
  samples = samples.first(std::min(samples.size(), static_cast<std::size_t>(std::max(rate_hz, 0))));
  if (samples.size() < 8) return columns;
  const double seconds = static_cast<double>(samples.size()) / rate_hz;
  const auto count = static_cast<std::size_t>(std::max(1.0, std::round(seconds / kColumn_s)));
  for (std::size_t column = 0; column < count; ++column) {
    const std::size_t from = column * samples.size() / count, to = (column + 1) * samples.size() / count;
    const auto power = power_spectrum(samples.subspan(from, to - from));
    append_bands(power, rate_hz / static_cast<double>(to - from), std::min(kFrequencyMax_hz, rate_hz / 2.0), columns);
  }
  return columns;
}

std::optional<pipeline::LiveFrame> render_sound(const pipeline::Packet& packet, const pipeline::LiveRequest& request) {
  const auto newest = pipeline::payload_as<pipeline::AudioBlock>(packet);
  if (!newest || newest->is_segment) return std::nullopt;
  auto blocks = request.sound;
  if (blocks.empty()) blocks.push_back(newest);
  Json peaks = Json::array();
  std::string bytes;
  float speech = 0;
  std::optional<float> score;
  bool is_alarm = false;
  for (const auto& block : blocks) {
    const auto columns = mel_columns(block->samples, block->rate_hz);
    bytes.append(columns.begin(), columns.end());
    append_peaks(block->samples, std::max<std::size_t>(1, columns.size() / kLiveBands), peaks);
    speech = std::max(speech, block->speech_probability);
    if (block->score) score = std::max(score.value_or(*block->score), *block->score);
    is_alarm = is_alarm || block->is_alarm;
  }
  Json header{{"kind", "sound"},
              {"level_db", rounded_to_tenth(newest->level_db)},
              {"probability", std::round(static_cast<double>(speech) * 100) / 100},
              {"speaking", speech >= 0.5F},
              {"peaks", std::move(peaks)},
              {"spectrum",
               {{"bands", kLiveBands},
                {"columns", bytes.size() / kLiveBands},
                {"column_us", static_cast<std::int64_t>(kColumn_s * 1e6)},
                {"top_hz", std::min(kFrequencyMax_hz, newest->rate_hz / 2.0)}}}};
  if (score) header["score"] = *score;
  if (newest->threshold) header["threshold"] = *newest->threshold;
  if (score) header["alarm"] = is_alarm;
  return pipeline::LiveFrame{std::move(header), std::move(bytes)};
}

}  // namespace verge::audio
