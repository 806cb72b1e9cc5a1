#include "audio/conditioning/calibration.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numbers>

#include "audio/simulated/microphone.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"

namespace verge::audio {
namespace {

using testing::HasSubstr;

/// White noise at a level, as a room gives it, with what `add` puts on top.
MicrophoneProfile profile_of(float noise_db, const std::function<float(double second)>& add = {}, double seconds = 20) {
  std::vector<float> room(static_cast<std::size_t>(seconds * simulated::kRateHz), 0.0F);
  for (std::size_t at = 0; at < room.size(); ++at)
    room[at] =
        0.1F * static_cast<float>(std::sin(2 * std::numbers::pi * 500 * static_cast<double>(at) / simulated::kRateHz));
  const auto noisy = *simulated::hear(room, "flat", "white_20", 9);  // A tone at -23 dB, noise at -43 dB.
  Calibration calibration(simulated::kRateHz, 512);
  std::vector<float> block(512);
  for (std::size_t at = 0; at + 512 <= room.size(); at += 512) {
    for (std::size_t sample = 0; sample < 512; ++sample) {
      const float noise = (noisy[at + sample] - room[at + sample]) * std::pow(10.0F, (noise_db + 43) / 20);
      block[sample] = noise + (add ? add(static_cast<double>(at + sample) / simulated::kRateHz) : 0);
    }
    calibration.add(block);
  }
  const auto profile = calibration.profile();
  EXPECT_TRUE(profile) << profile.error().message;
  return *profile;
}

TEST(Calibration, GivesAVerdict) {
  const auto tone = [](double frequency_hz, float amplitude) {
    return [=](double second) {
      return amplitude * static_cast<float>(std::sin(2 * std::numbers::pi * frequency_hz * second));
    };
  };
  EXPECT_EQ(verdict_of(findings_of(profile_of(-55))), "fine");
  EXPECT_EQ(verdict_of(findings_of(profile_of(-30))), "noisy");
  EXPECT_EQ(verdict_of(findings_of(profile_of(-80))), "too quiet");
  EXPECT_EQ(verdict_of(findings_of(profile_of(-55, tone(50.02, 0.02F)))), "hum of 50 Hz");
  EXPECT_EQ(verdict_of(findings_of(profile_of(-55, tone(120.1, 0.02F)))), "fine") << "one tone alone is no hum";
  EXPECT_EQ(verdict_of(findings_of(profile_of(-55, [](double) { return 0.1F; }))), "offset");
  EXPECT_THAT(verdict_of(findings_of(profile_of(-55, tone(440, 0.9F)))), HasSubstr("too loud"));
  Calibration dead(simulated::kRateHz, 512);
  for (int block = 0; block < 400; ++block) dead.add(std::vector<float>(512, 0.0F));
  EXPECT_EQ(verdict_of(findings_of(*dead.profile())), "dead");
}

TEST(Calibration, MeasuresTheBackground) { EXPECT_NEAR(profile_of(-50).background_db, -50, 1); }

TEST(Calibration, AsksForEnoughSound) {
  Calibration calibration(simulated::kRateHz, 512);
  calibration.add(std::vector<float>(512, 0.1F));
  EXPECT_THAT(calibration.profile().error().message, HasSubstr("5 s is the least"));
}

TEST(MicrophoneProfile, ComesBackFromItsFile) {
  const TemporaryFolder folder;
  auto profile = profile_of(-55, {}, 6);
  profile.learned.gain_db = 12.5F;
  profile.learned.spectrum.speech_s = 7;
  profile.learned.spectrum.speech_power[3] = 0.01F;
  const auto file = folder.path() / "state/microphone.json";
  ASSERT_TRUE(save_profile(file, profile));
  const auto again = load_profile(file);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_text(to_json(*again)), to_text(to_json(profile)));
}

TEST(MicrophoneProfile, RefusesWhatIsNone) {
  const auto message = [](const std::string& text) { return profile_from_json(*parse_json(text)).error().message; };
  EXPECT_THAT(message("{}"), HasSubstr("verge.microphone/1"));
  EXPECT_THAT(message(R"({"format":"verge.microphone/1","rate_hz":1})"), HasSubstr("rate_hz is 1; it must be 8000"));
  EXPECT_THAT(message(R"({"format":"verge.microphone/1","background_bands_db":[1]})"), HasSubstr("list of 11 numbers"));
  EXPECT_THAT(message(R"({"format":"verge.microphone/1","learned":{"gain_db":900}})"), HasSubstr("gain_db is 900"));
  EXPECT_EQ(load_profile("/nowhere.json").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::audio
