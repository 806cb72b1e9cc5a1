#include "hub/sessions/join_tokens.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge::hub {
namespace {

constexpr std::size_t kJoinTokenBytes = 24;

}  // namespace

std::vector<storage::Migration> JoinTokens::migrations() {
  return {{"join_tokens.1",
           "CREATE TABLE join_tokens (token_hash TEXT PRIMARY KEY, device TEXT NOT NULL, ends_us INTEGER NOT NULL) "
           "WITHOUT ROWID"}};
}

Result<JoinTokens::Made> JoinTokens::make(const std::string& device, std::int64_t minutes) {
  if (minutes < 1 || minutes > minutes_max) {
    return Error{ErrorCode::invalid_argument, fmt::format("minutes is {}; use 1 to {}", minutes, minutes_max)};
  }
  const std::int64_t now_us = clock_.now_us();
  VERGE_CHECK(database_.execute("DELETE FROM join_tokens WHERE ends_us <= ?", {now_us}));
  VERGE_TRY(const auto count, database_.query_one("SELECT count(*) FROM join_tokens"));
  if (count && count->integer(0) >= tokens_max) {
    return Error{ErrorCode::limit,
                 fmt::format("{} join tokens are open: wait until some were used or ended", tokens_max)};
  }
  Made made{to_hex(random_bytes(kJoinTokenBytes)), now_us + minutes * 60'000'000};
  VERGE_CHECK(database_.execute("INSERT INTO join_tokens (token_hash, device, ends_us) VALUES (?,?,?)",
                                {to_hex(sha256(made.token)), device, made.expires_us}));
  return made;
}

Result<std::string> JoinTokens::spend(std::string_view token, const std::string& device) {
  // One statement decides, so that two calls cannot spend the same token.
  const std::string hash = to_hex(sha256(token));
  VERGE_TRY(const auto row, database_.query_one("SELECT device FROM join_tokens WHERE token_hash = ?", {hash}));
  VERGE_TRY(const auto spent,
            database_.execute("DELETE FROM join_tokens WHERE token_hash = ? AND ends_us > ? AND device IN ('', ?)",
                              {hash, clock_.now_us(), device}));
  if (row && spent == 1) return row->text(0);
  return Error{ErrorCode::invalid_argument,
               "the join token is unknown, was used, has ended or is for another device: make a new one"};
}

}  // namespace verge::hub
