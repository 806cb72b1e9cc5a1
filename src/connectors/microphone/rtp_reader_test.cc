#include "connectors/microphone/rtp_reader.h"

#include <gtest/gtest.h>
#include <string>

#include "connectors/microphone/pcm_pieces.h"

namespace verge::connectors {
namespace {

using std::string_literals::operator""s;
using Verdict = RtpOrder::Verdict;

TEST(RtpReader, FindsThePayload) {
  const std::string head = "\x60\0\1\0\0\0\2\0\0\0\3"s;
  struct Row {
    const char* name;
    std::string datagram;
    bool is_rtp;
    std::string payload;
  };
  const Row rows[] = {
      {"plain", "\x80" + head + "abcd", true, "abcd"},
      {"two contributors", "\x82" + head + "11112222abcd", true, "abcd"},
      {"an extension of one word", "\x90" + head + "xx\0\1wordabcd"s, true, "abcd"},
      {"padding", "\xa0" + head + "abcd\0\2"s, true, "abcd"},
      {"nothing inside", "\x80" + head, true, ""},
      {"version 1", "\x40" + head + "abcd", false, ""},
      {"RTCP", "\x80\xc8" + head.substr(1) + "abcd", false, ""},
      {"a short header", "\x80" + head.substr(1), false, ""},
      {"contributors that are not there", "\x8f" + head + "abcd", false, ""},
      {"an extension that is not there", "\x90" + head + "xx\xff\xff"s, false, ""},
      {"more padding than there is", "\xa0" + head + "ab\x09", false, ""},
      {"padding of no length", "\xa0" + head + "abc\0"s, false, ""},
  };
  for (const Row& row : rows) {
    const auto packet = read_rtp(row.datagram);
    ASSERT_EQ(packet.has_value(), row.is_rtp) << row.name;
    if (!packet) continue;
    EXPECT_EQ(packet->payload, row.payload) << row.name;
    EXPECT_EQ(packet->payload_type, 96) << row.name;
    EXPECT_EQ(packet->timestamp, 2U) << row.name;
    EXPECT_EQ(packet->sender, 3U) << row.name;
  }
}

TEST(RtpOrder, TellsWhatIsMissingAndWhatIsLate) {
  struct Row {
    const char* name;
    std::uint32_t sender, timestamp;
    std::int64_t now_us;
    Verdict verdict;
    std::uint32_t missing;
  };
  // Of 160 frames each; the time stamps wrap around.
  const Row rows[] = {
      {"the first", 1, 0xffffff00U, 0, Verdict::begins, 0},
      {"the next", 1, 0xffffffa0U, 20'000, Verdict::next, 0},
      {"around", 1, 64, 40'000, Verdict::next, 0},
      {"two are missing", 1, 64 + 480, 100'000, Verdict::next, 320},
      {"one of those comes late", 1, 64 + 160, 110'000, Verdict::late, 0},
      {"the last one again", 1, 64 + 480, 115'000, Verdict::late, 0},
      {"another sender", 2, 7, 120'000, Verdict::refused, 0},
      {"goes on", 1, 64 + 640, 130'000, Verdict::next, 0},
      {"its time jumps", 1, 9'000'000, 150'000, Verdict::begins, 0},
      {"goes on from there", 1, 9'000'160, 170'000, Verdict::next, 0},
      {"another sender, the line is free", 2, 7, 1'300'000, Verdict::begins, 0},
  };
  RtpOrder order(16'000);
  for (const Row& row : rows) {
    RtpPacket packet;
    packet.sender = row.sender;
    packet.timestamp = row.timestamp;
    const auto judged = order.judge(packet, 160, row.now_us);
    EXPECT_EQ(judged.verdict, row.verdict) << row.name;
    EXPECT_EQ(judged.missing, row.missing) << row.name;
  }
}

TEST(PcmPieces, HoweverTheyAreCutTheSamplesAreTheSame) {
  const pipeline::SoundShape shape{pipeline::SampleFormat::s24le, 16'000, 2};
  std::string bytes;
  for (int i = 0; i < 600; ++i) bytes.push_back(static_cast<char>(i * 37));
  std::size_t clipped = 0;
  const std::vector<float> whole = PcmPieces(shape, 0).put(bytes, clipped);
  EXPECT_EQ(whole.size(), 100U);
  for (const std::size_t piece : {1U, 2U, 5U, 7U, 64U}) {
    PcmPieces pieces(shape, 0);
    std::vector<float> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto& some = pieces.put(std::string_view(bytes).substr(at, piece), clipped);
      all.insert(all.end(), some.begin(), some.end());
      EXPECT_LT(pieces.kept_bytes(), shape.frame_bytes());
    }
    EXPECT_EQ(all, whole) << piece;
  }
}

}  // namespace
}  // namespace verge::connectors
