#include "audio/speech/recognition/encoder_decoder.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace verge::audio {
namespace {

constexpr double kNegligible = 25;          ///< exp(-25) of the likeliest token: together below 1e-6.
constexpr double kHopeless = 12;            ///< So far below the likeliest no token is followed.
constexpr std::size_t kFollowedExtra = 64;  ///< Tokens looked at for the phrases' sake.
constexpr std::size_t kPeriodMax = 12;      ///< Tokens of a loop.
constexpr std::size_t kRoundsMax = 4;       ///< So often the same few tokens are a loop.

double log_of_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  const float least = largest - static_cast<float>(kNegligible);
  double sum = 0;
  for (const float logit : logits) {
    if (logit > least) sum += std::exp(static_cast<double>(logit) - largest);
  }
  return largest + std::log(sum);
}

struct Hypothesis {
  TokenDecoder::State state;
  std::vector<std::int64_t> ids;
  std::vector<double> log_probabilities;  ///< Of ids; with the end's after them once it ended.
  double sum = 0;                         ///< Of log_probabilities.
  double bonus = 0;                       ///< Of the phrases.
  PhraseBias::State phrase;
  std::vector<float> logits;  ///< Of what follows.

  double mean() const { return sum / static_cast<double>(log_probabilities.size()); }
  /// Per token, so that short texts have no advantage.
  double rank() const { return (sum + bonus) / static_cast<double>(ids.size() + 1); }
};

/// A token that may follow a hypothesis.
struct Continuation {
  std::size_t hypothesis = 0;
  std::int64_t token = 0;
  double log_probability = 0, bonus = 0;
  PhraseBias::State phrase;
  double rank = 0;
};

/// Tokens at the end that only say again what stands before them: the same few, kRoundsMax times.
std::size_t loop_at_end(const std::vector<std::int64_t>& ids, std::size_t repetitions_max) {
  for (std::size_t period = 1; period <= kPeriodMax; ++period) {
    const std::size_t rounds = period == 1 ? repetitions_max : kRoundsMax;
    if (ids.size() < period * rounds) continue;
    const auto begin = ids.end() - static_cast<std::ptrdiff_t>(period * rounds);
    if (std::equal(begin + static_cast<std::ptrdiff_t>(period), ids.end(), begin)) return period * (rounds - 1);
  }
  return 0;
}

class EncoderDecoder final : public SpeechRecognizer {
 public:
  EncoderDecoder(std::unique_ptr<inference::Session> encoder, std::unique_ptr<TokenDecoder> decoder, TokenText tokens,
                 EncoderDecoderForm form, RecognizerOptions options)
      : encoder_(std::move(encoder)),
        decoder_(std::move(decoder)),
        tokens_(std::move(tokens)),
        form_(std::move(form)),
        options_(std::move(options)) {}

  Result<Transcript> recognize(std::span<const float> samples) override {
    VERGE_CHECK(check_length(samples));
    const double seconds = static_cast<double>(samples.size()) / kRateHz;
    VERGE_TRY(const auto hidden, encode(samples));
    VERGE_TRY(auto best, search(hidden, static_cast<std::size_t>(seconds * options_.tokens_per_s_max) + 8));
    return transcript_of(best, seconds);
  }
  std::string model_digest() const override { return decoder_->model_digest(); }

 private:
  Result<inference::Tensor> encode(std::span<const float> samples) {
    const auto sound = inference::Tensor::of<float>({1, static_cast<std::int64_t>(samples.size())}, samples);
    const inference::NamedTensor input{encoder_->inputs().front().name, &sound};
    VERGE_TRY(auto outputs, encoder_->run({&input, 1}));
    return std::move(outputs.front());
  }

  Result<Hypothesis> begin(const inference::Tensor& hidden) {
    Hypothesis begun;
    VERGE_TRY(auto logits, decoder_->begin(hidden, form_.begin_tokens.front(), begun.state));
    for (std::size_t at = 1; at < form_.begin_tokens.size(); ++at) {
      VERGE_TRY(logits, decoder_->step(form_.begin_tokens[at], begun.state));
    }
    begun.logits.assign(logits.begin(), logits.end());
    return begun;
  }

  /// The hypotheses that ended, the best first.
  Result<std::vector<Hypothesis>> search(const inference::Tensor& hidden, std::size_t tokens_max) {
    const auto beam = static_cast<std::size_t>(options_.beam);
    std::vector<Hypothesis> alive, ended;
    VERGE_TRY(auto begun, begin(hidden));
    alive.push_back(std::move(begun));
    while (!alive.empty() && ended.size() < beam) {
      const auto followed = continuations(alive, beam);
      std::vector<Hypothesis> longer;
      for (std::size_t at = 0; at < followed.size(); ++at) {
        const auto& next = followed[at];
        // The last one that follows a hypothesis takes its keys along, the others copy them.
        const bool is_last = std::none_of(followed.begin() + static_cast<std::ptrdiff_t>(at) + 1, followed.end(),
                                          [&](const auto& other) { return other.hypothesis == next.hypothesis; });
        auto& from = alive[next.hypothesis];
        auto hypothesis = is_last ? std::move(from) : from;
        VERGE_TRY(const bool has_ended, append(hypothesis, next, tokens_max));
        (has_ended ? ended : longer).push_back(std::move(hypothesis));
      }
      alive = std::move(longer);
      if (!ended.empty() && beam == 1) break;
    }
    std::ranges::move(alive, std::back_inserter(ended));
    for (auto& hypothesis : ended) {
      if (options_.phrases) hypothesis.bonus += options_.phrases->finish(hypothesis.phrase);
    }
    std::ranges::stable_sort(ended, std::ranges::greater{}, &Hypothesis::rank);
    return ended;
  }

  /// True when that was the end.
  Result<bool> append(Hypothesis& hypothesis, const Continuation& next, std::size_t tokens_max) {
    hypothesis.sum += next.log_probability;
    hypothesis.bonus += next.bonus;
    hypothesis.phrase = next.phrase;
    hypothesis.log_probabilities.push_back(next.log_probability);
    if (next.token == form_.end_token) return true;
    hypothesis.ids.push_back(next.token);
    if (const auto surplus = loop_at_end(hypothesis.ids, static_cast<std::size_t>(options_.repetitions_max))) {
      hypothesis.ids.resize(hypothesis.ids.size() - surplus);
      hypothesis.log_probabilities.resize(hypothesis.ids.size());
      return true;
    }
    if (hypothesis.ids.size() >= tokens_max) return true;
    VERGE_TRY(const auto logits, decoder_->step(next.token, hypothesis.state));
    hypothesis.logits.assign(logits.begin(), logits.end());
    return false;
  }

  std::vector<Continuation> continuations(std::vector<Hypothesis>& alive, std::size_t beam) {
    std::vector<Continuation> all;
    for (std::size_t at = 0; at < alive.size(); ++at) continue_one(alive[at], at, beam, all);
    std::ranges::stable_sort(all, std::ranges::greater{}, &Continuation::rank);
    all.resize(std::min(all.size(), beam));
    return all;
  }

  void continue_one(Hypothesis& hypothesis, std::size_t at, std::size_t beam, std::vector<Continuation>& all) {
    auto& logits = hypothesis.logits;
    const double scale = log_of_sum_exp(logits);
    float& end = logits[static_cast<std::size_t>(form_.end_token)];
    if (hypothesis.ids.empty() && std::exp(end - scale) < options_.end_probability_noise) end = -1e30F;
    for (const std::int64_t token : likeliest(logits, beam)) {
      Continuation next{at, token, logits[static_cast<std::size_t>(token)] - scale, 0, hypothesis.phrase, 0};
      if (options_.phrases && token != form_.end_token)
        next.bonus = options_.phrases->add(tokens_.piece(token), next.phrase);
      next.rank = (hypothesis.sum + next.log_probability + hypothesis.bonus + next.bonus) /
                  static_cast<double>(hypothesis.ids.size() + 1);
      all.push_back(next);
    }
  }

  std::vector<std::int64_t> likeliest(std::span<const float> logits, std::size_t beam) const {
    const auto best = std::max_element(logits.begin(), logits.end());
    if (beam == 1 && !options_.phrases) return {best - logits.begin()};
    std::vector<std::int64_t> tokens;
    for (std::size_t token = 0; token < logits.size(); ++token) {
      if (logits[token] > *best - kHopeless) tokens.push_back(static_cast<std::int64_t>(token));
    }
    const auto kept = std::min(tokens.size(), beam + (options_.phrases ? kFollowedExtra : 0));
    std::ranges::partial_sort(tokens, tokens.begin() + static_cast<std::ptrdiff_t>(kept), std::ranges::greater{},
                              [&](std::int64_t token) { return logits[static_cast<std::size_t>(token)]; });
    tokens.resize(kept);
    return tokens;
  }

  Transcript transcript_of(std::vector<Hypothesis>& found, double seconds) const {
    Transcript transcript;
    if (found.empty()) return transcript;
    const auto& best = found.front();
    transcript.confidence = std::exp(best.mean());
    transcript.token_count = best.ids.size();
    if (best.mean() < options_.log_probability_min) return transcript;
    transcript.text = tokens_.text(best.ids);
    transcript.words =
        spoken_words(tokens_, best.ids, std::span(best.log_probabilities).first(best.ids.size()), seconds);
    for (std::size_t at = 1; at < found.size(); ++at)
      transcript.alternatives.push_back({tokens_.text(found[at].ids), found[at].sum});
    return transcript;
  }

  const std::unique_ptr<inference::Session> encoder_;
  const std::unique_ptr<TokenDecoder> decoder_;
  const TokenText tokens_;
  const EncoderDecoderForm form_;
  const RecognizerOptions options_;
};

}  // namespace

Result<std::unique_ptr<SpeechRecognizer>> load_encoder_decoder(const std::filesystem::path& folder,
                                                               EncoderDecoderForm form, RecognizerOptions options,
                                                               int threads) {
  VERGE_TRY(auto encoder, inference::load_onnx(folder / form.encoder, {.threads = threads, .device = "cpu"}));
  VERGE_TRY(auto decoder, TokenDecoder::load(folder / form.decoder, threads));
  VERGE_TRY(auto tokens, TokenText::load(folder / form.tokenizer));
  return std::unique_ptr<SpeechRecognizer>(new EncoderDecoder(std::move(encoder), std::move(decoder), std::move(tokens),
                                                              std::move(form), std::move(options)));
}

}  // namespace verge::audio
