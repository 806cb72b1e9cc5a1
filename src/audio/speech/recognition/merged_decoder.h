// audio/speech/recognition/merged_decoder.h -- a merged decoder taken apart, so that a step computes only what it
// needs.
//
// A merged decoder (Hugging Face Optimum) is one If: a branch for the first token, which makes the encoder's keys and
// values, and one for later tokens. Each becomes a model of its own. Where its embeddings are a table of bytes, as in
// the quantized files, the engine would turn the whole table into floats in every step, twice; the table is taken out:
// the models then begin at a token's embedding and end at the hidden vector. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "audio/speech/recognition/byte_table.h"
#include "models/onnx_graph.h"

namespace verge::audio {

struct DecoderBranch {
  models::OnnxModel model;
  std::vector<std::string> outputs;  ///< What the branch calls the merged model's outputs, in its order.
};

struct MergedDecoder {
  DecoderBranch first, later;
  /// Set: input kEmbedding [1, 1, width], a row's bytes, stands for input_ids, and the output that was "logits" is the
  /// hidden vector [1, 1, width]. (Bytes and not floats: the engine then computes exactly what it computed before.)
  std::optional<ByteTable> embeddings;
  static constexpr std::string_view kEmbedding = "verge_embedding";
};

/// Errors: invalid_argument when the model is not one If on "use_cache_branch".
Result<MergedDecoder> take_apart(const models::OnnxModel& merged);

}  // namespace verge::audio
