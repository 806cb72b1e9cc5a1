#include "cli/quantize_model.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <memory>
#include <set>

#include "base/crypto.h"
#include "base/disk.h"
#include "connectors/camera/picture_folder.h"
#include "models/quantize.h"
#include "vision/recognition/picture_model.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

constexpr std::size_t kPicturesMin = 8;
constexpr std::size_t kPicturesMax = 800;  // Of all three hands together: some minutes.
constexpr std::size_t kRankPictures = 4;   // Each layer alone in 8 bits looks at so many.
/// What was chosen on some pictures does a little worse on others: choosing asks for this part of the way to 1 more.
constexpr double kChoosingMargin = 0.25;

struct Hands {
  std::vector<path> calibrating, choosing, judging;
};

Result<Hands> deal(const path& folder) {
  VERGE_TRY(const auto files, connectors::pictures_in(folder));
  if (files.size() < kPicturesMin) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("quantise with {}: it has {} pictures; at least {} of what the camera sees are needed, "
                             "half of them to choose and to judge",
                             folder.string(), files.size(), kPicturesMin)};
  }
  Hands hands;
  for (std::size_t at = 0; at < std::min(files.size(), kPicturesMax); ++at) {
    auto& hand = at % 2 == 0 ? hands.calibrating : at % 4 == 1 ? hands.choosing : hands.judging;
    hand.push_back(files[at]);
  }
  return hands;
}

Result<std::unique_ptr<models::Calibrator>> calibrate(const models::OnnxModel& model, const models::ModelCard& card,
                                                      const std::vector<path>& files, const PictureReader& read) {
  VERGE_TRY(const auto options, vision::letterbox_of(card, inference::DataType::float32));
  vision::Letterbox letterbox(options);
  inference::Tensor input(options.type, vision::shape_of(options));
  VERGE_TRY(auto calibrator, models::Calibrator::make(model));
  for (const auto& file : files) {
    VERGE_TRY(const auto frame, read(file));
    VERGE_CHECK(letterbox.fill(*frame, input));
    const inference::NamedTensor inputs[] = {{model.graph.inputs.front().name, &input}};
    VERGE_CHECK(calibrator->add(inputs));
  }
  return calibrator;
}

/// Sum over the outputs of the difference's size over the output's own.
double disturbance(const std::vector<inference::Tensor>& exact, const std::vector<inference::Tensor>& close) {
  double sum = 0;
  for (std::size_t i = 0; i < exact.size() && i < close.size(); ++i) {
    if (exact[i].type() != inference::DataType::float32) continue;
    const auto wanted = exact[i].values<float>();
    const auto given = close[i].values<float>();
    double difference = 0, size = 0;
    for (std::size_t at = 0; at < wanted.size(); ++at) {
      difference += std::pow(static_cast<double>(wanted[at]) - static_cast<double>(given[at]), 2);
      size += std::pow(static_cast<double>(wanted[at]), 2);
    }
    if (size > 0) sum += std::sqrt(difference / size);
  }
  return sum;
}

/// Looks for the fewest layers that must stay float32.
class Search {
 public:
  using Tell = std::function<void(const std::string&)>;

  Search(const QuantizeRequest& request, const models::OnnxModel& model, const models::ModelCard& card,
         models::Calibrator& calibrator, const Tell& tell)
      : request_(request),
        model_(model),
        card_(card),
        ranges_(calibrator.ranges()),
        moments_(calibrator.moments()),
        layers_(models::quantizable_convolutions(model, ranges_)),
        tell_(tell) {}

  struct Found {
    models::OnnxModel model;
    std::vector<std::string> float_layers;
    std::size_t layers = 0;
  };

  Result<Found> run(const std::vector<path>& choosing) {
    VERGE_TRY(auto whole, judge_of(model_));
    Found found{{}, {}, layers_.size()};
    std::vector<std::string> floats;
    for (std::size_t count = 0; count == 0 || count <= layers_.size() / 2; count = next(count)) {
      if (count > 0 && floats.empty()) {
        VERGE_TRY(floats, order(choosing));
      }
      found.float_layers.assign(floats.begin(), floats.begin() + static_cast<std::ptrdiff_t>(count));
      const std::string words = count == 0 ? "" : ", at last " + floats[count - 1];
      VERGE_TRY(const bool agrees, is_enough(found, whole, choosing, words));
      if (!agrees) continue;
      VERGE_CHECK(spare(found, whole, choosing));
      return found;
    }
    return Error{ErrorCode::conflict,
                 fmt::format("quantise {}: half of its layers in float32 do not make it find {:.1f} % again; the "
                             "calibration pictures may be too few or unlike the others, or ask for less with --agree",
                             request_.source.string(), 100 * request_.agree_min)};
  }

  Result<Judge> judge_of(const models::OnnxModel& model) const {
    VERGE_TRY(auto session, inference::load_onnx_bytes(models::to_bytes(model)));
    return Judge::make({card_, std::move(session)});
  }

 private:
  /// Makes the model with these layers in float32.
  Result<bool> is_enough(Found& found, Judge& whole, const std::vector<path>& choosing,
                         const std::string& words) const {
    VERGE_TRY(found.model, make(found.float_layers));
    VERGE_TRY(auto small, judge_of(found.model));
    VERGE_TRY(const Agreement agreement, compare(whole, small, choosing, request_.read));
    tell_(fmt::format(
        "{} of {} layers in float32{}: {:.1f} % found again, precision {:.1f} %, {:.1f} ms ({:.1f} float32)",
        found.float_layers.size(), layers_.size(), words, 100 * agreement.found_share(), 100 * agreement.precision(),
        agreement.small_cpu_ms, agreement.whole_cpu_ms));
    return is_enough(agreement);
  }

  /// Layers came by their rank, several at once: each that is not needed beside the others goes back to 8 bits.
  Status spare(Found& found, Judge& whole, const std::vector<path>& choosing) const {
    for (const std::string& layer : std::vector<std::string>(found.float_layers)) {
      Found fewer = found;
      std::erase(fewer.float_layers, layer);
      VERGE_TRY(const bool agrees, is_enough(fewer, whole, choosing, ", without " + layer));
      if (agrees) found = std::move(fewer);
    }
    return Done{};
  }

  bool is_enough(const Agreement& agreement) const {
    const auto wanted = [](double least) { return least + kChoosingMargin * (1 - least); };
    return agreement.found_share() >= wanted(request_.agree_min) &&
           agreement.precision() >= wanted(request_.precision_min);
  }

  /// None, then the ends, then one more and more.
  std::size_t next(std::size_t count) const {
    return count == 0 ? std::clamp<std::size_t>(ends().size(), 1, std::max<std::size_t>(1, layers_.size() / 2))
                      : count + std::max<std::size_t>(1, count / 4);
  }

  /// Layers that read the model's inputs or are read by no layer in 8 bits: what they lose nothing makes up for, and
  /// they gain little. The first sums few products, the last ones are small.
  std::vector<std::string> ends() const {
    std::set<std::string> inputs, read;
    for (const auto& input : model_.graph.inputs) inputs.insert(input.name);
    for (const auto& node : model_.graph.nodes) {
      // What only gives numbers another place or bends them hands them on to a layer, if one follows.
      if (models::is_quantizable_operator(node)) read.insert(node.inputs.begin(), node.inputs.end());
    }
    std::vector<std::string> found;
    for (const auto& node : model_.graph.nodes) {
      if (node.outputs.empty() || std::ranges::find(layers_, node.outputs[0]) == layers_.end()) continue;
      if (inputs.count(node.inputs[0]) != 0 || read.count(node.outputs[0]) == 0) found.push_back(node.outputs[0]);
    }
    return found;
  }

  /// The ends, then the others, each by their rank.
  Result<std::vector<std::string>> order(const std::vector<path>& files) const {
    VERGE_TRY(auto ordered, rank(files));
    const auto first = ends();
    std::stable_partition(ordered.begin(), ordered.end(),
                          [&](const auto& layer) { return std::ranges::find(first, layer) != first.end(); });
    return ordered;
  }

  Result<models::OnnxModel> make(const std::vector<std::string>& floats) const {
    return models::quantize(
        model_, ranges_,
        {.weight_bits = request_.weight_bits, .keep_float = {floats.begin(), floats.end()}, .moments = &moments_});
  }

  Result<std::unique_ptr<vision::PictureModel>> picture_model_of(const models::OnnxModel& model) const {
    VERGE_TRY(auto session, inference::load_onnx_bytes(models::to_bytes(model)));
    return vision::PictureModel::make({card_, std::move(session)});
  }

  /// The layers, the one that alone in 8 bits disturbs the outputs most first.
  Result<std::vector<std::string>> rank(const std::vector<path>& files) const {
    tell_(fmt::format("trying each of {} layers alone in 8 bits", layers_.size()));
    std::vector<std::shared_ptr<pipeline::Frame>> frames;
    std::vector<std::vector<inference::Tensor>> exact;
    VERGE_TRY(const auto whole, picture_model_of(model_));
    for (std::size_t i = 0; i < std::min(files.size(), kRankPictures); ++i) {
      VERGE_TRY(frames.emplace_back(), request_.read(files[i * files.size() / kRankPictures % files.size()]));
      VERGE_TRY(auto answer, whole->run(*frames.back()));
      exact.push_back(std::move(answer.outputs));
    }
    std::vector<std::pair<double, std::string>> disturbances;
    for (const std::string& layer : layers_) {
      std::vector<std::string> others = layers_;
      std::erase(others, layer);
      VERGE_TRY(const auto model, make(others));
      VERGE_TRY(const auto small, picture_model_of(model));
      double sum = 0;
      for (std::size_t i = 0; i < frames.size(); ++i) {
        VERGE_TRY(const auto answer, small->run(*frames[i]));
        sum += disturbance(exact[i], answer.outputs);
      }
      disturbances.emplace_back(sum, layer);
    }
    std::ranges::stable_sort(disturbances, std::greater<>{}, &std::pair<double, std::string>::first);
    std::vector<std::string> ranked;
    for (auto& [sum, layer] : disturbances) ranked.push_back(std::move(layer));
    return ranked;
  }

  const QuantizeRequest& request_;
  const models::OnnxModel& model_;
  const models::ModelCard& card_;
  const models::ValueRanges& ranges_;
  const models::InputMoments& moments_;
  const std::vector<std::string> layers_;
  const Tell& tell_;
};

Status check(const QuantizeRequest& request) {
  for (const double share : {request.agree_min, request.precision_min}) {
    if (!(share >= 0 && share <= 1))
      return Error{ErrorCode::invalid_argument, fmt::format("quantise: a share of {}; give 0 to 1", share)};
  }
  return Done{};
}

Status write(const QuantizeRequest& request, const QuantizeOutcome& outcome, models::ModelCard card,
             const std::string& bytes) {
  std::error_code problem;
  std::filesystem::create_directories(request.target, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("make the folder {}: {}", request.target.string(), problem.message())};
  card.name += "-int8";
  card.file = "model.onnx";
  card.digest = sha256_digest(bytes);
  card.metrics["quantised"] = {{"judged", outcome.judged.pictures},
                               {"found_again", outcome.judged.found_share()},
                               {"precision", outcome.judged.precision()},
                               {"float_layers", outcome.float_layers.size()},
                               {"weight_bits", outcome.weight_bits}};
  VERGE_CHECK(write_file(request.target / card.file, bytes));
  return write_file(request.target / "card.json", to_pretty_text(models::to_json(card)) + "\n");
}

}  // namespace

Json to_json(const QuantizeOutcome& outcome) {
  return {{"calibrated", outcome.calibrated},
          {"chosen", outcome.chosen},
          {"judged", outcome.judged.pictures},
          {"float_answers", outcome.judged.whole_answers},
          {"small_answers", outcome.judged.small_answers},
          {"found_again", outcome.judged.found_share()},
          {"precision", outcome.judged.precision()},
          {"float_cpu_ms", outcome.judged.whole_cpu_ms},
          {"small_cpu_ms", outcome.judged.small_cpu_ms},
          {"layers", outcome.layers},
          {"weight_bits", outcome.weight_bits},
          {"float_layers", outcome.float_layers},
          {"float_bytes", outcome.whole_bytes},
          {"small_bytes", outcome.small_bytes}};
}

Result<QuantizeOutcome> quantize_model(const QuantizeRequest& request,
                                       const std::function<void(const std::string& line)>& tell) {
  VERGE_CHECK(check(request));
  VERGE_TRY(const auto card, models::load_card(request.source / "card.json"));
  VERGE_TRY(const auto model, models::load_model(request.source / card.file));
  VERGE_TRY(const Hands hands, deal(request.pictures));
  tell(fmt::format("calibrating on {} pictures, choosing on {} others", hands.calibrating.size(),
                   hands.choosing.size()));
  VERGE_TRY(const auto calibrator, calibrate(model, card, hands.calibrating, request.read));
  Search search(request, model, card, *calibrator, tell);
  VERGE_TRY(auto found, search.run(hands.choosing));

  tell(fmt::format("judging on {} pictures that nothing was done with", hands.judging.size()));
  VERGE_TRY(auto whole, search.judge_of(model));
  VERGE_TRY(auto small, search.judge_of(found.model));
  const std::string bytes = models::to_bytes(found.model);
  QuantizeOutcome outcome;
  outcome.calibrated = hands.calibrating.size();
  outcome.chosen = hands.choosing.size();
  VERGE_TRY(outcome.judged, compare(whole, small, hands.judging, request.read));
  outcome.float_layers = std::move(found.float_layers);
  outcome.layers = found.layers;
  outcome.weight_bits = request.weight_bits;
  std::error_code problem;
  outcome.whole_bytes = std::filesystem::file_size(request.source / card.file, problem);
  outcome.small_bytes = bytes.size();
  if (outcome.judged.found_share() < request.agree_min || outcome.judged.precision() < request.precision_min) {
    return Error{ErrorCode::conflict,
                 fmt::format("quantise {}: on {} pictures that nothing was chosen by it found {:.1f} % again ({:.1f} % "
                             "wanted) with a precision of {:.1f} % ({:.1f} % wanted); nothing was written. Give more "
                             "pictures, or ask for less with --agree",
                             request.source.string(), outcome.judged.pictures, 100 * outcome.judged.found_share(),
                             100 * request.agree_min, 100 * outcome.judged.precision(), 100 * request.precision_min)};
  }
  VERGE_CHECK(write(request, outcome, card, bytes));
  return outcome;
}

}  // namespace verge::cli
