// models/tfjs_value.h -- what flows between operators during an import, and how values become graph edges.
//
// Internal to the importer. Threads: one importer by one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/constant.h"
#include "models/onnx_graph.h"
#include "models/tfjs_graph.h"

namespace verge::models {

using Order = std::vector<std::size_t>;
Order identity_order(std::size_t rank);

/// One tensor of the TensorFlow graph: either known numbers or an edge of the new graph.
struct TfjsValue {
  Dimensions shape;  ///< TensorFlow's axes.
  ElementType type = ElementType::float32;
  std::shared_ptr<const Constant> constant;
  GraphBuilder::Edge edge;  ///< Empty for constants.
  Order order;              ///< Axis i of the edge is TensorFlow's axis order[i].

  bool is_constant() const { return constant != nullptr; }
  std::size_t rank() const { return shape.size(); }
  std::int64_t count() const { return count_of(shape); }
};
using TfjsValues = std::vector<TfjsValue>;

TfjsValue known(Constant constant);

/// Writes values into a graph in the axis order that an operator wants.
class TfjsEmitter {
 public:
  explicit TfjsEmitter(GraphBuilder& graph) : graph_(graph) {}

  GraphBuilder& graph() { return graph_; }
  /// The value as an edge with this axis order; a Transpose is written at most once per edge and order.
  GraphBuilder::Edge edge_of(const TfjsValue& value, const Order& order);
  /// In TensorFlow's own order.
  GraphBuilder::Edge edge_of(const TfjsValue& value) { return edge_of(value, identity_order(value.rank())); }
  /// In the order in which it lies now.
  GraphBuilder::Edge as_it_lies(const TfjsValue& value) { return edge_of(value, value.order); }

  TfjsValue made(GraphBuilder::Edge edge, Dimensions shape, ElementType type, Order order = {});
  /// One node that leaves shape and order as they are.
  TfjsValue pointwise(std::string_view operation, const TfjsValue& value, std::vector<OnnxAttribute> attributes = {});
  /// Element by element with broadcasting; `fold` computes it when all values are known (null: never folded).
  /// Errors: invalid_argument when the shapes do not fit.
  using Fold = std::function<double(std::span<const double>)>;
  Result<TfjsValue> elementwise(std::string_view operation, const TfjsValues& values, const Fold& fold,
                                std::optional<ElementType> type = std::nullopt);
  TfjsValue reshape(const TfjsValue& value, Dimensions shape);
  TfjsValue cast(const TfjsValue& value, ElementType type);
  TfjsValue clip(const TfjsValue& value, std::optional<float> low, std::optional<float> high);

 private:
  GraphBuilder::Edge constant_edge(const TfjsValue& value, const Order& order);
  GraphBuilder::Edge operand(const TfjsValue& value, const Order& order);

  GraphBuilder& graph_;
  std::map<std::pair<GraphBuilder::Edge, Order>, GraphBuilder::Edge> ordered_;
};

}  // namespace verge::models
