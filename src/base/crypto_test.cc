#include "base/crypto.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

// FIPS 180-4 examples.
constexpr std::string_view kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kMillion = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

/// FIPS 180, the examples of SHA-1.
TEST(Crypto, Sha1) {
  EXPECT_EQ(to_hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(to_hex(sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

TEST(Crypto, Sha256) {
  EXPECT_EQ(to_hex(sha256("abc")), kAbc);
  EXPECT_EQ(sha256_digest(""), "sha256:" + std::string(kEmpty));
  Sha256 pieces;
  for (int i = 0; i < 1000; ++i) pieces.add(std::string(1000, 'a'));
  EXPECT_EQ(pieces.digest(), "sha256:" + std::string(kMillion));
}

TEST(Crypto, Sha256OfFiles) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "million";
  ASSERT_TRUE(write_file(path, std::string(1'000'000, 'a')));
  EXPECT_EQ(*sha256_digest_of_file(path), "sha256:" + std::string(kMillion));
  EXPECT_EQ(sha256_digest_of_file(folder.path() / "absent").error().code, ErrorCode::not_found);
  EXPECT_EQ(sha256_digest_of_file(folder.path()).error().code, ErrorCode::unavailable);
}

struct HmacRow {
  std::string key, message;
  std::string_view expected;
};

TEST(Crypto, HmacVectorsOfRfc4231) {
  const HmacRow rows[] = {
      {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::string(20, '\xaa'), std::string(50, '\xdd'),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
  };
  for (const auto& row : rows) EXPECT_EQ(to_hex(hmac_sha256(row.key, row.message)), row.expected);
  // An empty key, computed with Python 3.11's hmac module.
  EXPECT_EQ(to_hex(hmac_sha256("", "")), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Crypto, VerifiesTheScryptVectorOfRfc7914) {
  const auto hash = from_hex(
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
      "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
  const std::string text = "scrypt$16384$8$1$" + to_base64("SodiumChloride") + "$" + to_base64(*hash);
  EXPECT_TRUE(verify_password("pleaseletmein", text));
  EXPECT_FALSE(verify_password("pleaseletmeout", text));
}

TEST(Crypto, PasswordsRoundTripWithFreshSalt) {
  const std::string hash = hash_password("correct horse");
  EXPECT_TRUE(hash.starts_with("scrypt$"));
  EXPECT_TRUE(verify_password("correct horse", hash));
  EXPECT_FALSE(verify_password("battery staple", hash));
  EXPECT_NE(hash_password("correct horse"), hash);
}

TEST(Crypto, BadHashesNeverMatch) {
  const std::string salt = to_base64("0123456789abcdef");
  const std::string hash = to_base64(std::string(32, 'x'));
  for (const std::string& text :
       {std::string(), std::string("scrypt"), std::string("scrypt$$$$$"), "bcrypt$16384$8$1$" + salt + "$" + hash,
        "scrypt$16383$8$1$" + salt + "$" + hash, "scrypt$1048576$32$16$" + salt + "$" + hash,
        "scrypt$16384$8$1$" + salt + "$", "scrypt$16384$8$1$?$" + hash, "scrypt$-1$8$1$" + salt + "$" + hash}) {
    EXPECT_FALSE(verify_password("x", text)) << text;
  }
}

/// A vector from McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16.
TEST(Crypto, OpensWhatOthersSealed) {
  const std::string key = *from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const std::string nonce = *from_hex("cafebabefacedbaddecaf888");
  const std::string about = *from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const std::string text = *from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
      "ba637b39");
  const std::string hidden = *from_hex(
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0a"
      "bcc9f662");
  const std::string tag = *from_hex("76fc6ece0f4e1768cddf8853bb2d551b");
  const auto opened = open_sealed(key, nonce + hidden + tag, about);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(to_hex(*opened), to_hex(text));
}

TEST(Crypto, SealedTextsOpenOnlyAsTheyWere) {
  const std::string key = random_bytes(kSealKeyBytes);
  for (const std::string& text : {std::string(), std::string("a"), std::string(100'000, 'x')}) {
    const std::string sealed = seal(key, text, "person 7");
    EXPECT_EQ(sealed.size(), text.size() + kSealExtraBytes);
    EXPECT_EQ(*open_sealed(key, sealed, "person 7"), text);
    EXPECT_EQ(open_sealed(key, sealed, "person 8").error().code, ErrorCode::corrupt);
    EXPECT_EQ(open_sealed(random_bytes(kSealKeyBytes), sealed, "person 7").error().code, ErrorCode::corrupt);
    EXPECT_EQ(open_sealed(key, sealed.substr(1), "person 7").error().code, ErrorCode::corrupt);
    for (const std::size_t at : {std::size_t{0}, sealed.size() / 2, sealed.size() - 1}) {
      std::string changed = sealed;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      EXPECT_EQ(open_sealed(key, changed, "person 7").error().code, ErrorCode::corrupt) << at;
    }
  }
  EXPECT_NE(seal(key, "same", ""), seal(key, "same", ""));  // A nonce is never used twice.
  EXPECT_EQ(open_sealed(key, "short", "").error().code, ErrorCode::corrupt);
}

TEST(Crypto, WipedTextsAreEmpty) {
  std::string secret = "a key";
  const char* bytes = secret.data();
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(std::string_view(bytes, 5), std::string_view("\0\0\0\0\0", 5));
}

}  // namespace
}  // namespace verge
