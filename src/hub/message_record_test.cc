#include "hub/message_record.h"

#include <gtest/gtest.h>

namespace verge::hub {
namespace {

TEST(MessageRecord, GivesBackWhatWasEncoded) {
  const contract::Identity sender{"press-4", "vision"};
  const std::vector<std::pair<std::string, std::string>> properties{
      {"$.ct", "application/json"}, {"quote\"", "line\nbreak"}, {"umlaut", "\xC3\xBC"}};
  const std::string body("\x00{\"a\":1}\xFF", 9);
  const auto prefix = record_prefix(sender, "638", R"({"scope":"module"})");
  const auto record = decode_record(encode_record(prefix, "e1", 18446744073ULL, properties, body));
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->sender, sender);
  EXPECT_EQ(record->generation_id, "638");
  EXPECT_EQ(record->auth_method, R"({"scope":"module"})");
  EXPECT_EQ(record->epoch, "e1");
  EXPECT_EQ(record->sequence, 18446744073ULL);
  EXPECT_EQ(record->properties, properties);
  EXPECT_EQ(record->body, body);
}

TEST(MessageRecord, KeepsAPlainDevicesMessageWithoutEpoch) {
  const auto record = decode_record(encode_record(record_prefix({"d", ""}, "1", "{}"), "", 0, {}, ""));
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->epoch.empty());
  EXPECT_TRUE(record->sender.module.empty());
  EXPECT_TRUE(record->body.empty());
}

TEST(MessageRecord, ReplacesInvalidUtf8InProperties) {
  const auto record = decode_record(encode_record(record_prefix({"d", ""}, "1", "{}"), "", 0, {{"a", "\xFF"}}, "x"));
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->properties[0].second, "\xEF\xBF\xBD");
}

TEST(MessageRecord, RefusesBrokenBytes) {
  const std::string good = encode_record(record_prefix({"d", ""}, "1", "{}"), "e", 1, {{"a", "b"}}, "");
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(decode_record(good.substr(0, length))) << length;
  }
  std::string wrong_version = good;
  wrong_version[0] = 7;
  EXPECT_FALSE(decode_record(wrong_version));
}

TEST(MessageRecord, KnowsItsProbes) {
  EXPECT_TRUE(is_probe(probe_record()));
  EXPECT_FALSE(is_probe(encode_record(record_prefix({"d", ""}, "1", "{}"), "", 0, {}, "x")));
  EXPECT_FALSE(is_probe(""));
}

}  // namespace
}  // namespace verge::hub
