#include "audio/sound/sound_model.h"

#include <cmath>
#include <fmt/format.h>

#include "base/assert.h"

namespace verge::audio {
namespace {

constexpr std::size_t kPoolMax = 60;

}  // namespace

Result<std::shared_ptr<const SoundModel>> SoundModel::load(const std::filesystem::path& folder) {
  VERGE_TRY(auto model, models::open_model(folder));
  return make(std::move(model));
}

Result<std::shared_ptr<const SoundModel>> SoundModel::make(models::LoadedModel model) {
  const models::ModelCard& card = model.card;
  const auto mistake = [&](std::string_view what) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("model \"{}\": {}; sound models are made by verge train audio", card.name, what)};
  };
  if (card.task != kAnomalyTask && card.task != kClassTask)
    return mistake(fmt::format("its task is {}, which is neither {} nor {}", card.task, kAnomalyTask, kClassTask));
  if (card.head_kind() != "sound-looks") return mistake(fmt::format("its head is \"{}\"", card.head_kind()));
  const auto pool = card.head.value("pool", Json(1));
  if (!pool.is_number_integer() || pool.get<int>() < 1 || pool.get<std::size_t>() > kPoolMax)
    return mistake(fmt::format("/head/pool must be a whole number, 1..{}", kPoolMax));
  if (model.session->inputs().size() != 1 || model.session->outputs().empty()) return mistake("it has other tensors");
  auto made = std::make_shared<SoundModel>();
  made->pool_ = pool.get<std::size_t>();
  made->model_ = std::move(model);
  VERGE_CHECK(made->run(std::vector<float>(kLookNumbers, 0.0F)));  // Shapes that do not fit are told now.
  return std::shared_ptr<const SoundModel>(std::move(made));
}

Result<std::vector<float>> SoundModel::run(std::span<const float> row) const {
  const auto input = inference::Tensor::of<float>({1, static_cast<std::int64_t>(row.size())}, row);
  const inference::NamedTensor named{model_.session->inputs().front().name, &input};
  VERGE_TRY(const auto outputs, model_.session->run({&named, 1}));
  const auto values = outputs.front().values<float>();
  const std::size_t expected = is_classifier() ? labels().size() : 1;
  if (values.size() != expected) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("model \"{}\": it gives {} numbers for a look, its card wants {}", model_.card.name,
                             values.size(), expected)};
  }
  for (const float value : values)
    if (!std::isfinite(value))
      return Error{ErrorCode::corrupt,
                   fmt::format("model \"{}\": it gave a number that is not finite", model_.card.name)};
  return std::vector<float>(values.begin(), values.end());
}

std::vector<float> RowPool::add(std::span<const float> row) {
  rows_.emplace_back(row.begin(), row.end());
  if (rows_.size() > count_) rows_.pop_front();
  std::vector<float> mean(row.size(), 0.0F);
  for (const auto& each : rows_)
    for (std::size_t at = 0; at < mean.size(); ++at) mean[at] += each[at] / static_cast<float>(rows_.size());
  return mean;
}

Result<std::vector<Heard>> SoundJudge::add(std::span<const float> samples) {
  std::vector<Heard> heard;
  Status status = Done{};
  looks_.add(samples, [&](const Look& look) {
    std::vector<float> row(kLookNumbers);
    if (!status || !describe_look(look.energies, {}, row)) return;
    const auto mean = pool_.add(row);
    if (!model_->is_classifier() && !pool_.is_full()) return;
    auto values = model_->run(mean);
    if (values) {
      heard.push_back({look.end_sample, *std::move(values)});
    } else {
      status = std::move(values).error();
    }
  });
  if (!status) return status.error();
  return heard;
}

void SoundJudge::reset() {
  looks_.reset();
  pool_.reset();
}

}  // namespace verge::audio
