#include "base/bytes.h"

#include <gtest/gtest.h>
#include <set>

namespace verge {
namespace {

struct EncodedPair {
  std::string_view plain, encoded;
};

TEST(Bytes, Base64VectorsOfRfc4648) {
  const EncodedPair rows[] = {{"", ""},
                              {"f", "Zg=="},
                              {"fo", "Zm8="},
                              {"foo", "Zm9v"},
                              {"foob", "Zm9vYg=="},
                              {"fooba", "Zm9vYmE="},
                              {"foobar", "Zm9vYmFy"},
                              {"\xff\xfe\xfd", "//79"}};
  for (const auto& row : rows) {
    EXPECT_EQ(to_base64(row.plain), row.encoded);
    EXPECT_EQ(*from_base64(row.encoded), row.plain);
  }
}

TEST(Bytes, Base64RefusesAnythingElse) {
  for (const std::string_view text :
       {"Zg", "Zg=", "Zg===", "====", "Zm9v\n", "Zm-_", "Z===", "Zh==", "Zm9=", "=Zm9", "Zg==Zg=="}) {
    EXPECT_EQ(from_base64(text).error().code, ErrorCode::invalid_argument) << text;
  }
}

TEST(Bytes, Hex) {
  EXPECT_EQ(to_hex(std::string_view("\x00\xab\xff", 3)), "00abff");
  EXPECT_EQ(*from_hex("00ABff"), std::string_view("\x00\xab\xff", 3));
  for (const std::string_view text : {"0", "0g", "zz", " 0"}) EXPECT_FALSE(from_hex(text)) << text;
}

TEST(Bytes, PercentEncoding) {
  EXPECT_EQ(percent_encode("a-Z_0.~ /+%\xc3\xa4"), "a-Z_0.~%20%2F%2B%25%C3%A4");
  EXPECT_EQ(*percent_decode("a%20b+c%2f%C3%A4"), "a b+c/\xc3\xa4");
  for (const std::string_view text : {"%", "%2", "%zz", "a%2", "%%20"}) {
    EXPECT_EQ(percent_decode(text).error().code, ErrorCode::invalid_argument) << text;
  }
  const std::string all = random_bytes(500);
  EXPECT_EQ(*percent_decode(percent_encode(all)), all);
}

TEST(Bytes, RoundTripsOfAllLengths) {
  for (std::size_t size = 0; size < 100; ++size) {
    const std::string bytes = random_bytes(size);
    EXPECT_EQ(*from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(*from_hex(to_hex(bytes)), bytes);
  }
}

TEST(Bytes, Crc32cVectorsOfRfc3720) {
  const std::string zeros(32, '\0');
  const std::string ones(32, '\xff');
  std::string up;
  std::string down;
  for (int i = 0; i < 32; ++i) {
    up += static_cast<char>(i);
    down += static_cast<char>(31 - i);
  }
  for (auto* crc : {&crc32c, &crc32c_plain}) {
    EXPECT_EQ(crc(zeros, 0), 0x8A9136AAU);
    EXPECT_EQ(crc(ones, 0), 0x62A8AB43U);
    EXPECT_EQ(crc(up, 0), 0x46DD794EU);
    EXPECT_EQ(crc(down, 0), 0x113FDB5CU);
    EXPECT_EQ(crc("123456789", 0), 0xE3069283U);
    EXPECT_EQ(crc("", 0), 0U);
  }
}

TEST(Bytes, Crc32cBothPathsAgreeAndContinue) {
  const std::string bytes = random_bytes(1000);
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 7) {
    const std::string_view first = std::string_view(bytes).substr(0, cut);
    const std::string_view rest = std::string_view(bytes).substr(cut);
    EXPECT_EQ(crc32c(rest, crc32c(first)), crc32c_plain(bytes));
    EXPECT_EQ(crc32c_plain(rest, crc32c_plain(first)), crc32c(bytes));
  }
}

TEST(Bytes, UuidsAreVersion4AndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = new_uuid();
    ASSERT_EQ(id.size(), 36U);
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(Bytes, TrimsBothEndsOnly) {
  EXPECT_EQ(trimmed(" \t a  b\r\n"), "a  b");
  EXPECT_EQ(trimmed("a"), "a");
  EXPECT_EQ(trimmed(" \n"), "");
  EXPECT_EQ(trimmed(""), "");
  EXPECT_EQ(trimmed("\n a ", " "), "\n a");
}

TEST(Bytes, MarkupIsEscaped) {
  EXPECT_EQ(escape_markup("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
  EXPECT_EQ(escape_markup("Käse 'n' more"), "Käse 'n' more");
}

TEST(Bytes, ConstantTimeComparison) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "abcd"));
}

}  // namespace
}  // namespace verge
