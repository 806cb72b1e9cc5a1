#include "vision/recognition/picture_model.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "vision/heads/head_reader.h"

namespace verge::vision {
namespace {

constexpr int kPictureSideMax = 8192;

Status check_picture_input(const std::vector<inference::TensorInfo>& inputs, const LetterboxOptions& options) {
  const inference::Shape given = shape_of(options);
  const bool fits = inputs.size() == 1 && inputs[0].shape.size() == given.size() &&
                    std::equal(given.begin(), given.end(), inputs[0].shape.begin(),
                               [](auto size, auto wanted) { return wanted < 0 || size == wanted; });
  if (fits) return Done{};
  std::string wanted;
  for (const auto& input : inputs) {
    wanted += fmt::format("{}{} {}", wanted.empty() ? "" : ", ", inference::to_text(input.shape), name_of(input.type));
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("the card gives pictures {} {}, the model wants {}; correct the card's picture",
                           inference::to_text(given), name_of(options.type), wanted.empty() ? "nothing" : wanted)};
}

}  // namespace

Result<LetterboxOptions> letterbox_of(const models::ModelCard& card, inference::DataType type) {
  using inference::DataType;
  if (!card.picture) return card_mistake(card, "/picture", "there");
  const models::PictureInput& picture = *card.picture;
  if (picture.width < 1 || picture.width > kPictureSideMax || picture.height < 1 || picture.height > kPictureSideMax) {
    return card_mistake(card, "/picture/width and height", fmt::format("1 to {}", kPictureSideMax));
  }
  if (type != DataType::float32 && type != DataType::uint8 && type != DataType::int32) {
    return card_mistake(card, "/inputs/0/type",
                        fmt::format("float32, uint8 or int32 for a picture, not {}", name_of(type)));
  }
  LetterboxOptions options;
  options.width = picture.width;
  options.height = picture.height;
  options.is_bgr = picture.colours == models::ColourOrder::bgr;
  options.is_grey = picture.colours == models::ColourOrder::grey;
  options.is_channels_first = picture.is_channels_first;
  options.fit = picture.fit;
  options.padding = picture.filling;
  options.type = type;
  const std::size_t channels = options.is_grey ? 1 : 3;
  if (picture.mean.size() != channels || picture.deviation.size() != channels) {
    return card_mistake(card, "/picture/mean and deviation", fmt::format("{} numbers each", channels));
  }
  for (std::size_t i = 0; i < channels; ++i) {
    if (!std::isfinite(picture.mean[i])) return card_mistake(card, "/picture/mean", "finite");
    if (!(std::abs(picture.deviation[i]) > 1e-9F) || !std::isfinite(picture.deviation[i])) {
      return card_mistake(card, "/picture/deviation", "other than 0");
    }
    options.mean[i] = picture.mean[i];
    options.deviation[i] = picture.deviation[i];
  }
  return options;
}

Result<inference::Tensor> remembered_pixels(const models::LoadedModel& model, std::string_view name,
                                            const inference::Shape& shape) {
  const bool is_there = std::ranges::any_of(model.session->outputs(), [&](const inference::TensorInfo& output) {
    return output.name == name && output.type == inference::DataType::uint8 && output.shape == shape;
  });
  if (!is_there) {
    return card_mistake(model.card, "/outputs", fmt::format("one \"{}\", uint8 {}", name, inference::to_text(shape)));
  }
  const inference::TensorInfo& input = model.session->inputs()[0];
  if (std::ranges::any_of(input.shape, [](std::int64_t side) { return side < 1; }))
    return card_mistake(model.card, "/inputs/0/shape", "of a fixed size for a model that remembers pixels");
  const inference::Tensor nothing(input.type, input.shape);
  const inference::NamedTensor inputs[] = {{input.name, &nothing}};
  VERGE_TRY(auto outputs, model.session->run(inputs, std::span(&name, 1)));
  return std::move(outputs[0]);
}

PictureModel::PictureModel(models::LoadedModel model, const LetterboxOptions& options)
    : model_(std::move(model)), options_(options) {
  desks_.push_back(std::make_unique<Desk>(options_));
}

Result<std::unique_ptr<PictureModel>> PictureModel::make(models::LoadedModel model) {
  const auto& inputs = model.session->inputs();
  const auto type = inputs.empty() ? inference::DataType::float32 : inputs[0].type;
  VERGE_TRY(const LetterboxOptions options, letterbox_of(model.card, type));
  VERGE_CHECK(check_picture_input(inputs, options));
  return std::unique_ptr<PictureModel>(new PictureModel(std::move(model), options));
}

std::unique_ptr<PictureModel::Desk> PictureModel::take_desk() {
  const std::lock_guard lock(mutex_);
  if (desks_.empty()) return std::make_unique<Desk>(options_);
  auto desk = std::move(desks_.back());
  desks_.pop_back();
  return desk;
}

Result<PictureModel::Answer> PictureModel::run_at(Desk& desk, const pipeline::Frame& frame) {
  Answer answer;
  VERGE_TRY(answer.placement, desk.letterbox.fill(frame, desk.input, desk.is_padded));
  desk.is_padded = true;  // The engine only reads it.
  const inference::NamedTensor inputs[] = {{session().inputs()[0].name, &desk.input}};
  VERGE_TRY(answer.outputs, session().run(inputs, wanted_));
  return answer;
}

Result<PictureModel::Answer> PictureModel::run(const pipeline::Frame& frame) {
  auto desk = take_desk();
  auto answer = run_at(*desk, frame);
  const std::lock_guard lock(mutex_);
  desks_.push_back(std::move(desk));
  return answer;
}

}  // namespace verge::vision
