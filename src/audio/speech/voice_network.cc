#include "audio/speech/voice_network.h"

#include <fmt/format.h>

namespace verge::audio {
namespace {

using models::ElementType;
using models::GraphBuilder;
using models::OnnxModel;
using models::OnnxTensor;
using Edge = GraphBuilder::Edge;

constexpr std::int64_t kSamples = 576, kPad = 64, kFrame = 256, kHop = 128, kBins = 129, kCell = 128;
constexpr std::int64_t kFrames = (kSamples + kPad - kFrame) / kHop + 1;
constexpr std::int64_t kTaps = 3;

/// The network's constants by name, with the shapes they must have.
class Weights {
 public:
  explicit Weights(const OnnxModel& published) : published_(published) {}
  Result<std::vector<float>> get(const std::string& name, const models::Dimensions& shape) const {
    const OnnxTensor* tensor = published_.graph.find_initialiser(name);
    if (tensor == nullptr || tensor->type != ElementType::float32 || tensor->shape != shape) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("rewrite the voice detector: it has no \"{}\" {}", name, models::shape_text(shape))};
    }
    return tensor->values<float>();
  }

 private:
  const OnnxModel& published_;
};

/// [rows, columns] -> [columns, rows].
std::vector<float> transposed(const std::vector<float>& matrix, std::size_t rows, std::size_t columns) {
  std::vector<float> turned(matrix.size());
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      turned[column * rows + row] = matrix[row * columns + column];
  return turned;
}

/// A convolution's [to, from, taps] as the matrix [taps * from, to] for rows of gathered taps.
std::vector<float> tap_matrix(const std::vector<float>& weights, std::int64_t to, std::int64_t from) {
  std::vector<float> matrix(weights.size());
  for (std::int64_t out = 0; out < to; ++out)
    for (std::int64_t in = 0; in < from; ++in)
      for (std::int64_t tap = 0; tap < kTaps; ++tap)
        matrix[static_cast<std::size_t>((tap * from + in) * to + out)] =
            weights[static_cast<std::size_t>((out * from + in) * kTaps + tap)];
  return matrix;
}

Edge indices(GraphBuilder& graph, const models::Dimensions& shape, const std::vector<std::int64_t>& values) {
  return graph.constant(OnnxTensor::of<std::int64_t>(shape, values));
}

/// [batch, 576] -> [batch, frames, 256]; the last frame reaches 64 samples beyond the end, where the sound is mirrored.
Edge gather_frames(GraphBuilder& graph, const Edge& sound) {
  std::vector<std::int64_t> places;
  for (std::int64_t frame = 0; frame < kFrames; ++frame) {
    for (std::int64_t at = 0; at < kFrame; ++at) {
      const std::int64_t sample = frame * kHop + at;
      places.push_back(sample < kSamples ? sample : 2 * (kSamples - 1) - sample);
    }
  }
  return graph.add("Gather", {sound, indices(graph, {kFrames, kFrame}, places)}, {{"axis", 1}});
}

/// [batch, frames, 256] -> [batch, frames, 129]: what the short-time Fourier transform says of each frame.
Result<Edge> add_magnitudes(GraphBuilder& graph, const Weights& weights, const Edge& frames) {
  VERGE_TRY(const auto basis, weights.get("model.stft.forward_basis_buffer", {2 * kBins, 1, kFrame}));
  const auto matrix = transposed(basis, 2 * kBins, kFrame);
  const Edge both = graph.add("MatMul", {frames, graph.floats({kFrame, 2 * kBins}, matrix)});
  const Edge squares = graph.add("Mul", {both, both});
  const auto parts = graph.add_many("Split", {squares, graph.ints({kBins, kBins})}, 2, {{"axis", -1}});
  return graph.add("Sqrt", {graph.add("Add", {parts[0], parts[1]})});
}

struct Layer {
  int number;
  std::int64_t from, to, frames, stride;
};

/// [batch, frames, from] -> [batch, ceil(frames / stride), to]: three taps, one frame of zeros on both sides.
Result<Edge> add_layer(GraphBuilder& graph, const Weights& weights, const Layer& layer, const Edge& input) {
  const std::string name = fmt::format("model.encoder.{}.reparam_conv.", layer.number);
  VERGE_TRY(const auto kernel, weights.get(name + "weight", {layer.to, layer.from, kTaps}));
  VERGE_TRY(const auto bias, weights.get(name + "bias", {layer.to}));
  const std::int64_t frames_out = (layer.frames - 1) / layer.stride + 1;
  const Edge padded = graph.add("Pad", {input, graph.ints({0, 1, 0, 0, 1, 0})});
  std::vector<std::int64_t> places;
  for (std::int64_t frame = 0; frame < frames_out; ++frame)
    for (std::int64_t tap = 0; tap < kTaps; ++tap) places.push_back(frame * layer.stride + tap);
  const Edge taps = graph.add("Gather", {padded, indices(graph, {frames_out * kTaps}, places)}, {{"axis", 1}});
  const Edge rows = graph.add("Reshape", {taps, graph.ints({-1, frames_out, kTaps * layer.from})});
  const auto matrix = tap_matrix(kernel, layer.to, layer.from);
  const Edge product = graph.add("MatMul", {rows, graph.floats({kTaps * layer.from, layer.to}, matrix)});
  return graph.add("Relu", {graph.add("Add", {product, graph.floats({layer.to}, bias)})});
}

/// [batch, 128] and the state -> the new state's two halves.
Result<std::pair<Edge, Edge>> add_cell(GraphBuilder& graph, const Weights& weights, const Edge& input,
                                       const Edge& state) {
  VERGE_TRY(auto of_input, weights.get("model.decoder.rnn.weight_ih", {4 * kCell, kCell}));
  VERGE_TRY(auto of_hidden, weights.get("model.decoder.rnn.weight_hh", {4 * kCell, kCell}));
  VERGE_TRY(auto bias, weights.get("model.decoder.rnn.bias_ih", {4 * kCell}));
  VERGE_TRY(const auto more_bias, weights.get("model.decoder.rnn.bias_hh", {4 * kCell}));
  for (std::size_t at = 0; at < bias.size(); ++at) bias[at] += more_bias[at];
  auto matrix = transposed(of_input, 4 * kCell, kCell);
  const auto lower = transposed(of_hidden, 4 * kCell, kCell);
  matrix.insert(matrix.end(), lower.begin(), lower.end());

  const Edge hidden = graph.add("Gather", {state, graph.int_scalar(0)}, {{"axis", 0}});
  const Edge memory = graph.add("Gather", {state, graph.int_scalar(1)}, {{"axis", 0}});
  const Edge both = graph.add("Concat", {input, hidden}, {{"axis", 1}});
  const Edge sums = graph.add("Add", {graph.add("MatMul", {both, graph.floats({2 * kCell, 4 * kCell}, matrix)}),
                                      graph.floats({4 * kCell}, bias)});
  const auto gates = graph.add_many("Split", {sums, graph.ints({kCell, kCell, kCell, kCell})}, 4, {{"axis", 1}});
  const Edge kept = graph.add("Mul", {graph.add("Sigmoid", {gates[1]}), memory});
  const Edge taken = graph.add("Mul", {graph.add("Sigmoid", {gates[0]}), graph.add("Tanh", {gates[2]})});
  const Edge next = graph.add("Add", {kept, taken});
  const Edge told = graph.add("Mul", {graph.add("Sigmoid", {gates[3]}), graph.add("Tanh", {next})});
  return std::pair(told, next);
}

}  // namespace

Result<OnnxModel> plain_voice_network(const OnnxModel& published) {
  const Weights weights(published);
  GraphBuilder graph("voice");
  const Edge sound = graph.input("input", ElementType::float32, {-1, kSamples});
  const Edge state = graph.input("state", ElementType::float32, {2, -1, kCell});
  VERGE_TRY(Edge value, add_magnitudes(graph, weights, gather_frames(graph, sound)));
  constexpr Layer kLayers[] = {{0, kBins, 128, 4, 1}, {1, 128, 64, 4, 2}, {2, 64, 64, 2, 2}, {3, 64, 128, 1, 1}};
  for (const Layer& layer : kLayers) {
    VERGE_TRY(value, add_layer(graph, weights, layer, value));
  }
  const Edge heard = graph.add("Reshape", {value, graph.ints({-1, kCell})});
  VERGE_TRY(const auto cell, add_cell(graph, weights, heard, state));
  VERGE_TRY(const auto last, weights.get("model.decoder.decoder.2.weight", {1, kCell, 1}));
  VERGE_TRY(const auto last_bias, weights.get("model.decoder.decoder.2.bias", {1}));
  const Edge sum = graph.add("MatMul", {graph.add("Relu", {cell.first}), graph.floats({kCell, 1}, last)});
  graph.output("output", graph.add("Sigmoid", {graph.add("Add", {sum, graph.floats({1}, last_bias)})}),
               ElementType::float32, {-1, 1});
  const Edge hidden = graph.add("Unsqueeze", {cell.first, graph.ints({0})});
  const Edge memory = graph.add("Unsqueeze", {cell.second, graph.ints({0})});
  graph.output("stateN", graph.add("Concat", {hidden, memory}, {{"axis", 0}}), ElementType::float32, {2, -1, kCell});
  return graph.finish();
}

}  // namespace verge::audio
