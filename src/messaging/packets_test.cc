#include "messaging/packets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace verge::messaging {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Next = PacketReader::Next;

std::string bytes_of(std::string_view hex) {
  std::string compact;
  for (const char digit : hex) {
    if (digit != ' ') compact.push_back(digit);
  }
  return from_hex(compact).value();
}

/// Reads one whole packet and hands its frame to `use`.
template <class Use>
void with_frame(std::string_view bytes, Use&& use) {
  PacketReader reader(1U << 20U);
  int count = 0;
  const Status read = reader.read(bytes, [&](const Frame& frame) {
    ++count;
    use(frame);
    return Next::go_on;
  });
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(count, 1);
}

// The variable headers of these come from the figures of the standard (number in the name).

TEST(Packets, ConnectOfFigure36) {
  const std::string golden = bytes_of(
      "10 22 00 04 4D 51 54 54 04 CE 00 0A"  // name, level, flags, keep-alive 10
      "00 02 64 31 00 01 77 00 03 62 79 65"  // d1, will topic w, will bye
      "00 04 75 73 65 72 00 04 70 61 73 73");
  ConnectPacket packet;
  packet.keep_alive_s = 10;
  packet.client_id = "d1";
  packet.will = Will{"w", "bye", 1, false};
  packet.username = "user";
  packet.password = "pass";
  std::string encoded;
  append_connect(encoded, packet);
  EXPECT_EQ(to_hex(encoded), to_hex(golden));
  with_frame(golden, [](const Frame& frame) {
    const auto read = decode_connect(frame);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(read->is_supported());
    EXPECT_TRUE(read->clean_session);
    EXPECT_EQ(read->keep_alive_s, 10);
    EXPECT_EQ(read->client_id, "d1");
    ASSERT_TRUE(read->will.has_value());
    EXPECT_EQ(read->will->topic, "w");
    EXPECT_EQ(read->will->payload, "bye");
    EXPECT_EQ(read->will->qos, 1);
    EXPECT_FALSE(read->will->retain);
    EXPECT_EQ(read->username, "user");
    EXPECT_EQ(read->password, "pass");
  });
}

TEST(Packets, PublishOfFigure311) {
  const std::string golden = bytes_of("32 09 00 03 61 2F 62 00 0A 68 69");
  PublishPacket packet;
  packet.topic = "a/b";
  packet.payload = "hi";
  packet.qos = 1;
  packet.packet_id = 10;
  std::string encoded;
  append_publish(encoded, packet);
  EXPECT_EQ(to_hex(encoded), to_hex(golden));
  EXPECT_EQ(publish_bytes(3, 2), golden.size());
  with_frame(golden, [](const Frame& frame) {
    const auto read = decode_publish(frame);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->topic, "a/b");
    EXPECT_EQ(read->payload, "hi");
    EXPECT_EQ(read->qos, 1);
    EXPECT_EQ(read->packet_id, 10);
  });
}

TEST(Packets, PublishFlags) {
  for (const auto& [first, qos, retain, duplicate] :
       std::vector<std::tuple<std::string, int, bool, bool>>{{"30", 0, false, false},
                                                             {"31", 0, true, false},
                                                             {"32", 1, false, false},
                                                             {"3B", 1, true, true},
                                                             {"3C", 2, false, true}}) {
    const std::string golden = bytes_of(first + (qos == 0 ? "03 00 01 61" : "05 00 01 61 00 07"));
    with_frame(golden, [&, first = first, qos = qos, retain = retain, duplicate = duplicate](const Frame& frame) {
      const auto read = decode_publish(frame);
      ASSERT_TRUE(read) << first;
      EXPECT_EQ(read->qos, qos);
      EXPECT_EQ(read->retain, retain);
      EXPECT_EQ(read->duplicate, duplicate);
      std::string encoded;
      append_publish(encoded, *read);
      EXPECT_EQ(to_hex(encoded), to_hex(golden));
    });
  }
}

TEST(Packets, SubscribeOfFigure323) {
  const std::string golden = bytes_of("82 0E 00 0A 00 03 61 2F 62 01 00 03 63 2F 64 02");
  std::string encoded;
  append_subscribe(encoded, {10, {{"a/b", 1}, {"c/d", 2}}});
  EXPECT_EQ(to_hex(encoded), to_hex(golden));
  with_frame(golden, [](const Frame& frame) {
    const auto read = decode_subscribe(frame);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->packet_id, 10);
    ASSERT_EQ(read->subscriptions.size(), 2U);
    EXPECT_EQ(read->subscriptions[0].filter, "a/b");
    EXPECT_EQ(read->subscriptions[1].qos, 2);
  });
}

TEST(Packets, SubackOfFigure327) {
  const std::string golden = bytes_of("90 05 00 0A 00 02 80");
  std::string encoded;
  append_suback(encoded, {10, {0, 2, kSubscriptionRefused}});
  EXPECT_EQ(to_hex(encoded), to_hex(golden));
  with_frame(golden, [](const Frame& frame) {
    const auto read = decode_suback(frame);
    ASSERT_TRUE(read);
    EXPECT_THAT(read->codes, ElementsAre(0, 2, 0x80));
  });
}

TEST(Packets, UnsubscribeOfFigure330) {
  const std::string golden = bytes_of("A2 0C 00 0A 00 03 61 2F 62 00 03 63 2F 64");
  std::string encoded;
  append_unsubscribe(encoded, {10, {"a/b", "c/d"}});
  EXPECT_EQ(to_hex(encoded), to_hex(golden));
  with_frame(golden, [](const Frame& frame) {
    const auto read = decode_unsubscribe(frame);
    ASSERT_TRUE(read);
    EXPECT_THAT(read->filters, ElementsAre("a/b", "c/d"));
  });
}

TEST(Packets, ShortOnes) {
  std::string encoded;
  append_connack(encoded, {true, 0});
  append_connack(encoded, {false, 5});
  append_packet_id(encoded, PacketType::puback, 0x1234);
  append_packet_id(encoded, PacketType::pubrec, 1);
  append_packet_id(encoded, PacketType::pubrel, 2);
  append_packet_id(encoded, PacketType::pubcomp, 3);
  append_packet_id(encoded, PacketType::unsuback, 4);
  append_empty(encoded, PacketType::pingreq);
  append_empty(encoded, PacketType::pingresp);
  append_empty(encoded, PacketType::disconnect);
  EXPECT_EQ(to_hex(encoded), to_hex(bytes_of("20020100 20020005 40021234 50020001 62020002 70020003 B0020004"
                                             "C000 D000 E000")));
  std::string told;
  PacketReader reader(100);
  ASSERT_TRUE(reader.read(encoded, [&](const Frame& frame) {
    told += std::string(name_of(frame.type)) + ' ';
    return Next::go_on;
  }));
  EXPECT_EQ(told, "CONNACK CONNACK PUBACK PUBREC PUBREL PUBCOMP UNSUBACK PINGREQ PINGRESP DISCONNECT ");
}

TEST(Packets, LengthsOfTable24) {
  for (const std::size_t count : {0U, 127U, 128U, 16'383U, 16'384U, 2'097'151U, 2'097'152U}) {
    if (count < 3) continue;  // The shortest PUBLISH body.
    PublishPacket packet;
    packet.topic = "a";
    const std::string payload(count - 3, 'x');
    packet.payload = payload;
    std::string encoded;
    append_publish(encoded, packet);
    PacketReader reader(encoded.size());
    std::size_t seen = 0;
    ASSERT_TRUE(reader.read(encoded, [&](const Frame& frame) {
      seen = frame.body.size();
      return Next::go_on;
    }));
    EXPECT_EQ(seen, count);
  }
}

TEST(Packets, ForeignProtocolIsToldApart) {
  for (const char* hex : {"10 0C 00 06 4D 51 49 73 64 70 03 02 00 3C 00 00",  // MQIsdp 3
                          "10 0D 00 04 4D 51 54 54 05 02 00 3C 00 00 00",     // MQTT 5 with properties
                          "10 0C 00 04 6D 71 74 74 04 02 00 3C 00 00"}) {     // mqtt
    std::string bytes = bytes_of(hex);
    bytes[1] = static_cast<char>(bytes.size() - 2);
    with_frame(bytes, [&](const Frame& frame) {
      const auto read = decode_connect(frame);
      ASSERT_TRUE(read) << hex;
      EXPECT_FALSE(read->is_supported()) << hex;
    });
  }
}

struct Malformed {
  const char* why;
  const char* hex;
};

class MalformedPacket : public ::testing::TestWithParam<Malformed> {};

Status decode_any(const Frame& frame) {
  const auto verdict = [](const auto& result) -> Status {
    if (!result) return result.error();
    return Done{};
  };
  switch (frame.type) {
    case PacketType::connect:
      return verdict(decode_connect(frame));
    case PacketType::connack:
      return verdict(decode_connack(frame));
    case PacketType::publish:
      return verdict(decode_publish(frame));
    case PacketType::subscribe:
      return verdict(decode_subscribe(frame));
    case PacketType::suback:
      return verdict(decode_suback(frame));
    case PacketType::unsubscribe:
      return verdict(decode_unsubscribe(frame));
    case PacketType::pingreq:
    case PacketType::pingresp:
    case PacketType::disconnect:
      return decode_empty(frame);
    default:
      return verdict(decode_packet_id(frame));
  }
}

TEST_P(MalformedPacket, IsCorrupt) {
  PacketReader reader(1'000);
  Status decoded = Done{};
  const Status read = reader.read(bytes_of(GetParam().hex), [&](const Frame& frame) {
    decoded = decode_any(frame);
    return Next::stop;
  });
  const Status& failed = read ? decoded : read;
  ASSERT_FALSE(failed) << GetParam().why;
  EXPECT_EQ(failed.error().code, ErrorCode::corrupt) << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(
    Table, MalformedPacket,
    ::testing::Values(
        Malformed{"type 0", "00 00"}, Malformed{"type 15", "F0 00"}, Malformed{"CONNECT with flags", "11 00"},
        Malformed{"SUBSCRIBE without its flags", "80 06 0001 0001 61 00"},
        Malformed{"UNSUBSCRIBE without its flags", "A0 05 0001 0001 61"},
        Malformed{"PUBREL without its flags", "60 02 0001"}, Malformed{"PINGREQ with flags", "C1 00"},
        Malformed{"PUBLISH with QoS 3", "36 05 0001 61 0001"}, Malformed{"PUBLISH with QoS 0 and DUP", "38 03 0001 61"},
        Malformed{"a length of five bytes", "30 80 80 80 80 01"}, Malformed{"CONNECT that is empty", "10 00"},
        Malformed{"CONNECT cut in its flags", "10 07 0004 4D515454 04"},
        Malformed{"CONNECT with the reserved flag", "10 0C 0004 4D515454 04 03 000A 0000"},
        Malformed{"CONNECT with will QoS and no will", "10 0C 0004 4D515454 04 0A 000A 0000"},
        Malformed{"CONNECT with will retain and no will", "10 0C 0004 4D515454 04 22 000A 0000"},
        Malformed{"CONNECT with will QoS 3", "10 11 0004 4D515454 04 1E 000A 0000 0001 77 0000"},
        Malformed{"CONNECT with a password alone", "10 0F 0004 4D515454 04 42 000A 0000 0001 70"},
        Malformed{"CONNECT without the user name it announces", "10 0C 0004 4D515454 04 82 000A 0000"},
        Malformed{"CONNECT with more than it announces", "10 0D 0004 4D515454 04 02 000A 0000 00"},
        Malformed{"CONNECT with NUL in the client id", "10 0D 0004 4D515454 04 02 000A 0001 00"},
        Malformed{"CONNACK of one byte", "20 01 00"}, Malformed{"CONNACK with reserved flags", "20 02 02 00"},
        Malformed{"CONNACK with code 6", "20 02 00 06"}, Malformed{"CONNACK refused with session", "20 02 01 05"},
        Malformed{"PUBLISH without a topic length", "30 01 00"}, Malformed{"PUBLISH with an empty topic", "30 02 0000"},
        Malformed{"PUBLISH with a topic cut short", "30 03 0002 61"},
        Malformed{"PUBLISH with + in its topic", "30 03 0001 2B"},
        Malformed{"PUBLISH with # in its topic", "30 04 0002 2F23"},
        Malformed{"PUBLISH with NUL in its topic", "30 04 0002 6100"},
        Malformed{"PUBLISH with identifier 0", "32 05 0001 61 0000"},
        Malformed{"PUBLISH without identifier", "32 03 0001 61"},
        Malformed{"topic with a lone continuation byte", "30 03 0001 80"},
        Malformed{"topic with an overlong slash", "30 04 0002 C0AF"},
        Malformed{"topic with a surrogate", "30 05 0003 EDA080"},
        Malformed{"topic beyond U+10FFFF", "30 06 0004 F4908080"},
        Malformed{"topic with a cut sequence", "30 04 0002 E282"}, Malformed{"topic with byte FF", "30 03 0001 FF"},
        Malformed{"PUBACK with identifier 0", "40 02 0000"}, Malformed{"PUBACK of three bytes", "40 03 000100"},
        Malformed{"SUBSCRIBE without filter", "82 02 0001"},
        Malformed{"SUBSCRIBE with identifier 0", "82 06 0000 0001 61 00"},
        Malformed{"SUBSCRIBE without QoS", "82 05 0001 0001 61"},
        Malformed{"SUBSCRIBE with QoS 3", "82 06 0001 0001 61 03"},
        Malformed{"SUBSCRIBE with reserved bits", "82 06 0001 0001 61 41"},
        Malformed{"SUBSCRIBE with an empty filter", "82 05 0001 0000 00"},
        Malformed{"SUBSCRIBE with # inside", "82 08 0001 0003 232F61 00"},
        Malformed{"SUBSCRIBE with a# ", "82 07 0001 0002 6123 00"},
        Malformed{"SUBSCRIBE with +a", "82 07 0001 0002 2B61 00"}, Malformed{"SUBACK with code 3", "90 03 0001 03"},
        Malformed{"SUBACK without code", "90 02 0001"}, Malformed{"UNSUBSCRIBE without filter", "A2 02 0001"},
        Malformed{"PINGREQ with a body", "C0 01 00"}, Malformed{"DISCONNECT with a body", "E0 01 00"}));

TEST(Packets, TextsAndTopics) {
  EXPECT_TRUE(check_text("A\xF0\xAA\x9B\x94"));  // The example of 1.5.3.
  EXPECT_TRUE(check_text("\xEF\xBB\xBF"));       // A byte order mark is a character.
  EXPECT_TRUE(check_text(""));
  EXPECT_FALSE(check_text(std::string(65'536, 'a')));
  EXPECT_TRUE(check_topic("$iothub/twin/GET/?$rid=1"));
  EXPECT_TRUE(check_topic("/"));
  EXPECT_FALSE(check_topic(""));
  const Status wildcard = check_topic("a/+/b");
  ASSERT_FALSE(wildcard);
  EXPECT_THAT(wildcard.error().message, HasSubstr("a/+/b"));
  for (const char* good : {"#", "+", "a/#", "+/+", "/+", "+/#", "a//b", "$SYS/#", "a/+/b"}) {
    EXPECT_TRUE(check_filter(good)) << good;
  }
  for (const char* bad : {"", "a#", "#/a", "a+", "+a", "a/+b/c", "##", "++", "a/#/"}) {
    EXPECT_FALSE(check_filter(bad)) << bad;
  }
}

std::string three_publishes() {
  std::string bytes;
  for (const char* topic : {"one", "two", "three"}) {
    PublishPacket packet;
    packet.topic = topic;
    const std::string payload(200, *topic);
    packet.payload = payload;
    append_publish(bytes, packet);
  }
  return bytes;
}

TEST(PacketReader, AnySplitGivesTheSamePackets) {
  const std::string bytes = three_publishes();
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    PacketReader reader(1'000);
    std::string topics;
    for (std::size_t begin = 0; begin < bytes.size(); begin += step) {
      ASSERT_TRUE(reader.read(std::string_view(bytes).substr(begin, step), [&](const Frame& frame) {
        const auto packet = decode_publish(frame);
        topics += packet ? std::string(packet->topic) + ' ' : "broken ";
        return Next::go_on;
      }));
    }
    EXPECT_EQ(topics, "one two three ") << "step " << step;
    EXPECT_EQ(reader.buffered_bytes(), 0U);
  }
}

TEST(PacketReader, ReadsFromTheGivenBytesWhereItCan) {
  const std::string bytes = three_publishes();
  PacketReader reader(1'000);
  ASSERT_TRUE(reader.read(bytes, [&](const Frame& frame) {
    EXPECT_GE(frame.body.data(), bytes.data());
    EXPECT_LT(frame.body.data(), bytes.data() + bytes.size());
    return Next::go_on;
  }));
}

TEST(PacketReader, StopKeepsTheRest) {
  const std::string bytes = three_publishes() + three_publishes();
  for (std::size_t step : {bytes.size(), std::size_t{7}}) {
    PacketReader reader(1'000);
    int count = 0;
    const auto stop = [&](const Frame&) {
      ++count;
      return Next::stop;
    };
    for (std::size_t begin = 0; begin < bytes.size(); begin += step) {
      ASSERT_TRUE(reader.read(std::string_view(bytes).substr(begin, step), stop));
    }
    for (int turn = 0; turn < 10; ++turn) ASSERT_TRUE(reader.read({}, stop));
    EXPECT_EQ(count, 6) << "step " << step;
    EXPECT_EQ(reader.buffered_bytes(), 0U);
  }
}

TEST(PacketReader, RefusesALargePacketByItsHeader) {
  PacketReader reader(300);
  const Status read = reader.read(bytes_of("30 FF FF 7F"), [](const Frame&) { return Next::go_on; });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::limit);
  EXPECT_THAT(read.error().message, HasSubstr("the limit is 300"));
  // Also when the header comes byte by byte, and exactly at the limit.
  PacketReader slow(131);
  const auto go_on = [](const Frame&) { return Next::go_on; };
  EXPECT_TRUE(slow.read(bytes_of("30"), go_on));
  EXPECT_TRUE(slow.read(bytes_of("80"), go_on));
  EXPECT_TRUE(slow.read(bytes_of("01"), go_on));
  PacketReader tight(130);
  EXPECT_FALSE(tight.read(bytes_of("30 80 01"), go_on));
}

}  // namespace
}  // namespace verge::messaging
