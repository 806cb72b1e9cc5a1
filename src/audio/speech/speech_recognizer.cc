#include "audio/speech/speech_recognizer.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace verge::audio {
namespace {

constexpr std::int64_t kBeginToken = 1;
constexpr std::int64_t kEndToken = 2;
constexpr double kModelRateHz = 16'000;
constexpr double kSecondsMin = 0.1;
constexpr double kSecondsMax = 30;

struct Choice {
  std::int64_t token = kEndToken;
  double log_probability = 0;
};

double log_of_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

Choice choose(std::span<const float> logits, bool end_is_forbidden) {
  std::size_t best = end_is_forbidden && kEndToken == 0 ? 1 : 0;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if (end_is_forbidden && token == static_cast<std::size_t>(kEndToken)) continue;
    if (logits[token] > logits[best]) best = token;
  }
  return {static_cast<std::int64_t>(best), static_cast<double>(logits[best]) - log_of_sum_exp(logits)};
}

double probability_of(std::span<const float> logits, std::int64_t token) {
  return std::exp(static_cast<double>(logits[static_cast<std::size_t>(token)]) - log_of_sum_exp(logits));
}

int repeated_at_end(const std::vector<std::int64_t>& tokens) {
  int count = 0;
  for (auto token = tokens.rbegin(); token != tokens.rend() && *token == tokens.back(); ++token) ++count;
  return count;
}

}  // namespace

Result<std::unique_ptr<SpeechRecognizer>> SpeechRecognizer::load(const std::filesystem::path& folder,
                                                                 RecognizerOptions options, int threads) {
  VERGE_TRY(auto encoder, inference::load_onnx(folder / "encoder.onnx", {.threads = threads, .device = "cpu"}));
  VERGE_TRY(auto decoder, inference::load_onnx(folder / "decoder.onnx", {.threads = threads, .device = "cpu"}));
  VERGE_TRY(auto tokens, TokenText::load(folder / "tokenizer.json"));
  for (const char* name : {"input_ids", "encoder_hidden_states", "use_cache_branch"}) {
    const auto& inputs = decoder->inputs();
    if (std::none_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.name == name; })) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("load the recogniser \"{}\": decoder.onnx has no input \"{}\"; give a merged Moonshine "
                               "decoder with key/value cache",
                               folder.string(), name)};
    }
  }
  return std::unique_ptr<SpeechRecognizer>(
      new SpeechRecognizer(std::move(encoder), std::move(decoder), std::move(tokens), options));
}

SpeechRecognizer::SpeechRecognizer(std::unique_ptr<inference::Session> encoder,
                                   std::unique_ptr<inference::Session> decoder, TokenText tokens,
                                   RecognizerOptions options)
    : encoder_(std::move(encoder)),
      decoder_(std::move(decoder)),
      tokens_(std::move(tokens)),
      options_(options),
      token_(inference::DataType::int64, {1, 1}),
      uses_cache_(inference::DataType::boolean, {1}) {
  constexpr std::string_view kPast = "past_key_values";
  for (const auto& input : decoder_->inputs()) {
    if (!input.name.starts_with(kPast)) continue;
    past_names_.push_back(input.name);
    present_names_.push_back("present" + input.name.substr(kPast.size()));
  }
}

Result<Transcript> SpeechRecognizer::recognize(std::span<const float> samples) {
  const double seconds = static_cast<double>(samples.size()) / kModelRateHz;
  if (seconds < kSecondsMin || seconds > kSecondsMax) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("recognise {:.2f} s of sound: give {}..{} s", seconds, kSecondsMin, kSecondsMax)};
  }
  VERGE_TRY(const auto hidden, encode(samples));
  begin_cache();

  const auto tokens_max = static_cast<std::size_t>(seconds * options_.tokens_per_s_max) + 8;
  std::vector<std::int64_t> ids;
  std::vector<double> log_probabilities;
  double log_probability = 0;
  std::int64_t token = kBeginToken;
  while (ids.size() < tokens_max) {
    const bool is_first = ids.empty();
    VERGE_TRY(const auto logits, step(token, hidden, is_first));
    const bool end_is_forbidden = is_first && probability_of(logits, kEndToken) < options_.end_probability_noise;
    const auto choice = choose(logits, end_is_forbidden);
    log_probability += choice.log_probability;
    if (choice.token == kEndToken) break;
    ids.push_back(choice.token);
    log_probabilities.push_back(choice.log_probability);
    token = choice.token;
    if (repeated_at_end(ids) >= options_.repetitions_max) break;
  }

  const double mean = log_probability / static_cast<double>(ids.size() + 1);
  Transcript transcript{.text = {}, .confidence = std::exp(mean), .token_count = ids.size(), .words = {}};
  if (mean < options_.log_probability_min) return transcript;
  transcript.text = tokens_.text(ids);
  transcript.words = spoken_words(tokens_, ids, log_probabilities, seconds);
  return transcript;
}

Result<inference::Tensor> SpeechRecognizer::encode(std::span<const float> samples) {
  const auto sound = inference::Tensor::of<float>({1, static_cast<std::int64_t>(samples.size())}, samples);
  const inference::NamedTensor input{encoder_->inputs().front().name, &sound};
  VERGE_TRY(auto outputs, encoder_->run({&input, 1}));
  return std::move(outputs.front());
}

/// Empty keys and values: [1, heads, 0, width].
void SpeechRecognizer::begin_cache() {
  past_.clear();
  for (const auto& input : decoder_->inputs()) {
    if (std::find(past_names_.begin(), past_names_.end(), input.name) == past_names_.end()) continue;
    auto shape = input.shape;
    shape[0] = 1;
    shape[2] = 0;
    past_.emplace_back(inference::DataType::float32, std::move(shape));
  }
}

Result<std::vector<float>> SpeechRecognizer::step(std::int64_t token, const inference::Tensor& hidden, bool is_first) {
  token_.values<std::int64_t>()[0] = token;
  uses_cache_.values<std::uint8_t>()[0] = is_first ? 0 : 1;
  std::vector<inference::NamedTensor> inputs{
      {"input_ids", &token_}, {"encoder_hidden_states", &hidden}, {"use_cache_branch", &uses_cache_}};
  std::vector<std::string_view> wanted{"logits"};
  std::vector<std::size_t> replaced;
  for (std::size_t at = 0; at < past_names_.size(); ++at) {
    inputs.push_back({past_names_[at], &past_[at]});
    // The encoder's keys are made in the first step and stay; later steps return them empty.
    if (is_first || past_names_[at].find(".decoder.") != std::string::npos) {
      wanted.push_back(present_names_[at]);
      replaced.push_back(at);
    }
  }
  VERGE_TRY(auto outputs, decoder_->run(inputs, wanted));
  for (std::size_t at = 0; at < replaced.size(); ++at) past_[replaced[at]] = std::move(outputs[at + 1]);
  const auto logits = outputs.front().values<float>();
  const auto vocabulary = static_cast<std::ptrdiff_t>(outputs.front().shape().back());
  return std::vector<float>(logits.end() - vocabulary, logits.end());
}

}  // namespace verge::audio
