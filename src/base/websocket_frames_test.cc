#include "base/websocket_frames.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace verge {
namespace {

using Opcode = WebSocketOpcode;
using Messages = std::vector<std::pair<Opcode, std::string>>;

struct Heard {
  Messages messages;
  std::optional<WebSocketFault> fault;
};

Heard feed(std::string_view bytes, std::size_t step, bool expects_mask, std::size_t message_max = 100'000) {
  WebSocketReader reader(expects_mask, message_max);
  Heard heard;
  while (!bytes.empty() && !heard.fault) {
    const auto piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    heard.fault = reader.feed(piece, [&](Opcode opcode, std::string_view payload) {
      heard.messages.emplace_back(opcode, payload);
      return true;
    });
  }
  return heard;
}

std::string raw(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}

TEST(WebSocketFrames, ExamplesOfRfc6455) {
  // Section 5.7: the same "Hello" plain, masked and in two fragments, a ping and a masked pong.
  EXPECT_EQ(feed(raw({0x81, 5, 'H', 'e', 'l', 'l', 'o'}), 1, false).messages, (Messages{{Opcode::text, "Hello"}}));
  EXPECT_EQ(feed(raw({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}), 1, true).messages,
            (Messages{{Opcode::text, "Hello"}}));
  EXPECT_EQ(feed(raw({0x01, 3, 'H', 'e', 'l', 0x89, 2, 'p', 'i', 0x80, 2, 'l', 'o'}), 2, false).messages,
            (Messages{{Opcode::ping, "pi"}, {Opcode::text, "Hello"}}));
}

TEST(WebSocketFrames, AllSizesRoundTrip) {
  for (const std::size_t size : {0U, 1U, 7U, 8U, 125U, 126U, 127U, 65'535U, 65'536U, 90'000U}) {
    for (const bool is_masked : {false, true}) {
      const std::string payload = random_bytes(size);
      std::string body = payload;
      const std::string head =
          websocket_head(Opcode::binary, body, is_masked ? std::optional<std::uint32_t>(0xA1B2C3D4) : std::nullopt);
      EXPECT_EQ(body == payload, !is_masked || size == 0);
      for (const std::size_t step : {std::size_t(1000), std::size_t(100'000)}) {
        const auto heard = feed(head + body, step, is_masked);
        ASSERT_EQ(heard.messages.size(), 1U);
        EXPECT_TRUE(heard.messages[0].second == payload);
      }
    }
  }
}

struct BadRow {
  std::string bytes;
  std::uint16_t close_code;
};

TEST(WebSocketFrames, FaultsHaveTheirCloseCode) {
  const BadRow rows[] = {
      {raw({0xC1, 0}), 1002},                 // reserved bit
      {raw({0x83, 0}), 1002},                 // unknown data opcode
      {raw({0x8B, 0}), 1002},                 // unknown control opcode
      {raw({0x81, 0x80, 0, 0, 0, 0}), 1002},  // masked by a server
      {raw({0x09, 0}), 1002},                 // fragmented ping
      {raw({0x89, 126, 0, 126}), 1002},       // long ping
      {raw({0x80, 0}), 1002},                 // continuation of nothing
      {raw({0x01, 0, 0x81, 0}), 1002},        // a new message inside a message
      {raw({0x81, 1, 0xFF}), 1007},           // not UTF-8
      {raw({0x81, 2, 0xC0, 0x80}), 1007},     // long form
      {raw({0x81, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xA1}), 1009},
      {raw({0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}), 1009},
  };
  for (const auto& row : rows) {
    const auto heard = feed(row.bytes, 1, false);
    ASSERT_TRUE(heard.fault) << to_hex(row.bytes);
    EXPECT_EQ(heard.fault->close_code, row.close_code) << to_hex(row.bytes);
  }
  EXPECT_TRUE(feed(raw({0x81, 0}), 1, true).fault);  // a client must mask
  // Fragments count together.
  const std::string part = raw({0x02, 3, 'a', 'b', 'c'});
  EXPECT_EQ(feed(part + raw({0x00, 3, 'a', 'b', 'c'}), 1, false, 5).fault->close_code, 1009);
}

TEST(WebSocketFrames, AReaderCanBeStopped) {
  WebSocketReader reader(false, 100);
  int calls = 0;
  const std::string two = raw({0x82, 0, 0x82, 0});
  EXPECT_FALSE(reader.feed(two, [&](Opcode, std::string_view) { return ++calls == 5; }));
  EXPECT_FALSE(reader.feed(two, [&](Opcode, std::string_view) { return ++calls == 5; }));
  EXPECT_EQ(calls, 1);
}

TEST(Utf8, KnowsTheBorders) {
  for (const std::string_view good : {"", "abc", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                                      "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(good)) << to_hex(good);
  }
  for (const std::string_view bad : {"\x80", "\xC1\xBF", "\xC2", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xC2\x41", "\xE2\x82\x41"}) {
    EXPECT_FALSE(is_utf8(bad)) << to_hex(bad);
  }
}

}  // namespace
}  // namespace verge
