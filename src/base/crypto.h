// base/crypto.h -- hashes, message authentication, passwords, sealing.
//
// The only part that includes the TLS library is base. Threads: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge {

/// SHA-1, 20 raw bytes, for protocols that demand it (WebSocket, ONVIF); no format of ours may.
std::string sha1(std::string_view bytes);
/// 32 raw bytes.
std::string sha256(std::string_view bytes);
/// "sha256:<64 hex digits>", the digest form of OCI.
std::string sha256_digest(std::string_view bytes);
/// The same of a file's content. Errors: not_found, unavailable.
Result<std::string> sha256_digest_of_file(const std::filesystem::path& path);

/// Hashes in pieces: add, add, then digest once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void add(std::string_view bytes);
  std::string digest();  ///< "sha256:<hex>"

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// HMAC-SHA-256 (RFC 2104), 32 raw bytes.
std::string hmac_sha256(std::string_view key, std::string_view message);

/// AES-256-GCM: what was sealed cannot be read or changed without the key.
///
/// Source: NIST SP 800-38D; nonces of 96 bits are drawn at random, so one key may seal at most 2^32 texts
/// (section 8.3). key    kSealKeyBytes of random_bytes() about  not hidden, but opening needs the same: what the text
/// belongs to Returns the nonce (12 bytes), the hidden text and the tag (16 bytes), kSealExtraBytes more than the text.
inline constexpr std::size_t kSealKeyBytes = 32;
inline constexpr std::size_t kSealExtraBytes = 28;
std::string seal(std::string_view key, std::string_view text, std::string_view about);
/// Errors: corrupt when key, `about` or any bit is not that of seal(); nothing of the text is given away then.
Result<std::string> open_sealed(std::string_view key, std::string_view sealed, std::string_view about);
/// Overwrites the bytes, in a way that the compiler keeps, and empties the text.
void wipe(std::string& secret);

/// A salted scrypt hash as text, with its parameters; verify compares in constant time.
/// Cost: about 0.2 s and 16 MiB each, on purpose; call from a worker.
std::string hash_password(std::string_view password);
bool verify_password(std::string_view password, std::string_view hash);

}  // namespace verge
