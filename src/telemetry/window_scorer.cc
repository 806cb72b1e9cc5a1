#include "telemetry/window_scorer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

namespace verge::telemetry {

Result<std::unique_ptr<WindowScorer>> WindowScorer::load(const std::filesystem::path& folder) {
  VERGE_TRY(auto model, models::open_model(folder));
  const auto& inputs = model.session->inputs();
  if (inputs.size() != 1 || inputs[0].shape.size() != 2 || inputs[0].shape[0] < 2 ||
      inputs[0].shape[1] != static_cast<std::int64_t>(model.card.labels.size())) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("load the model \"{}\": it has no input [rows, {}] that fits the card's {} channels; make "
                             "one with `verge train telemetry`",
                             folder.string(), model.card.labels.size(), model.card.labels.size())};
  }
  const auto rows = static_cast<std::size_t>(inputs[0].shape[0]);
  auto scorer = std::unique_ptr<WindowScorer>(new WindowScorer(std::move(model), rows));
  const auto threshold = scorer->model_.card.thresholds.find("score");
  if (threshold == scorer->model_.card.thresholds.end()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("load the model \"{}\": its card has no thresholds.score", folder.string())};
  }
  scorer->threshold_ = static_cast<float>(threshold->second);
  VERGE_TRY(scorer->period_s_, number_member(scorer->model_.card.head, "period_s", 1));
  return scorer;
}

WindowScorer::WindowScorer(models::LoadedModel model, std::size_t window_rows)
    : model_(std::move(model)),
      window_rows_(window_rows),
      window_(inference::DataType::float32,
              {static_cast<std::int64_t>(window_rows), static_cast<std::int64_t>(model_.card.labels.size())}) {}

Status WindowScorer::match_channels(const std::vector<std::string>& names) {
  positions_.clear();
  for (const auto& channel : channels()) {
    const auto found = std::find(names.begin(), names.end(), channel);
    if (found == names.end()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("score: the rows have no channel \"{}\", which the model was taught with; they have {}",
                               channel, fmt::join(names, ", "))};
    }
    positions_.push_back(static_cast<std::size_t>(found - names.begin()));
  }
  return Done{};
}

Result<std::optional<WindowScorer::Outcome>> WindowScorer::add(const pipeline::SensorRow& row) {
  if (row.channels != matched_) {
    VERGE_CHECK(match_channels(*row.channels));
    matched_ = row.channels;
  }
  const std::size_t channel_count = positions_.size();
  auto values = window_.values<float>();
  std::move(values.begin() + static_cast<std::ptrdiff_t>(channel_count), values.end(), values.begin());
  const auto newest = values.last(channel_count);
  for (std::size_t channel = 0; channel < channel_count; ++channel) {
    const float reading = row.values[positions_[channel]];
    // The last reading stands in the same place already, one row further up.
    newest[channel] = std::isfinite(reading) ? reading : values[values.size() - 2 * channel_count + channel];
  }
  filled_rows_ = std::min(filled_rows_ + 1, window_rows_);
  if (filled_rows_ < window_rows_) return std::optional<Outcome>();

  const inference::NamedTensor input{"window", &window_};
  static constexpr std::array<std::string_view, 2> kWanted{"score", "contributions"};
  VERGE_TRY(const auto outputs, model_.session->run({&input, 1}, kWanted));
  const auto contributions = outputs[1].values<float>();
  return std::optional(Outcome{outputs[0].values<float>()[0], {contributions.begin(), contributions.end()}});
}

void WindowScorer::reset() { filled_rows_ = 0; }

}  // namespace verge::telemetry
