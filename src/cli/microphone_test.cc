#include "cli/microphone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace verge::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(MicrophoneOutput, ListsAddressesThatCanBeUsed) {
  const std::vector<connectors::CardName> cards = {{"plughw:CARD=Array,DEV=0", "USB Array, Microphone"}};
  EXPECT_THAT(microphones_as_table(cards), AllOf(HasSubstr("alsa:plughw:CARD=Array,DEV=0"), HasSubstr("USB Array")));
  EXPECT_EQ(microphones_as_json(cards)[0]["address"], "alsa:plughw:CARD=Array,DEV=0");
  EXPECT_EQ(microphones_as_table({}), "ALSA knows no microphone.\n");
  EXPECT_EQ(microphones_as_json({}), Json::array());
}

TEST(MicrophoneOutput, TellsWhatItHears) {
  connectors::MicrophoneReport report;
  report.note = "s16le, 1 channel";
  report.rate_hz = 48'000;
  report.seconds = 5.004;
  report.figures = {-30.04, -20, -61, -3, 0.00012, 0.005};
  EXPECT_THAT(microphone_report_as_text("alsa:default", report),
              AllOf(HasSubstr("alsa:default"), HasSubstr("s16le, 1 channel, 48000 Hz"), HasSubstr("noise floor -61 dB"),
                    HasSubstr("0.500 %"), HasSubstr("loud. It is too loud")));
  const Json json = microphone_report_as_json("alsa:default", report);
  EXPECT_EQ(json["verdict"], "loud");
  EXPECT_NEAR(json["level_db"].get<double>(), -30, 1e-9);
  EXPECT_NEAR(json["seconds"].get<double>(), 5, 1e-9);
  report.figures = {};
  EXPECT_EQ(microphone_report_as_json("alsa:default", report)["verdict"], "dead");
}

}  // namespace
}  // namespace verge::cli
