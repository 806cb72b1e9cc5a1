#include "vision/teach/backbone.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <map>

#include "base/crypto.h"
#include "base/json.h"
#include "models/cut.h"
#include "vision/heads/head_reader.h"
#include "vision/picture/crop.h"
#include "vision/recognition/picture_model.h"

namespace verge::vision {
namespace {

constexpr int kInputSideMin = 32;
constexpr int kInputSideMax = 2048;
/// Of a value whose stride cannot be told: nothing after it belongs to the trunk.
constexpr std::int64_t kStrideUnknown = std::numeric_limits<std::int64_t>::max();

struct TrunkEnd {
  std::string value;
  std::int64_t channels = 0;
};

/// How many pixels of the input a cell of [1, channels, rows, columns] is wide and high; kStrideUnknown for others.
std::int64_t stride_of(const models::Dimensions& shape, std::int64_t width, std::int64_t height) {
  if (shape.size() != 4 || shape[0] != 1 || shape[2] < 1 || shape[3] < 1) return kStrideUnknown;
  if (height % shape[2] != 0 || width % shape[3] != 0) return kStrideUnknown;
  const std::int64_t stride = height / shape[2];
  return stride == width / shape[3] ? stride : kStrideUnknown;
}

/// Per stride the value that the trunk ends with.
std::map<std::int64_t, TrunkEnd> find_trunk(const models::OnnxGraph& graph,
                                            const std::map<std::string, models::Dimensions>& shapes, std::int64_t width,
                                            std::int64_t height) {
  std::map<std::int64_t, TrunkEnd> ends;
  std::map<std::string, std::int64_t> coarsest;  // Of a value and all that it depends on; constants are absent.
  for (const auto& node : graph.nodes) {
    std::int64_t before = 0;
    for (const auto& input : node.inputs)
      if (const auto at = coarsest.find(input); at != coarsest.end()) before = std::max(before, at->second);
    for (const auto& output : node.outputs) {
      const auto shape = shapes.find(output);
      const auto stride = shape == shapes.end() ? kStrideUnknown : stride_of(shape->second, width, height);
      coarsest[output] = std::max(before, stride);
      if (stride == kStrideUnknown || before > stride) continue;
      TrunkEnd& end = ends[stride];
      if (shape->second[1] >= end.channels) end = {output, shape->second[1]};
    }
  }
  return ends;
}

models::Dimensions input_shape(const models::PictureInput& picture) {
  const std::int64_t channels = picture.colours == models::ColourOrder::grey ? 1 : 3;
  if (picture.is_channels_first) return {1, channels, picture.height, picture.width};
  return {1, picture.height, picture.width, channels};
}

Status check_backbone_options(const BackboneOptions& options, const models::PictureInput& picture) {
  if (options.strides.empty() || options.strides.front() < 1 || !std::ranges::is_sorted(options.strides)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("look with a backbone: strides {}; give rising ones, [8, 16, 32]", options.strides)};
  }
  const int coarsest = options.strides.back();
  for (const int side : {picture.width, picture.height}) {
    if (side >= kInputSideMin && side <= kInputSideMax && side % coarsest == 0) continue;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("look with a backbone: pictures of {}x{}; give multiples of {} from {} to {}",
                             picture.width, picture.height, coarsest, kInputSideMin, kInputSideMax)};
  }
  return Done{};
}

/// The trunk with outputs "stride_8" …, for the picture's size.
Result<models::OnnxModel> make_trunk(const models::OnnxModel& pinned, const std::vector<TrunkEnd>& ends,
                                     const std::vector<int>& strides, const models::PictureInput& picture) {
  std::vector<std::string> values;
  for (const auto& end : ends) values.push_back(end.value);
  VERGE_TRY(models::OnnxModel part, models::cut(pinned, values));
  VERGE_TRY(part, models::with_input_shape(part, input_shape(picture)));
  part.graph.outputs.clear();
  part.graph.name = "trunk";
  models::GraphBuilder builder(std::move(part));
  for (std::size_t at = 0; at < ends.size(); ++at) {
    builder.output(fmt::format("stride_{}", strides[at]), ends[at].value, models::ElementType::float32,
                   {1, ends[at].channels, picture.height / strides[at], picture.width / strides[at]});
  }
  return builder.finish();
}

/// The engine's own opinion of the outputs' shapes.
Status check_trunk(const inference::Session& session, const models::OnnxGraph& graph) {
  for (std::size_t at = 0; at < graph.outputs.size(); ++at) {
    if (session.outputs()[at].shape == graph.outputs[at].shape) continue;
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("cut the trunk: {} becomes {} instead of {}; choose another picture size", graph.outputs[at].name,
                    inference::to_text(session.outputs()[at].shape), models::shape_text(graph.outputs[at].shape))};
  }
  return Done{};
}

}  // namespace

Result<std::unique_ptr<Backbone>> Backbone::open(const std::filesystem::path& model, const BackboneOptions& options) {
  const auto card_file = std::filesystem::is_directory(model) ? model / "card.json" : model;
  VERGE_TRY(const models::ModelCard card, models::load_card(card_file));
  VERGE_TRY(const models::OnnxModel graph, models::load_model(card_file.parent_path() / card.file));
  return make(graph, card, options);
}

Result<std::unique_ptr<Backbone>> Backbone::make(const models::OnnxModel& model, const models::ModelCard& card,
                                                 const BackboneOptions& options) {
  if (!card.picture) return card_mistake(card, "/picture", "there");
  models::PictureInput picture = *card.picture;
  if (options.width != 0 || options.height != 0) {
    picture.width = options.width;
    picture.height = options.height;
  }
  if (options.fit) picture.fit = *options.fit;
  VERGE_CHECK(check_backbone_options(options, picture));

  VERGE_TRY(const models::OnnxModel pinned, models::with_input_shape(model, input_shape(*card.picture)));
  VERGE_TRY(const auto shapes, models::shapes_of(pinned));
  const auto found = find_trunk(pinned.graph, shapes, card.picture->width, card.picture->height);
  std::vector<TrunkEnd> ends;
  for (const int stride : options.strides) {
    const auto end = found.find(stride);
    if (end == found.end()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("cut the trunk of model \"{}\": it has no features of stride {}; take a convolutional "
                               "detector such as nanodet-coco",
                               card.name, stride)};
    }
    ends.push_back(end->second);
  }
  VERGE_TRY(models::OnnxModel trunk, make_trunk(pinned, ends, options.strides, picture));

  models::ModelCard own = card;
  own.picture = picture;
  const std::string bytes = models::to_bytes(trunk);
  VERGE_TRY(auto session, inference::load_onnx_bytes(bytes, {.threads = options.threads}));
  VERGE_CHECK(check_trunk(*session, trunk.graph));
  VERGE_TRY(const LetterboxOptions letterbox, letterbox_of(own, session->inputs().front().type));
  auto backbone = std::unique_ptr<Backbone>(new Backbone(letterbox));
  backbone->strides_ = options.strides;
  for (const auto& end : ends) backbone->channels_.push_back(static_cast<int>(end.channels));
  backbone->digest_ = sha256_digest(bytes + to_text(models::to_json(own).at("picture")));
  backbone->graph_ = std::move(trunk);
  backbone->picture_ = picture;
  backbone->origin_ = card;
  backbone->session_ = std::move(session);
  return backbone;
}

Result<std::vector<FeatureMap>> Backbone::features(const pipeline::Frame& frame) {
  VERGE_CHECK(letterbox_.fill(frame, input_));
  const inference::NamedTensor inputs[] = {{session_->inputs().front().name, &input_}};
  VERGE_TRY(auto outputs, session_->run(inputs));
  std::vector<FeatureMap> maps;
  for (std::size_t at = 0; at < outputs.size(); ++at) {
    const auto& shape = outputs[at].shape();
    maps.push_back(
        {strides_[at], channels_[at], static_cast<int>(shape[2]), static_cast<int>(shape[3]), std::move(outputs[at])});
  }
  return maps;
}

Result<std::vector<FeatureMap>> Backbone::features(const pipeline::Frame& frame, const contract::Region& part) {
  const auto cropped = crop(frame, part, 0);
  if (!cropped) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("look at the part {:g}..{:g} x {:g}..{:g} of a picture of {}x{}: it has less than 2x2 "
                             "pixels",
                             part.left, part.right, part.top, part.bottom, frame.width, frame.height)};
  }
  return features(cropped->frame);
}

}  // namespace verge::vision
