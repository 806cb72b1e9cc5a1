// hub/sessions/join_tokens.h -- one-time tokens with which a new device asks for its identity.
//
// Only a token's SHA-256 is stored. Threads: all calls from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "storage/database.h"

namespace verge::hub {

class JoinTokens {
 public:
  static constexpr std::int64_t minutes_max = 7 * 24 * 60;
  static constexpr std::int64_t tokens_max = 1000;  ///< Open ones at a time.

  static std::vector<storage::Migration> migrations();
  JoinTokens(storage::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

  struct Made {
    std::string token;
    std::int64_t expires_us = 0;
  };
  /// device: the only one that may use it; empty for any new one. Errors: invalid_argument (minutes), limit.
  Result<Made> make(const std::string& device, std::int64_t minutes);
  /// Spends the token. Returns the device it is for (empty: any new one). Errors: invalid_argument (unknown, used,
  /// ended, or for another device; then it is not spent).
  Result<std::string> spend(std::string_view token, const std::string& device);

 private:
  storage::Database& database_;
  const Clock& clock_;
};

}  // namespace verge::hub
