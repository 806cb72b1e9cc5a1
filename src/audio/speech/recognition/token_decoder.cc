#include "audio/speech/recognition/token_decoder.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/crypto.h"
#include "base/disk.h"

namespace verge::audio {
namespace {

constexpr std::string_view kPast = "past_key_values", kPresent = "present";
constexpr std::size_t kDecoderBytesMax = std::size_t{1} << 30U;

bool has_input(const inference::Session& session, std::string_view name) {
  return std::ranges::any_of(session.inputs(), [&](const auto& input) { return input.name == name; });
}

}  // namespace

Result<std::unique_ptr<TokenDecoder>> TokenDecoder::load(const std::filesystem::path& model, int threads) {
  const std::string doing = fmt::format("load the decoder \"{}\"", model.string());
  std::unique_ptr<TokenDecoder> decoder(new TokenDecoder);
  models::OnnxModel merged;
  MergedDecoder parts;
  {
    VERGE_TRY(const std::string bytes, read_file(model, kDecoderBytesMax));
    decoder->digest_ = sha256_digest(bytes);
    auto parsed = models::parse_model(bytes);
    if (!parsed) return std::move(parsed).error().within(doing);
    auto apart = take_apart(*parsed);
    if (!apart) {
      return std::move(apart).error().within(doing + ": give a merged decoder with a key/value cache");
    }
    merged.graph.inputs = parsed->graph.inputs;
    merged.graph.outputs = parsed->graph.outputs;
    parts = *std::move(apart);
  }
  const inference::SessionOptions options{.threads = threads, .device = "cpu"};
  VERGE_TRY(decoder->first_, inference::load_onnx_bytes(models::to_bytes(parts.first.model), options));
  VERGE_TRY(decoder->later_, inference::load_onnx_bytes(models::to_bytes(parts.later.model), options));
  decoder->embeddings_ = std::move(parts.embeddings);

  decoder->first_outputs_.push_back(parts.first.outputs.front());
  decoder->later_outputs_.push_back(parts.later.outputs.front());
  std::vector<std::string> encoder_outputs;
  for (std::size_t at = 1; at < merged.graph.outputs.size(); ++at) {
    const std::string& name = merged.graph.outputs[at].name;
    if (!name.starts_with(kPresent)) continue;
    const std::string past = std::string(kPast) + name.substr(kPresent.size());
    if (name.find(".decoder.") != std::string::npos) {
      decoder->first_outputs_.push_back(parts.first.outputs[at]);
      decoder->later_outputs_.push_back(parts.later.outputs[at]);
      decoder->past_names_.push_back(past);
    } else if (has_input(*decoder->later_, past)) {
      encoder_outputs.push_back(parts.first.outputs[at]);
      decoder->encoder_names_.push_back(past);
    }
  }
  auto connected = decoder->connect(merged);
  if (!connected) return std::move(connected).error().within(doing);
  decoder->first_outputs_.insert(decoder->first_outputs_.end(), encoder_outputs.begin(), encoder_outputs.end());
  return decoder;
}

/// Checks the interface and makes the buffers.
Status TokenDecoder::connect(const models::OnnxModel& merged) {
  if (past_names_.empty() || merged.graph.outputs.front().name != "logits" ||
      !has_input(*first_, "encoder_hidden_states")) {
    return Error{ErrorCode::invalid_argument,
                 "wants inputs input_ids, encoder_hidden_states, use_cache_branch and past_key_values.N.decoder.key …, "
                 "outputs logits and present.N.…"};
  }
  if (embeddings_) {
    const auto width = static_cast<std::int64_t>(embeddings_->width());
    vocabulary_ = embeddings_->rows();
    token_ = inference::Tensor(embeddings_->is_signed() ? inference::DataType::int8 : inference::DataType::uint8,
                               {1, 1, width});
    output_ = inference::Tensor(inference::DataType::float32, {1, 1, width});
    logits_.resize(vocabulary_);
    return Done{};
  }
  const auto& shape = merged.graph.outputs.front().shape;
  if (shape.size() != 3 || shape.back() < 1)
    return Error{ErrorCode::invalid_argument, "logits must be [batch, tokens, vocabulary] with a fixed vocabulary"};
  vocabulary_ = static_cast<std::size_t>(shape.back());
  token_ = inference::Tensor(inference::DataType::int64, {1, 1});
  output_ = inference::Tensor(inference::DataType::float32, {1, 1, shape.back()});
  return Done{};
}

Status TokenDecoder::take_token(std::int64_t token) {
  if (token < 0 || static_cast<std::size_t>(token) >= vocabulary_)
    return Error{ErrorCode::invalid_argument, fmt::format("decode token {}: there are {}", token, vocabulary_)};
  if (embeddings_) {
    embeddings_->read_row(static_cast<std::size_t>(token), token_.values<std::uint8_t>());
  } else {
    token_.values<std::int64_t>()[0] = token;
  }
  return Done{};
}

inference::NamedTensor TokenDecoder::token_input() const {
  return {embeddings_ ? MergedDecoder::kEmbedding : std::string_view("input_ids"), &token_};
}

Result<std::span<const float>> TokenDecoder::logits_of(std::span<const float> output) {
  if (!embeddings_) return output.last(vocabulary_);
  embeddings_->multiply(output.last(embeddings_->width()), logits_);
  return std::span<const float>(logits_);
}

Result<std::span<const float>> TokenDecoder::begin(const inference::Tensor& hidden, std::int64_t token, State& state) {
  VERGE_CHECK(take_token(token));
  const inference::NamedTensor inputs[] = {token_input(), {"encoder_hidden_states", &hidden}};
  const std::vector<std::string_view> wanted(first_outputs_.begin(), first_outputs_.end());
  VERGE_TRY(auto outputs, first_->run(inputs, wanted));
  const auto encoders = outputs.begin() + 1 + static_cast<std::ptrdiff_t>(past_names_.size());
  state.keys.assign(std::make_move_iterator(outputs.begin() + 1), std::make_move_iterator(encoders));
  state.of_the_encoder = std::make_shared<const std::vector<inference::Tensor>>(std::make_move_iterator(encoders),
                                                                                std::make_move_iterator(outputs.end()));
  state.token_count = 1;
  for (const auto& keys : state.keys) {
    if (keys.shape().size() != 4 || keys.shape()[2] != 1)
      return Error{ErrorCode::invalid_argument, "run the decoder: present keys must be [1, heads, tokens, width]"};
  }
  output_ = std::move(outputs.front());
  return logits_of(output_.values<float>());
}

Result<std::span<const float>> TokenDecoder::step(std::int64_t token, State& state) {
  VERGE_CHECK(take_token(token));
  std::vector<inference::NamedTensor> inputs{token_input()};
  for (std::size_t at = 0; at < encoder_names_.size(); ++at)
    inputs.push_back({encoder_names_[at], &(*state.of_the_encoder)[at]});
  std::vector<inference::NamedTarget> outputs{{later_outputs_.front(), &output_}};
  spare_.resize(state.keys.size());
  for (std::size_t at = 0; at < state.keys.size(); ++at) {
    auto shape = state.keys[at].shape();
    ++shape[2];
    spare_[at].reshape(std::move(shape));
    inputs.push_back({past_names_[at], &state.keys[at]});
    outputs.push_back({later_outputs_[at + 1], &spare_[at]});
  }
  VERGE_CHECK(later_->run_into(inputs, outputs));
  std::swap(state.keys, spare_);
  ++state.token_count;
  return logits_of(output_.values<float>());
}

}  // namespace verge::audio
