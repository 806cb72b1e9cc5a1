#include "audio/conditioning/profile.h"

#include <cmath>
#include <fmt/format.h>

#include "base/disk.h"
#include "base/json.h"

namespace verge::audio {
namespace {

constexpr std::string_view kFormat = "verge.microphone/1";
constexpr std::size_t kFileBytesMax = 64U << 10U;

double rounded(double value) { return std::round(value * 1000) / 1000; }

Json bands_to_json(const Bands& bands) {
  Json values = Json::array();
  for (const float band : bands) values.push_back(rounded(band));
  return values;
}

Result<double> ranged(const Json& json, std::string_view name, double least, double most, double fallback) {
  VERGE_TRY(const double value, number_member(json, name, fallback));
  if (!(value >= least && value <= most)) {
    return Error{ErrorCode::invalid_argument, fmt::format("{} is {}; it must be {} to {}", name, value, least, most)};
  }
  return value;
}

Result<Bands> bands_from_json(const Json& json, std::string_view name) {
  const Json* values = find_member(json, {name});
  Bands bands{};
  if (values == nullptr) return bands;
  const Error wrong{ErrorCode::invalid_argument,
                    fmt::format("{} must be a list of {} numbers, -200 to 60 (decibels)", name, kBandCount)};
  if (!values->is_array() || values->size() != kBandCount) return wrong;
  for (std::size_t band = 0; band < kBandCount; ++band) {
    const auto& value = values->at(band);
    if (!value.is_number() || !(value.get<double>() >= -200 && value.get<double>() <= 60)) return wrong;
    bands[band] = value.get<float>();
  }
  return bands;
}

}  // namespace

Json to_json(const MicrophoneProfile& profile) {
  Bands speech_db{};
  for (std::size_t band = 0; band < kBandCount; ++band)
    speech_db[band] = decibels(profile.learned.spectrum.speech_power[band]);
  return {{"format", kFormat},
          {"rate_hz", profile.rate_hz},
          {"heard_s", rounded(profile.heard_s)},
          {"background_db", rounded(profile.background_db)},
          {"snr_db", rounded(profile.snr_db)},
          {"loud_db", rounded(profile.loud_db)},
          {"offset", std::round(profile.offset * 1e6) / 1e6},
          {"clipped_share", rounded(profile.clipped_share)},
          {"dead_share", rounded(profile.dead_share)},
          {"hum_hz", rounded(profile.hum_hz)},
          {"hum_db", rounded(profile.hum_db)},
          {"background_bands_db", bands_to_json(profile.background_bands_db)},
          {"learned",
           {{"gain_db", rounded(profile.learned.gain_db)},
            {"speech_s", rounded(profile.learned.spectrum.speech_s)},
            {"speech_bands_db", bands_to_json(speech_db)}}}};
}

Result<MicrophoneProfile> profile_from_json(const Json& json) {
  VERGE_TRY(const auto format, string_member(json, "format"));
  if (format != kFormat) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("format is \"{}\"; a microphone's profile has \"{}\"", format, kFormat)};
  }
  MicrophoneProfile profile;
  VERGE_TRY(const double rate, ranged(json, "rate_hz", 8000, 96'000, profile.rate_hz));
  VERGE_TRY(profile.heard_s, ranged(json, "heard_s", 0, 1e9, 0));
  VERGE_TRY(const double background, ranged(json, "background_db", -200, 60, -120));
  VERGE_TRY(const double snr, ranged(json, "snr_db", -60, 140, 0));
  VERGE_TRY(const double loud, ranged(json, "loud_db", -200, 60, -120));
  VERGE_TRY(const double offset, ranged(json, "offset", -1, 1, 0));
  VERGE_TRY(const double clipped, ranged(json, "clipped_share", 0, 1, 0));
  VERGE_TRY(const double dead, ranged(json, "dead_share", 0, 1, 0));
  VERGE_TRY(profile.hum_hz, ranged(json, "hum_hz", 0, 70, 0));
  VERGE_TRY(const double hum, ranged(json, "hum_db", -200, 60, -120));
  VERGE_TRY(profile.background_bands_db, bands_from_json(json, "background_bands_db"));
  profile.rate_hz = static_cast<int>(rate);
  profile.background_db = static_cast<float>(background);
  profile.snr_db = static_cast<float>(snr);
  profile.loud_db = static_cast<float>(loud);
  profile.offset = static_cast<float>(offset);
  profile.clipped_share = static_cast<float>(clipped);
  profile.dead_share = static_cast<float>(dead);
  profile.hum_db = static_cast<float>(hum);

  const Json* learned = find_member(json, {"learned"});
  if (learned == nullptr || !learned->is_object()) return profile;
  VERGE_TRY(const double gain, ranged(*learned, "gain_db", -20, 80, 0));
  VERGE_TRY(profile.learned.spectrum.speech_s, ranged(*learned, "speech_s", 0, 1e6, 0));
  VERGE_TRY(const auto speech_db, bands_from_json(*learned, "speech_bands_db"));
  profile.learned.gain_db = static_cast<float>(gain);
  for (std::size_t band = 0; band < kBandCount; ++band)
    profile.learned.spectrum.speech_power[band] = std::pow(10.0F, speech_db[band] / 10);
  return profile;
}

Result<MicrophoneProfile> load_profile(const std::filesystem::path& file) {
  const auto doing = "read the microphone's profile \"" + file.string() + "\"";
  const auto text = read_file(file, kFileBytesMax);
  if (!text) return text.error().within(doing);
  const auto json = parse_json(*text);
  if (!json) return json.error().within(doing);
  auto profile = profile_from_json(*json);
  if (!profile) return profile.error().within(doing);
  return profile;
}

Status save_profile(const std::filesystem::path& file, const MicrophoneProfile& profile) {
  std::error_code ignored;  // write_file says what is wrong.
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ignored);
  return write_file(file, to_pretty_text(to_json(profile)) + "\n");
}

}  // namespace verge::audio
