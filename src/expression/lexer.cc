#include "expression/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/core.h>
#include <optional>

namespace verge::expression {
namespace {

constexpr std::size_t kShownBytesMax = 120;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_byte(char c) { return is_letter(c) || is_digit(c); }

/// Reads one token; `at_` moves on as it reads.
class Reader {
 public:
  Reader(std::string_view text, std::size_t at) : text_(text), at_(at) {}

  Token read() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    token_.at = at_;
    read_token();
    token_.end = at_;
    return std::move(token_);
  }

 private:
  char here(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  void bad(std::string why) {
    token_.kind = TokenKind::bad;
    token_.text = std::move(why);
    token_.at = std::min(at_, text_.size());
  }

  void read_token() {
    if (at_ >= text_.size()) return;
    const char c = here();
    if (is_digit(c) || (c == '.' && is_digit(here(1)))) return read_number();
    if (c == '\'' || c == '"') return read_text();
    if (is_letter(c) || text_.substr(at_, 2) == "[[") return read_name();
    if (c == '$' || text_.substr(at_, 2) == "{$") return read_dollar();
    read_symbol();
  }

  void read_number() {
    token_.kind = TokenKind::number;
    const char* const first = text_.data() + at_;
    const char* const last = text_.data() + text_.size();
    if (here() == '0' && (here(1) == 'x' || here(1) == 'X')) {
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(first + 2, last, value, 16);
      if (error != std::errc{}) return bad("not a hexadecimal number of 64 bits");
      token_.number = value;
      at_ += static_cast<std::size_t>(end - first);
    } else {
      double value = 0;
      const auto [end, error] = std::from_chars(first, last, value);
      if (error != std::errc{}) return bad("not a number that can be held");
      std::int64_t whole = 0;
      const auto [whole_end, whole_error] = std::from_chars(first, last, whole);
      const bool is_whole = whole_error == std::errc{} && whole_end == end;
      token_.number = is_whole ? Json(whole) : Json(value);
      at_ += static_cast<std::size_t>(end - first);
    }
    if (is_name_byte(here())) bad("a number ends here; a name cannot begin with a digit");
  }

  void read_text() {
    token_.kind = TokenKind::text;
    if (auto text = quoted()) token_.text = *std::move(text);
  }

  /// A quoted text from the quote on; a doubled quote stands for itself.
  std::optional<std::string> quoted() {
    const std::size_t start = at_;
    const char quote = text_[at_++];
    std::string value;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == quote && here(1) != quote) {
        ++at_;
        return value;
      }
      if (c == quote) ++at_;
      if (c == '\\') {
        const auto escaped = escape();
        if (!escaped) return std::nullopt;
        value += *escaped;
      } else {
        value += c;
        ++at_;
      }
    }
    at_ = start;
    bad("this text has no closing quote");
    return std::nullopt;
  }

  std::optional<char> escape() {
    constexpr std::string_view kLetters = "nrtbf\\'\"/";
    constexpr std::string_view kMeanings = "\n\r\t\b\f\\'\"/";
    const std::size_t index = kLetters.find(here(1));
    if (at_ + 1 >= text_.size() || index == std::string_view::npos) {
      bad("unknown escape; write \\\\ for a backslash");
      return std::nullopt;
    }
    at_ += 2;
    return kMeanings[index];
  }

  /// A name's first part, then .part, [0], ['part'], [[part]] as long as they follow without a blank.
  void read_name() {
    token_.kind = TokenKind::name;
    if (here() == '[') {
      if (!read_bracket()) return;
      token_.text = "[";  // Marks that it is no keyword.
    } else {
      read_plain_part();
      // In "x IN['a']" the bracket opens a list.
      if (token_.is_keyword("in") || token_.is_keyword("nin")) return;
    }
    read_path_rest();
  }

  void read_plain_part() {
    const std::size_t start = at_;
    while (is_name_byte(here()) || here() == '$') ++at_;
    token_.path.emplace_back(text_.substr(start, at_ - start));
  }

  void read_path_rest() {
    while (token_.kind != TokenKind::bad) {
      if (here() == '[') {
        if (!read_bracket()) return;
      } else if (here() == '.' && here(1) == '[') {
        ++at_;
        if (!read_bracket()) return;
      } else if (here() == '.') {
        ++at_;
        if (!is_name_byte(here()) && here() != '$') return bad("a name must follow the dot");
        read_plain_part();
      } else {
        return;
      }
    }
  }

  bool read_bracket() {
    const std::size_t start = at_;
    if (take("[[")) {
      const std::size_t close = text_.find("]]", at_);
      if (close == std::string_view::npos || close == at_) return unclosed(start, "[[ needs a name and ]]");
      token_.path.emplace_back(text_.substr(at_, close - at_));
      at_ = close + 2;
      return true;
    }
    ++at_;
    if (here() == '\'' || here() == '"') {
      auto part = quoted();
      if (!part) return false;
      token_.path.push_back(*std::move(part));
    } else {
      const std::size_t digits = at_;
      while (is_digit(here())) ++at_;
      if (at_ == digits) return unclosed(start, "a number or a quoted name belongs into the brackets");
      token_.path.emplace_back(text_.substr(digits, at_ - digits));
    }
    if (!take("]")) return unclosed(start, "this bracket is not closed");
    return true;
  }

  bool unclosed(std::size_t start, std::string why) {
    at_ = start;
    bad(std::move(why));
    return false;
  }

  void read_dollar() {
    const std::size_t start = at_;
    if (take("{$")) {
      const std::size_t close = text_.find('}', at_);
      if (close == std::string_view::npos || close == at_) {
        at_ = start;
        return bad("{$ needs a name and }");
      }
      token_.kind = TokenKind::system;
      token_.text = text_.substr(at_, close - at_);
      at_ = close + 1;
      return;
    }
    ++at_;
    const std::size_t name = at_;
    while (is_name_byte(here())) ++at_;
    if (at_ == name) {
      at_ = start;
      return bad("a name must follow the $");
    }
    token_.text = text_.substr(name, at_ - name);
    if (token_.text == "body") {
      token_.kind = TokenKind::body;
      read_path_rest();
    } else if (here() == '.') {
      token_.kind = TokenKind::name;
      token_.path.push_back("$" + token_.text);
      read_path_rest();
    } else {
      token_.kind = TokenKind::system;
    }
  }

  void read_symbol() {
    constexpr std::array<std::string_view, 20> kSymbols{"<=", ">=", "!=", "<>", "||", "??", "<", ">", "=", "+",
                                                        "-",  "*",  "/",  "%",  "(",  ")",  ",", "[", "]", "."};
    for (const std::string_view symbol : kSymbols) {
      if (take(symbol)) {
        token_.kind = TokenKind::symbol;
        token_.text = symbol;
        return;
      }
    }
    bad("this character has no meaning here");
    ++at_;
  }

  std::string_view text_;
  std::size_t at_;
  Token token_;
};

/// The column of a caret counts characters, not bytes.
}  // namespace

std::size_t character_count(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& part : path) text += (text.empty() ? "" : ".") + part;
  return text;
}

bool Token::is_keyword(std::string_view keyword) const {
  return kind == TokenKind::name && text.empty() && path.size() == 1 && equal_ignoring_case(path.front(), keyword);
}

Token Lexer::token_at(std::size_t from) const { return Reader(text_, std::min(from, text_.size())).read(); }

Error error_at(std::string_view text, std::size_t at, std::string_view why) {
  at = std::min(at, text.size());
  const std::size_t break_before = text.substr(0, at).rfind('\n');
  std::size_t first = break_before == std::string_view::npos ? 0 : break_before + 1;
  const std::size_t last = std::min(text.find('\n', at), text.size());
  // A long line is shown around the place.
  if (at - first > kShownBytesMax / 2) first = at - kShownBytesMax / 2;
  while (first < at && is_continuation(text[first])) ++first;
  std::string shown(text.substr(first, std::min(last - first, kShownBytesMax)));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  const std::size_t column = character_count(text.substr(first, at - first));
  return Error{ErrorCode::invalid_argument, fmt::format("{}\n  {}\n  {:>{}}", why, shown, '^', column + 1)};
}

bool equal_ignoring_case(std::string_view a, std::string_view b) { return lower_case(a) == lower_case(b); }

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

}  // namespace verge::expression
