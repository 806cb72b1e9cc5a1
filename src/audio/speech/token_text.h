// audio/speech/token_text.h -- token ids of a SentencePiece-style vocabulary back to text.
//
// Source: the Hugging Face tokenizer.json layout, model.vocab with byte fall-back tokens <0xNN>; "▁" stands for a
// blank. Threads: immutable after load.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::audio {

class TokenText {
 public:
  /// Errors: not_found, corrupt (no model.vocab), limit (more than 1,000,000 tokens).
  static Result<TokenText> load(const std::filesystem::path& tokenizer_json);
  /// Unknown and special ids give nothing; blanks at both ends go.
  std::string text(std::span<const std::int64_t> ids) const;
  /// One token's bytes, a blank at its front where it begins a word; empty for unknown and special ids.
  std::string_view piece(std::int64_t id) const;
  std::size_t size() const { return pieces_.size(); }

 private:
  std::vector<std::string> pieces_;  ///< By id; bytes, blanks already replaced.
};

}  // namespace verge::audio
