// audio/speech/recognition/token_decoder.h -- the decoder of an encoder-decoder recogniser, one token a step.
//
// A merged decoder with a key/value cache (Optimum's interface: input_ids, encoder_hidden_states, use_cache_branch,
// past_key_values.N.(decoder|encoder).(key|value) -> logits, present.…), as Moonshine and Whisper have. It is taken
// apart once (merged_decoder.h). Keys and values stay where they are: each step writes into buffers that are kept and
// swapped. Threads: one call at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "audio/speech/recognition/merged_decoder.h"
#include "base/result.h"
#include "inference/session.h"

namespace verge::audio {

class TokenDecoder {
 public:
  /// What was said so far, as the decoder remembers it. Copying costs the decoder's own keys and values; the encoder's
  /// are shared.
  struct State {
    std::vector<inference::Tensor> keys;                                   ///< [1, heads, tokens, width] each.
    std::shared_ptr<const std::vector<inference::Tensor>> of_the_encoder;  ///< The same of what was heard.
    std::int64_t token_count = 0;
  };

  /// Errors: those of load_model and load_onnx_bytes; invalid_argument when it has not the interface above.
  static Result<std::unique_ptr<TokenDecoder>> load(const std::filesystem::path& model, int threads);

  /// The first token after the encoder's [1, T, width]. Returns the logits of what follows, valid until the next call.
  Result<std::span<const float>> begin(const inference::Tensor& hidden, std::int64_t token, State& state);
  Result<std::span<const float>> step(std::int64_t token, State& state);
  /// Of the merged file.
  const std::string& model_digest() const { return digest_; }

 private:
  TokenDecoder() = default;
  Status connect(const models::OnnxModel& merged);
  Result<std::span<const float>> logits_of(std::span<const float> output);
  Status take_token(std::int64_t token);
  inference::NamedTensor token_input() const;

  std::unique_ptr<inference::Session> first_, later_;
  std::optional<ByteTable> embeddings_;
  std::string digest_;
  std::size_t vocabulary_ = 0;
  std::vector<std::string> first_outputs_;               ///< The output, the own keys, the encoder's.
  std::vector<std::string> past_names_, encoder_names_;  ///< Inputs of later_.
  std::vector<std::string> later_outputs_;               ///< The output, the own keys.
  std::vector<inference::Tensor> spare_;                 ///< Where the next keys go.
  inference::Tensor token_, output_;
  std::vector<float> logits_;
};

}  // namespace verge::audio
