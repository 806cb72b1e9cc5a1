// expression/lexer.h -- cuts a text of the condition language into tokens; internal to this part.
//
// Threads: one Lexer, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::expression {

enum class TokenKind : std::uint8_t {
  end,
  bad,     ///< Not a token; `text` says why.
  number,  ///< In `number`.
  text,    ///< A quoted text, without quotes and escapes.
  name,    ///< A bare or dotted name in `path`; keywords are names too.
  system,  ///< $name or {$name}; `text` is the name.
  body,    ///< $body.…; `path` is what follows.
  symbol,  ///< Punctuation or operator in `text`.
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::size_t at = 0, end = 0;  ///< Bytes in the text, end exclusive.
  std::string text;
  std::vector<std::string> path;
  Json number;

  bool is_symbol(std::string_view symbol) const { return kind == TokenKind::symbol && text == symbol; }
  /// Case does not matter; a name in [[…]] is never a keyword.
  bool is_keyword(std::string_view keyword) const;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// The token that begins at or after byte `from`; kind end at the end of the text.
  Token token_at(std::size_t from) const;
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

/// A byte of a UTF-8 sequence after its first.
inline bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }
/// Characters, not bytes, of a UTF-8 text.
std::size_t character_count(std::string_view text);
/// Parts of a path with dots between them.
std::string joined(const std::vector<std::string>& path);

/// invalid_argument: `why`, then the line of `text` that holds byte `at`, then a caret below that character.
Error error_at(std::string_view text, std::size_t at, std::string_view why);

bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string lower_case(std::string_view text);  ///< ASCII letters only.

}  // namespace verge::expression
