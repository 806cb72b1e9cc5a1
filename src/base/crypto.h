// base/crypto.h -- hashes, message authentication, passwords.
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

/// A salted scrypt hash as text, with its parameters; verify compares in constant time.
/// Cost: about 0.2 s and 16 MiB each, on purpose; call from a worker.
std::string hash_password(std::string_view password);
bool verify_password(std::string_view password, std::string_view hash);

}  // namespace verge
