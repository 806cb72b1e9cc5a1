#include "audio/teach/heard_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "audio/features/log_mel.h"

namespace verge::audio {
namespace {

constexpr double kShownSeconds = 20;
constexpr float kShownNepers = 13.8F;  ///< 60 dB of energy.

void put_big(std::string& bytes, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>((number >> static_cast<unsigned>(shift)) & 0xFFU);
}
void put_little(std::string& bytes, std::uint32_t number, int count) {
  for (int at = 0; at < count; ++at) bytes += static_cast<char>((number >> (8U * static_cast<unsigned>(at))) & 0xFFU);
}

std::uint32_t png_crc(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

void put_chunk(std::string& png, std::string_view kind, std::string_view body) {
  put_big(png, static_cast<std::uint32_t>(body.size()));
  const std::string whole = std::string(kind) + std::string(body);
  png += whole;
  put_big(png, png_crc(whole));
}

std::string stored(std::string_view bytes) {
  std::string packed("\x78\x01", 2);
  constexpr std::size_t kBlock = 65'535;
  for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
    const auto part = bytes.substr(at, kBlock);
    packed += static_cast<char>(at + kBlock >= bytes.size());
    put_little(packed, static_cast<std::uint32_t>(part.size()), 2);
    put_little(packed, ~static_cast<std::uint32_t>(part.size()), 2);
    packed += part;
  }
  std::uint32_t low = 1, high = 0;  // Adler-32.
  for (const char byte : bytes) {
    low = (low + static_cast<std::uint8_t>(byte)) % 65'521;
    high = (high + low) % 65'521;
  }
  put_big(packed, high << 16U | low);
  return packed;
}

/// From dark blue over red to pale yellow.
std::string palette() {
  constexpr std::array<std::array<double, 3>, 5> kStops{
      {{8, 10, 32}, {64, 24, 110}, {180, 50, 90}, {245, 140, 50}, {252, 250, 190}}};
  std::string colours;
  for (int at = 0; at < 256; ++at) {
    const double place = at / 255.0 * (kStops.size() - 1);
    const auto from = std::min<std::size_t>(static_cast<std::size_t>(place), kStops.size() - 2);
    const double part = place - static_cast<double>(from);
    for (std::size_t channel = 0; channel < 3; ++channel)
      colours += static_cast<char>(std::lround(kStops[from][channel] * (1 - part) + kStops[from + 1][channel] * part));
  }
  return colours;
}

}  // namespace

std::string spectrogram_png(std::span<const float> samples, int rate_hz) {
  LogMelOptions options;
  options.rate_hz = rate_hz;
  options.window = rate_hz / 20 / 40 * 40;
  options.hop = rate_hz / 50;
  options.mels = 64;
  auto mel = LogMel::make(options);
  std::vector<float> frames;
  if (mel) mel->add(samples.first(std::min(samples.size(), static_cast<std::size_t>(kShownSeconds * rate_hz))), frames);
  if (frames.empty()) return {};
  const auto bands = static_cast<std::size_t>(options.mels), columns = frames.size() / bands;
  const float loudest = *std::max_element(frames.begin(), frames.end());
  std::string rows;
  for (std::size_t row = 0; row < bands; ++row) {
    rows += '\0';  // No filter.
    for (std::size_t column = 0; column < columns; ++column) {
      const float below = (loudest - frames[column * bands + bands - 1 - row]) / kShownNepers;
      rows += static_cast<char>(std::lround(255 * (1 - std::clamp(below, 0.0F, 1.0F))));
    }
  }
  std::string header;
  put_big(header, static_cast<std::uint32_t>(columns));
  put_big(header, static_cast<std::uint32_t>(bands));
  header += std::string("\x08\x03\x00\x00\x00", 5);
  std::string png("\x89PNG\r\n\x1a\n", 8);
  put_chunk(png, "IHDR", header);
  put_chunk(png, "PLTE", palette());
  put_chunk(png, "IDAT", stored(rows));
  put_chunk(png, "IEND", {});
  return png;
}

std::string audible_wav(std::span<const float> samples, int rate_hz) {
  float peak = 0.005F;
  for (const float sample : samples) peak = std::max(peak, std::abs(sample));
  const auto bytes = static_cast<std::uint32_t>(2 * samples.size()), rate = static_cast<std::uint32_t>(rate_hz);
  std::string wave = "RIFF";
  put_little(wave, 36 + bytes, 4);
  wave += "WAVEfmt ";
  put_little(wave, 16, 4);
  put_little(wave, 1, 2);  // PCM, one channel.
  put_little(wave, 1, 2);
  put_little(wave, rate, 4);
  put_little(wave, 2 * rate, 4);
  put_little(wave, 2, 2);
  put_little(wave, 16, 2);
  wave += "data";
  put_little(wave, bytes, 4);
  for (const float sample : samples)
    put_little(wave, static_cast<std::uint32_t>(std::lround(std::clamp(sample * 0.5F / peak, -1.0F, 1.0F) * 32'767)),
               2);
  return wave;
}

}  // namespace verge::audio
