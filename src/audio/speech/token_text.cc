#include "audio/speech/token_text.h"

#include "base/bytes.h"
#include "base/disk.h"
#include "base/json.h"

namespace verge::audio {
namespace {

constexpr std::size_t kTokensMax = 1'000'000;
constexpr std::string_view kBlank = "\xE2\x96\x81";  // U+2581

bool is_special(std::string_view piece) {
  return piece == "<unk>" || piece == "<s>" || piece == "</s>" || (piece.starts_with("<<") && piece.ends_with(">>"));
}

std::string bytes_of_piece(std::string_view piece) {
  if (is_special(piece)) return {};
  if (piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with(">")) {
    auto byte = from_hex(piece.substr(3, 2));
    return byte ? *byte : std::string();
  }
  std::string text;
  for (std::size_t at = 0; at < piece.size();) {
    if (piece.substr(at).starts_with(kBlank)) {
      text += ' ';
      at += kBlank.size();
    } else {
      text += piece[at++];
    }
  }
  return text;
}

}  // namespace

Result<TokenText> TokenText::load(const std::filesystem::path& tokenizer_json) {
  VERGE_TRY(const auto content, read_file(tokenizer_json, 64U << 20U));
  auto json = parse_json(content);
  const Json* vocabulary = json ? find_member(*json, {"model", "vocab"}) : nullptr;
  if (vocabulary == nullptr || !vocabulary->is_object()) {
    return Error{ErrorCode::corrupt, "load the tokenizer \"" + tokenizer_json.string() + "\": it has no model.vocab"};
  }
  TokenText tokens;
  for (const auto& [piece, id] : vocabulary->items()) {
    if (!id.is_number_unsigned()) continue;
    const auto index = id.get<std::size_t>();
    if (index >= kTokensMax)
      return Error{ErrorCode::limit, "load the tokenizer: token id " + std::to_string(index) + " is too large"};
    if (index >= tokens.pieces_.size()) tokens.pieces_.resize(index + 1);
    tokens.pieces_[index] = bytes_of_piece(piece);
  }
  return tokens;
}

std::string TokenText::text(std::span<const std::int64_t> ids) const {
  std::string joined;
  for (const std::int64_t id : ids) joined += piece(id);
  return std::string(trimmed(joined, " "));
}

std::string_view TokenText::piece(std::int64_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= pieces_.size()) return {};
  return pieces_[static_cast<std::size_t>(id)];
}

}  // namespace verge::audio
