#include "base/crypto.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <vector>

#include "base/bytes.h"

namespace verge {
namespace {

const unsigned char* unsigned_data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* unsigned_data(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

/// Cost of scrypt: 128 * block * rounds = 16 MiB of memory, about 0.2 s on one core.
struct ScryptCost {
  std::uint64_t rounds = 1U << 14U;
  std::uint64_t block = 8;
  std::uint64_t parallel = 5;
};
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kHashBytes = 32;
constexpr std::uint64_t kScryptMemoryMax = 256U << 20U;  // a stored hash must not be able to exhaust us

/// Empty when the cost is out of bounds.
std::string scrypt(std::string_view password, std::string_view salt, const ScryptCost& cost, std::size_t bytes) {
  std::string hash(bytes, '\0');
  const int ok = EVP_PBE_scrypt(password.data(), password.size(), unsigned_data(salt), salt.size(), cost.rounds,
                                cost.block, cost.parallel, kScryptMemoryMax, unsigned_data(hash), hash.size());
  return ok == 1 ? hash : std::string();
}

constexpr std::size_t kNonceBytes = 12, kTagBytes = 16;
static_assert(kNonceBytes + kTagBytes == kSealExtraBytes);

/// A cipher's state, ready for `key` and `nonce`, having taken in `about`.
struct Gcm {
  std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context{EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};

  Gcm(bool is_sealing, std::string_view key, std::string_view nonce, std::string_view about) {
    VERGE_ASSERT(context != nullptr && key.size() == kSealKeyBytes);
    VERGE_ASSERT(EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, unsigned_data(key), unsigned_data(nonce),
                                   is_sealing ? 1 : 0) == 1);
    int ignored = 0;
    VERGE_ASSERT(about.empty() || EVP_CipherUpdate(context.get(), nullptr, &ignored, unsigned_data(about),
                                                   static_cast<int>(about.size())) == 1);
  }
  std::string turned(std::string_view text) const {
    std::string out(text.size(), '\0');
    int count = 0;
    VERGE_ASSERT(text.empty() || EVP_CipherUpdate(context.get(), unsigned_data(out), &count, unsigned_data(text),
                                                  static_cast<int>(text.size())) == 1);
    VERGE_ASSERT(static_cast<std::size_t>(count) == text.size());
    return out;
  }
  /// Sealing: always true. Opening: whether the tag is that of the text.
  bool finish() const {
    unsigned char none[16];
    int count = 0;
    return EVP_CipherFinal_ex(context.get(), none, &count) == 1;
  }
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    const auto at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + 1);
  }
}

/// 0 when the text is no number from 1 to `max`.
std::uint64_t small_number(std::string_view text, std::uint64_t max) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= max ? number : 0;
}

}  // namespace

std::string sha1(std::string_view bytes) {
  std::string digest(SHA_DIGEST_LENGTH, '\0');
  SHA1(unsigned_data(bytes), bytes.size(), unsigned_data(digest));
  return digest;
}

std::string sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(unsigned_data(bytes), bytes.size(), unsigned_data(digest));
  return digest;
}

std::string sha256_digest(std::string_view bytes) { return "sha256:" + to_hex(sha256(bytes)); }

Result<std::string> sha256_digest_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) {
    const auto code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable;
    return Error{code, fmt::format("hash file \"{}\": {}", path.string(), std::strerror(errno))};
  }
  Sha256 hash;
  std::vector<char> piece(256U << 10U);
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), file.get())) hash.add({piece.data(), got});
  if (std::ferror(file.get()) != 0) {
    return Error{ErrorCode::unavailable, fmt::format("hash file \"{}\": reading failed", path.string())};
  }
  return hash.digest();
}

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  VERGE_ASSERT(state_->context != nullptr && EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(std::string_view bytes) {
  VERGE_ASSERT(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::digest() {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  VERGE_ASSERT(EVP_DigestFinal_ex(state_->context.get(), unsigned_data(digest), nullptr) == 1);
  return "sha256:" + to_hex(digest);
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::string code(SHA256_DIGEST_LENGTH, '\0');
  // The library reads a null key as "the key of last time"; an empty view may hold a null pointer.
  const char* key_data = key.empty() ? "" : key.data();
  const auto* made = HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), unsigned_data(message), message.size(),
                          unsigned_data(code), nullptr);
  VERGE_ASSERT(made != nullptr);
  return code;
}

std::string seal(std::string_view key, std::string_view text, std::string_view about) {
  VERGE_ASSERT(text.size() < (1U << 30U) && about.size() < (1U << 30U));
  const std::string nonce = random_bytes(kNonceBytes);
  const Gcm gcm(true, key, nonce, about);
  const std::string hidden = gcm.turned(text);
  std::string tag(kTagBytes, '\0');
  VERGE_ASSERT(gcm.finish());
  VERGE_ASSERT(EVP_CIPHER_CTX_ctrl(gcm.context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()) == 1);
  return nonce + hidden + tag;
}

Result<std::string> open_sealed(std::string_view key, std::string_view sealed, std::string_view about) {
  const Error wrong{ErrorCode::corrupt, "open what was sealed: the key is another one, or the bytes were changed"};
  if (sealed.size() < kSealExtraBytes || sealed.size() >= (1U << 30U)) return wrong;
  const Gcm gcm(false, key, sealed.substr(0, kNonceBytes), about);
  std::string text = gcm.turned(sealed.substr(kNonceBytes, sealed.size() - kSealExtraBytes));
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  VERGE_ASSERT(EVP_CIPHER_CTX_ctrl(gcm.context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1);
  if (gcm.finish()) return text;
  wipe(text);
  return wrong;
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

std::string hash_password(std::string_view password) {
  const ScryptCost cost;
  const std::string salt = random_bytes(kSaltBytes);
  const std::string hash = scrypt(password, salt, cost, kHashBytes);
  VERGE_ASSERT(!hash.empty());
  return fmt::format("scrypt${}${}${}${}${}", cost.rounds, cost.block, cost.parallel, to_base64(salt), to_base64(hash));
}

bool verify_password(std::string_view password, std::string_view hash) {
  const auto fields = split(hash, '$');
  if (fields.size() != 6 || fields[0] != "scrypt") return false;
  const ScryptCost cost{small_number(fields[1], 1U << 20U), small_number(fields[2], 32), small_number(fields[3], 16)};
  const auto salt = from_base64(fields[4]);
  const auto expected = from_base64(fields[5]);
  if (!salt || !expected || expected->size() < kHashBytes || expected->size() > 64) return false;
  const std::string actual = scrypt(password, *salt, cost, expected->size());
  return !actual.empty() && equal_constant_time(actual, *expected);
}

}  // namespace verge
