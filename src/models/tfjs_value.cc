#include "models/tfjs_value.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace verge::models {
namespace {

std::int64_t size(std::size_t value) { return static_cast<std::int64_t>(value); }

/// The axes longer than 1, in the order they lie.
std::vector<std::size_t> moving_axes(const Dimensions& shape, const Order& order) {
  std::vector<std::size_t> axes;
  for (const auto axis : order)
    if (shape[axis] > 1) axes.push_back(axis);
  return axes;
}

Dimensions in_order(const Dimensions& shape, const Order& order) {
  Dimensions ordered;
  for (const auto axis : order) ordered.push_back(shape[axis]);
  return ordered;
}

}  // namespace

Order identity_order(std::size_t rank) {
  Order order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

TfjsValue known(Constant constant) {
  TfjsValue value;
  value.shape = constant.shape;
  value.type = constant.type;
  value.order = identity_order(constant.shape.size());
  value.constant = std::make_shared<const Constant>(std::move(constant));
  return value;
}

GraphBuilder::Edge TfjsEmitter::constant_edge(const TfjsValue& value, const Order& order) {
  if (order == identity_order(value.rank())) return graph_.constant(to_tensor(*value.constant));
  return graph_.constant(to_tensor(transpose(*value.constant, order)));
}

GraphBuilder::Edge TfjsEmitter::edge_of(const TfjsValue& value, const Order& order) {
  if (value.is_constant()) return constant_edge(value, order);
  if (value.order == order) return value.edge;
  // The same edge may be seen as several values with different axes, so the move itself is the key.
  std::vector<std::int64_t> moves;
  Order key;
  for (const auto axis : order) {
    const auto at = std::find(value.order.begin(), value.order.end(), axis) - value.order.begin();
    moves.push_back(at);
    key.push_back(static_cast<std::size_t>(at));
  }
  auto& edge = ordered_[{value.edge, key}];
  if (!edge.empty()) return edge;
  if (moving_axes(value.shape, value.order) == moving_axes(value.shape, order))
    edge = graph_.add("Reshape", {value.edge, graph_.ints(in_order(value.shape, order))});  // Nothing moves in memory.
  else
    edge = graph_.add("Transpose", {value.edge}, {{"perm", OnnxAttributeValue(moves)}});
  return edge;
}

TfjsValue TfjsEmitter::made(GraphBuilder::Edge edge, Dimensions shape, ElementType type, Order order) {
  TfjsValue value;
  value.order = order.empty() ? identity_order(shape.size()) : std::move(order);
  value.shape = std::move(shape);
  value.type = type;
  value.edge = std::move(edge);
  return value;
}

TfjsValue TfjsEmitter::pointwise(std::string_view operation, const TfjsValue& value,
                                 std::vector<OnnxAttribute> attributes) {
  return made(graph_.add(std::string(operation), {as_it_lies(value)}, std::move(attributes)), value.shape, value.type,
              value.order);
}

/// An operand brought to full rank and to the order in which the operation runs.
GraphBuilder::Edge TfjsEmitter::operand(const TfjsValue& value, const Order& order) {
  if (value.is_constant() && value.count() == 1)
    return graph_.constant(to_tensor(models::reshape(*value.constant, {})));
  if (value.rank() == 0) return value.edge;
  if (value.rank() == order.size()) return edge_of(value, order);
  Dimensions full(order.size() - value.rank(), 1);
  full.insert(full.end(), value.shape.begin(), value.shape.end());
  return edge_of(reshape(value, std::move(full)), order);
}

Result<TfjsValue> TfjsEmitter::elementwise(std::string_view operation, const TfjsValues& values, const Fold& fold,
                                           std::optional<ElementType> type) {
  const auto result_type = type.value_or(values.back().type);
  const bool all_known = std::all_of(values.begin(), values.end(), [](const auto& v) { return v.is_constant(); });
  if (all_known && fold) {
    std::vector<const Constant*> constants;
    for (const auto& value : values) constants.push_back(value.constant.get());
    VERGE_TRY(auto folded, combine(constants, result_type, fold));
    return known(std::move(folded));
  }
  Dimensions shape;
  for (const auto& value : values) {
    VERGE_TRY(shape, broadcast(shape, value.shape));
  }
  // The largest computed operand keeps its order, the others follow.
  const TfjsValue* leader = nullptr;
  for (const auto& value : values)
    if (!value.is_constant() && value.rank() == shape.size() && (!leader || value.count() > leader->count()))
      leader = &value;
  const Order order = leader ? leader->order : identity_order(shape.size());
  std::vector<GraphBuilder::Edge> operands;
  for (const auto& value : values)
    operands.push_back(leader ? operand(value, order)
                              : edge_of(reshape(value,
                                                [&] {
                                                  Dimensions full(shape.size() - value.rank(), 1);
                                                  full.insert(full.end(), value.shape.begin(), value.shape.end());
                                                  return full;
                                                }()),
                                        order));
  return made(graph_.add(std::string(operation), std::move(operands)), std::move(shape), result_type, order);
}

TfjsValue TfjsEmitter::reshape(const TfjsValue& value, Dimensions shape) {
  if (value.shape == shape) return value;
  if (value.is_constant()) return known(models::reshape(*value.constant, std::move(shape)));
  const auto target = graph_.constant(OnnxTensor::of<std::int64_t>({size(shape.size())}, shape));
  return made(graph_.add("Reshape", {edge_of(value), target}), std::move(shape), value.type);
}

TfjsValue TfjsEmitter::cast(const TfjsValue& value, ElementType type) {
  if (value.type == type) return value;
  if (value.is_constant()) return known(convert(*value.constant, type));
  auto result = pointwise("Cast", value, {{"to", static_cast<std::int64_t>(type)}});
  result.type = type;
  return result;
}

TfjsValue TfjsEmitter::clip(const TfjsValue& value, std::optional<float> low, std::optional<float> high) {
  if (value.is_constant())
    return known(models::map(*value.constant, [&](double x) {
      return std::min<double>(std::max<double>(x, low.value_or(-INFINITY)), high.value_or(INFINITY));
    }));
  std::vector<GraphBuilder::Edge> inputs{as_it_lies(value), low ? graph_.scalar(*low) : ""};
  if (high) inputs.push_back(graph_.scalar(*high));
  return made(graph_.add("Clip", std::move(inputs)), value.shape, value.type, value.order);
}

}  // namespace verge::models
