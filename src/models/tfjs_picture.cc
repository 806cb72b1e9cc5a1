// Convolution, pooling, resizing, padding: operators that ONNX wants with the channels first.
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "models/tfjs_operators.h"

namespace verge::models {
namespace {

const Order channels_first{0, 3, 1, 2};
using Pair = std::array<std::int64_t, 2>;  ///< Height, width.

/// The picture axes of an attribute like strides: [1, height, width, 1].
Result<Pair> picture_axes(const TfjsCall& call, std::string_view key) {
  VERGE_TRY(const auto list, call.node.integers(key));
  if (list.empty()) return Pair{1, 1};
  if (list.size() != 4 || list[0] != 1 || list[3] != 1 || list[1] < 1 || list[2] < 1)
    return call.refuse(fmt::format("attribute {} must be [1, height, width, 1]", key));
  return Pair{list[1], list[2]};
}

struct Window {
  Pair kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  Pair before{0, 0}, after{0, 0}, output{0, 0};

  std::vector<OnnxAttribute> attributes() const {
    return {{"kernel_shape", {kernel[0], kernel[1]}},
            {"strides", {stride[0], stride[1]}},
            {"pads", {before[0], before[1], after[0], after[1]}}};
  }
};

/// SAME pads so that output = ceil(input / stride), the odd pixel at the end.
Status fit_window(const TfjsCall& call, const TfjsValue& x, Window& window) {
  VERGE_TRY(const auto padding, call.node.text("padding", "VALID"));
  VERGE_TRY(const auto explicit_pads, call.node.integers("explicit_paddings"));
  if (padding == "EXPLICIT" && explicit_pads.size() != 8) return call.refuse("explicit_paddings must hold 8 numbers");
  for (std::size_t i = 0; i < 2; ++i) {
    const auto input = x.shape[i + 1];
    const auto reach = (window.kernel[i] - 1) * window.dilation[i] + 1;
    if (padding == "SAME") {
      const auto output = (input + window.stride[i] - 1) / window.stride[i];
      const auto total = std::max<std::int64_t>((output - 1) * window.stride[i] + reach - input, 0);
      window.before[i] = total / 2;
      window.after[i] = total - total / 2;
    } else if (padding == "EXPLICIT") {
      window.before[i] = explicit_pads[2 + 2 * i];
      window.after[i] = explicit_pads[3 + 2 * i];
    } else if (padding != "VALID") {
      return call.refuse(fmt::format("padding {} is not supported", padding));
    }
    const auto room = input + window.before[i] + window.after[i] - reach;
    if (room < 0) return call.refuse(fmt::format("the window is larger than the picture {}", shape_text(x.shape)));
    window.output[i] = room / window.stride[i] + 1;
  }
  return Done{};
}

Status check_picture(const TfjsCall& call, const TfjsValue& x) {
  VERGE_TRY(const auto format, call.node.text("data_format", "NHWC"));
  if (format != "NHWC") return call.refuse(fmt::format("data_format {} is not supported, NHWC is", format));
  if (x.rank() != 4) return call.refuse(fmt::format("it needs a picture with 4 axes, not {}", shape_text(x.shape)));
  return Done{};
}

/// TensorFlow keeps filters as [height, width, in, out], depthwise ones as [height, width, in, multiplier].
Result<TfjsValues> convolve(const TfjsCall& call, bool is_depthwise) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_CHECK(check_picture(call, x));
  VERGE_TRY(const auto filter, call.known_input(1));
  if (filter->shape.size() != 4) return call.refuse("the filter must have 4 axes");
  const auto in = filter->shape[2], out = is_depthwise ? in * filter->shape[3] : filter->shape[3];
  const auto channels = x.shape[3];
  if (in == 0 || channels % in != 0 || (is_depthwise && channels != in))
    return call.refuse(
        fmt::format("the filter {} does not fit the picture {}", shape_text(filter->shape), shape_text(x.shape)));
  Window window;
  window.kernel = {filter->shape[0], filter->shape[1]};
  VERGE_TRY(window.stride, picture_axes(call, "strides"));
  VERGE_TRY(window.dilation, picture_axes(call, "dilations"));
  VERGE_CHECK(fit_window(call, x, window));

  const Constant weights =
      is_depthwise ? reshape(transpose(*filter, Order{2, 3, 0, 1}), {out, 1, window.kernel[0], window.kernel[1]})
                   : transpose(*filter, Order{3, 2, 0, 1});
  auto& graph = call.emit.graph();
  std::vector<GraphBuilder::Edge> edges{call.emit.edge_of(x, channels_first), graph.constant(to_tensor(weights))};
  VERGE_TRY(auto fused, call.node.texts("fused_ops"));
  if (!fused.empty() && fused.front() == "BiasAdd") {
    VERGE_TRY(const auto bias, call.input(2));
    if (bias.count() != out)
      return call.refuse(fmt::format("the bias {} does not fit {} channels", shape_text(bias.shape), out));
    edges.push_back(call.emit.edge_of(call.emit.reshape(bias, {out})));
    fused.erase(fused.begin());
  }
  auto attributes = window.attributes();
  attributes.emplace_back("dilations", std::initializer_list<std::int64_t>{window.dilation[0], window.dilation[1]});
  attributes.emplace_back("group", is_depthwise ? in : channels / in);
  TfjsValue value =
      call.emit.made(graph.add("Conv", std::move(edges), std::move(attributes)),
                     {x.shape[0], window.output[0], window.output[1], out}, ElementType::float32, channels_first);
  for (const auto& name : fused) {
    VERGE_TRY(value, activate(call, value, name));
  }
  return one(std::move(value));
}

Result<TfjsValues> convolution(const TfjsCall& call) { return convolve(call, false); }
Result<TfjsValues> depthwise_convolution(const TfjsCall& call) { return convolve(call, true); }

Result<TfjsValues> pool(const TfjsCall& call, std::string_view operation) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_CHECK(check_picture(call, x));
  Window window;
  VERGE_TRY(window.kernel, picture_axes(call, "ksize"));
  VERGE_TRY(window.stride, picture_axes(call, "strides"));
  VERGE_CHECK(fit_window(call, x, window));
  auto attributes = window.attributes();
  if (operation == "AveragePool") attributes.emplace_back("count_include_pad", 0);
  const auto edge =
      call.emit.graph().add(std::string(operation), {call.emit.edge_of(x, channels_first)}, std::move(attributes));
  return one(
      call.emit.made(edge, {x.shape[0], window.output[0], window.output[1], x.shape[3]}, x.type, channels_first));
}
Result<TfjsValues> max_pool(const TfjsCall& call) { return pool(call, "MaxPool"); }
Result<TfjsValues> average_pool(const TfjsCall& call) { return pool(call, "AveragePool"); }

Result<TfjsValues> resize(const TfjsCall& call, bool is_bilinear) {
  VERGE_TRY(auto x, call.input(0));
  VERGE_CHECK(check_picture(call, x));
  VERGE_TRY(const auto size, call.integer_input(1));
  VERGE_TRY(const bool aligns_corners, call.node.flag("align_corners", false));
  VERGE_TRY(const bool has_half_pixels, call.node.flag("half_pixel_centers", false));
  if (size.size() != 2 || size[0] < 1 || size[1] < 1) return call.refuse("the new size must be two positive numbers");
  if (is_bilinear) x = call.emit.cast(x, ElementType::float32);
  const char* transformation = aligns_corners ? "align_corners" : has_half_pixels ? "half_pixel" : "asymmetric";
  std::vector<OnnxAttribute> attributes{{"mode", is_bilinear ? "linear" : "nearest"},
                                        {"coordinate_transformation_mode", transformation}};
  if (!is_bilinear)
    attributes.emplace_back("nearest_mode", aligns_corners || has_half_pixels ? "round_prefer_ceil" : "floor");
  auto& graph = call.emit.graph();
  const auto edge = graph.add(
      "Resize", {call.emit.edge_of(x, channels_first), "", "", graph.ints({x.shape[0], x.shape[3], size[0], size[1]})},
      std::move(attributes));
  return one(call.emit.made(edge, {x.shape[0], size[0], size[1], x.shape[3]}, x.type, channels_first));
}
Result<TfjsValues> resize_bilinear(const TfjsCall& call) { return resize(call, true); }
Result<TfjsValues> resize_nearest(const TfjsCall& call) { return resize(call, false); }

Result<TfjsValues> pad(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto pads, call.integer_input(1));
  if (pads.size() != 2 * x.rank()) return call.refuse("the paddings do not fit the input's axes");
  VERGE_TRY(const auto mode, call.node.text("mode", "CONSTANT"));
  if (mode == "SYMMETRIC") return call.refuse("mode SYMMETRIC is not supported, REFLECT is");
  std::vector<std::int64_t> lying(pads.size());
  Dimensions shape = x.shape;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    const auto axis = x.order[i];
    lying[i] = pads[2 * axis];
    lying[x.rank() + i] = pads[2 * axis + 1];
    shape[axis] += pads[2 * axis] + pads[2 * axis + 1];
  }
  auto& graph = call.emit.graph();
  std::vector<GraphBuilder::Edge> edges{call.emit.as_it_lies(x), graph.ints(lying)};
  if (call.inputs.size() > 2) {
    VERGE_TRY(const auto filling, call.known_input(2));
    edges.push_back(graph.constant(to_tensor(reshape(*filling, {}))));
  }
  const auto edge = graph.add("Pad", std::move(edges), {{"mode", mode == "REFLECT" ? "reflect" : "constant"}});
  return one(call.emit.made(edge, std::move(shape), x.type, x.order));
}

/// (x - mean) * scale / sqrt(variance + epsilon) + offset with trained statistics.
Result<TfjsValues> batch_normalisation(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_CHECK(check_picture(call, x));
  VERGE_TRY(const bool is_training, call.node.flag("is_training", false));
  if (is_training) return call.refuse("it is in training mode");
  VERGE_TRY(const double epsilon, call.node.real("epsilon", 0.001));
  std::vector<GraphBuilder::Edge> edges{call.emit.edge_of(x, channels_first)};
  for (std::size_t i = 1; i <= 4; ++i) {
    VERGE_TRY(const auto statistic, call.input(i));
    if (statistic.shape != Dimensions{x.shape[3]}) return call.refuse("its statistics do not fit the channels");
    edges.push_back(call.emit.edge_of(statistic));
  }
  const auto edge =
      call.emit.graph().add("BatchNormalization", std::move(edges), {{"epsilon", static_cast<float>(epsilon)}});
  return one(call.emit.made(edge, x.shape, x.type, channels_first));
}

}  // namespace

void add_picture_operators(TfjsOperators& operators) {
  const TfjsOperators added{{"Conv2D", convolution},
                            {"_FusedConv2D", convolution},
                            {"DepthwiseConv2dNative", depthwise_convolution},
                            {"FusedDepthwiseConv2dNative", depthwise_convolution},
                            {"MaxPool", max_pool},
                            {"AvgPool", average_pool},
                            {"ResizeBilinear", resize_bilinear},
                            {"ResizeNearestNeighbor", resize_nearest},
                            {"Pad", pad},
                            {"PadV2", pad},
                            {"MirrorPad", pad},
                            {"FusedBatchNorm", batch_normalisation},
                            {"FusedBatchNormV2", batch_normalisation},
                            {"FusedBatchNormV3", batch_normalisation}};
  operators.insert(added.begin(), added.end());
}

}  // namespace verge::models
