// Element by element, reductions, matrix products.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "models/tfjs_operators.h"

namespace verge::models {
namespace {

using Numbers = std::span<const double>;
using Fold = double (*)(Numbers);

double truth(bool fact) { return fact ? 1 : 0; }

Status check_same_type(const TfjsCall& call, std::size_t first, std::size_t last) {
  for (std::size_t i = first + 1; i < last; ++i)
    if (call.inputs[i].type != call.inputs[first].type)
      return call.refuse(
          fmt::format("it mixes {} and {}", name_of(call.inputs[first].type), name_of(call.inputs[i].type)));
  return Done{};
}

Result<TfjsValues> binary(const TfjsCall& call, std::string_view operation, Fold fold,
                          std::optional<ElementType> type = std::nullopt) {
  if (call.inputs.size() != 2) return call.refuse("it needs two inputs");
  VERGE_CHECK(check_same_type(call, 0, 2));
  VERGE_TRY(auto value, call.emit.elementwise(operation, call.inputs, fold, type));
  return one(std::move(value));
}

Result<TfjsValues> unary(const TfjsCall& call, std::string_view operation, double (*fold)(double)) {
  VERGE_TRY(const auto x, call.input(0));
  if (x.is_constant()) return one(known(map(*x.constant, fold)));
  return one(call.emit.pointwise(operation, x));
}

// -- two operands -------------------------------------------------------------------------------------------------

Result<TfjsValues> add(const TfjsCall& call) {
  return binary(call, "Add", [](Numbers n) { return n[0] + n[1]; });
}
Result<TfjsValues> subtract(const TfjsCall& call) {
  return binary(call, "Sub", [](Numbers n) { return n[0] - n[1]; });
}
Result<TfjsValues> multiply(const TfjsCall& call) {
  return binary(call, "Mul", [](Numbers n) { return n[0] * n[1]; });
}
Result<TfjsValues> divide(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  if (x.type != ElementType::float32) return call.refuse("true division of whole numbers is not supported");
  return binary(call, "Div", [](Numbers n) { return n[0] / n[1]; });
}
Result<TfjsValues> power(const TfjsCall& call) {
  return binary(call, "Pow", [](Numbers n) { return std::pow(n[0], n[1]); });
}
Result<TfjsValues> equal(const TfjsCall& call) {
  return binary(
      call, "Equal", [](Numbers n) { return truth(n[0] == n[1]); }, ElementType::boolean);
}
Result<TfjsValues> not_equal(const TfjsCall& call) {
  VERGE_TRY(const auto same, equal(call));
  const auto& value = same.front();
  if (value.is_constant()) return one(known(map(*value.constant, [](double x) { return 1 - x; })));
  return one(call.emit.pointwise("Not", value));
}
Result<TfjsValues> greater(const TfjsCall& call) {
  return binary(
      call, "Greater", [](Numbers n) { return truth(n[0] > n[1]); }, ElementType::boolean);
}
Result<TfjsValues> greater_equal(const TfjsCall& call) {
  return binary(
      call, "GreaterOrEqual", [](Numbers n) { return truth(n[0] >= n[1]); }, ElementType::boolean);
}
Result<TfjsValues> less(const TfjsCall& call) {
  return binary(
      call, "Less", [](Numbers n) { return truth(n[0] < n[1]); }, ElementType::boolean);
}
Result<TfjsValues> less_equal(const TfjsCall& call) {
  return binary(
      call, "LessOrEqual", [](Numbers n) { return truth(n[0] <= n[1]); }, ElementType::boolean);
}
Result<TfjsValues> logical_and(const TfjsCall& call) {
  return binary(
      call, "And", [](Numbers n) { return truth(n[0] != 0 && n[1] != 0); }, ElementType::boolean);
}
Result<TfjsValues> logical_or(const TfjsCall& call) {
  return binary(
      call, "Or", [](Numbers n) { return truth(n[0] != 0 || n[1] != 0); }, ElementType::boolean);
}
Result<TfjsValues> logical_not(const TfjsCall& call) {
  return unary(call, "Not", [](double x) { return truth(x == 0); });
}

/// A bound by one number becomes a Clip, which joins with its neighbours.
Result<TfjsValues> bound(const TfjsCall& call, bool is_upper) {
  if (call.inputs.size() != 2) return call.refuse("it needs two inputs");
  const auto &x = call.inputs[0], &limit = call.inputs[1];
  if (!x.is_constant() && limit.is_constant() && limit.count() == 1 && limit.rank() <= x.rank() &&
      x.type == ElementType::float32) {
    const auto number = static_cast<float>(limit.constant->values.front());
    return one(is_upper ? call.emit.clip(x, std::nullopt, number) : call.emit.clip(x, number, std::nullopt));
  }
  if (is_upper) return binary(call, "Min", [](Numbers n) { return std::min(n[0], n[1]); });
  return binary(call, "Max", [](Numbers n) { return std::max(n[0], n[1]); });
}
Result<TfjsValues> minimum(const TfjsCall& call) { return bound(call, true); }
Result<TfjsValues> maximum(const TfjsCall& call) { return bound(call, false); }

double floor_mod(double a, double b) { return b == 0 ? 0 : a - std::floor(a / b) * b; }

/// The remainder has the divisor's sign, as ONNX's Mod has for whole numbers.
Result<TfjsValue> whole_mod(const TfjsCall& call) {
  return call.emit.elementwise("Mod", call.inputs, [](Numbers n) { return floor_mod(n[0], n[1]); });
}

Result<TfjsValues> floor_divide(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto y, call.input(1));
  VERGE_CHECK(check_same_type(call, 0, 2));
  if (x.is_constant() && y.is_constant())
    return binary(call, "Div", [](Numbers n) { return n[1] == 0 ? 0 : std::floor(n[0] / n[1]); });
  if (x.type == ElementType::float32) {
    VERGE_TRY(const auto quotient, call.emit.elementwise("Div", call.inputs, nullptr));
    return one(call.emit.pointwise("Floor", quotient));
  }
  // ONNX divides whole numbers towards zero: take the remainder off first, then the division is exact.
  VERGE_TRY(const auto remainder, whole_mod(call));
  VERGE_TRY(const auto multiple, call.emit.elementwise("Sub", {x, remainder}, nullptr));
  VERGE_TRY(auto quotient, call.emit.elementwise("Div", {multiple, y}, nullptr));
  return one(std::move(quotient));
}

Result<TfjsValues> floor_modulo(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto y, call.input(1));
  VERGE_CHECK(check_same_type(call, 0, 2));
  if (x.type != ElementType::float32 || (x.is_constant() && y.is_constant())) {
    VERGE_TRY(auto remainder, whole_mod(call));
    return one(std::move(remainder));
  }
  VERGE_TRY(const auto quotient, call.emit.elementwise("Div", call.inputs, nullptr));
  VERGE_TRY(const auto multiple, call.emit.elementwise("Mul", {call.emit.pointwise("Floor", quotient), y}, nullptr));
  VERGE_TRY(auto remainder, call.emit.elementwise("Sub", {x, multiple}, nullptr));
  return one(std::move(remainder));
}

Result<TfjsValues> squared_difference(const TfjsCall& call) {
  VERGE_TRY(const auto difference, subtract(call));
  const auto& d = difference.front();
  VERGE_TRY(auto square, call.emit.elementwise("Mul", {d, d}, [](Numbers n) { return n[0] * n[1]; }));
  return one(std::move(square));
}

Result<TfjsValues> add_many(const TfjsCall& call) {
  VERGE_TRY(auto sum, call.input(0));
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    VERGE_TRY(sum, call.emit.elementwise("Add", {sum, call.inputs[i]}, [](Numbers n) { return n[0] + n[1]; }));
  }
  return one(std::move(sum));
}

Result<TfjsValues> select(const TfjsCall& call) {
  if (call.inputs.size() != 3) return call.refuse("it needs three inputs");
  VERGE_CHECK(check_same_type(call, 1, 3));
  TfjsValues operands = call.inputs;
  // The first version of Select lets a vector choose whole rows.
  if (call.node.operation == "Select" && operands[0].rank() == 1 && operands[1].rank() > 1) {
    Dimensions column(operands[1].rank(), 1);
    column.front() = operands[0].shape.front();
    operands[0] = call.emit.reshape(operands[0], std::move(column));
  }
  VERGE_TRY(auto value, call.emit.elementwise("Where", operands, [](Numbers n) { return n[0] != 0 ? n[1] : n[2]; }));
  return one(std::move(value));
}

Result<TfjsValues> prelu(const TfjsCall& call) {
  if (call.inputs.size() != 2) return call.refuse("it needs two inputs");
  VERGE_TRY(auto value,
            call.emit.elementwise("PRelu", call.inputs, [](Numbers n) { return n[0] < 0 ? n[0] * n[1] : n[0]; }));
  return one(std::move(value));
}

// -- one operand --------------------------------------------------------------------------------------------------

Result<TfjsValues> relu(const TfjsCall& call) {
  return unary(call, "Relu", [](double x) { return std::max(x, 0.0); });
}
Result<TfjsValues> relu6(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  return one(call.emit.clip(x, 0.F, 6.F));
}
Result<TfjsValues> leaky_relu(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const double alpha, call.node.real("alpha", 0.2));
  return one(call.emit.pointwise("LeakyRelu", x, {{"alpha", static_cast<float>(alpha)}}));
}
Result<TfjsValues> sigmoid(const TfjsCall& call) {
  return unary(call, "Sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); });
}
Result<TfjsValues> absolute(const TfjsCall& call) {
  return unary(call, "Abs", [](double x) { return std::abs(x); });
}
Result<TfjsValues> square_root(const TfjsCall& call) {
  return unary(call, "Sqrt", [](double x) { return std::sqrt(x); });
}
Result<TfjsValues> exponential(const TfjsCall& call) {
  return unary(call, "Exp", [](double x) { return std::exp(x); });
}
Result<TfjsValues> logarithm(const TfjsCall& call) {
  return unary(call, "Log", [](double x) { return std::log(x); });
}
Result<TfjsValues> negate(const TfjsCall& call) {
  return unary(call, "Neg", [](double x) { return -x; });
}
Result<TfjsValues> floor(const TfjsCall& call) {
  return unary(call, "Floor", [](double x) { return std::floor(x); });
}
Result<TfjsValues> ceil(const TfjsCall& call) {
  return unary(call, "Ceil", [](double x) { return std::ceil(x); });
}
Result<TfjsValues> round_even(const TfjsCall& call) {
  return unary(call, "Round", [](double x) { return std::nearbyint(x); });
}
Result<TfjsValues> tangent(const TfjsCall& call) {
  return unary(call, "Tanh", [](double x) { return std::tanh(x); });
}
Result<TfjsValues> reciprocal(const TfjsCall& call) {
  return unary(call, "Reciprocal", [](double x) { return 1 / x; });
}
Result<TfjsValues> elu(const TfjsCall& call) {
  return unary(call, "Elu", [](double x) { return x < 0 ? std::expm1(x) : x; });
}
Result<TfjsValues> softplus(const TfjsCall& call) {
  return unary(call, "Softplus", [](double x) { return std::log1p(std::exp(x)); });
}

Result<TfjsValues> square(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(auto value, call.emit.elementwise("Mul", {x, x}, [](Numbers n) { return n[0] * n[1]; }));
  return one(std::move(value));
}

Result<TfjsValues> reciprocal_root(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  if (x.is_constant()) return one(known(map(*x.constant, [](double v) { return 1 / std::sqrt(v); })));
  return one(call.emit.pointwise("Reciprocal", call.emit.pointwise("Sqrt", x)));
}

Result<TfjsValues> softmax(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  if (x.rank() == 0) return call.refuse("it needs at least one axis");
  const auto edge = call.emit.graph().add("Softmax", {call.emit.edge_of(x)}, {{"axis", -1}});
  return one(call.emit.made(edge, x.shape, x.type));
}

Result<TfjsValues> cast(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto type, call.node.type("DstT", x.type));
  return one(call.emit.cast(x, type));
}

// -- over axes ----------------------------------------------------------------------------------------------------

Result<std::vector<std::size_t>> reduced_axes(const TfjsCall& call, const TfjsValue& x) {
  VERGE_TRY(auto axes, call.integer_input(1));
  std::vector<std::size_t> sorted;
  for (auto axis : axes) {
    if (axis < 0) axis += static_cast<std::int64_t>(x.rank());
    if (axis < 0 || axis >= static_cast<std::int64_t>(x.rank()))
      return call.refuse(fmt::format("axis {} is outside {}", axis, shape_text(x.shape)));
    sorted.push_back(static_cast<std::size_t>(axis));
  }
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

struct Reduction {
  std::string_view operation;
  double start;
  double (*fold)(double, double);
};

Constant reduce_known(const Constant& x, const std::vector<std::size_t>& axes, const Reduction& reduction) {
  auto result = models::reduce(x, axes, reduction.start, reduction.fold);
  const double length =
      static_cast<double>(x.values.size()) / std::max<double>(1, static_cast<double>(result.values.size()));
  if (reduction.operation == "ReduceMean") result = map(result, [length](double sum) { return sum / length; });
  return map(result, [](double value) { return value; });
}

GraphBuilder::Edge write_reduction(const TfjsCall& call, const TfjsValue& x, const std::vector<std::size_t>& axes,
                                   const Reduction& reduction) {
  auto& graph = call.emit.graph();
  const auto edge = call.emit.as_it_lies(x);
  std::vector<std::int64_t> lying;
  for (const auto axis : axes) lying.push_back(std::find(x.order.begin(), x.order.end(), axis) - x.order.begin());
  std::sort(lying.begin(), lying.end());
  if (reduction.operation == "ReduceMean" && x.rank() == 4 && lying == std::vector<std::int64_t>{2, 3})
    return graph.add("GlobalAveragePool", {edge});
  // Opset 17 takes the axes of ReduceSum as an input, of the others as an attribute.
  if (reduction.operation == "ReduceSum") return graph.add("ReduceSum", {edge, graph.ints(lying)}, {{"keepdims", 1}});
  return graph.add(std::string(reduction.operation), {edge}, {{"axes", OnnxAttributeValue(lying)}, {"keepdims", 1}});
}

Result<TfjsValues> reduce_axes(const TfjsCall& call, const Reduction& reduction) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto axes, reduced_axes(call, x));
  VERGE_TRY(const bool keeps, call.node.flag("keep_dims", false));
  Dimensions kept = x.shape, rest;
  for (const auto axis : axes) kept[axis] = 1;
  for (std::size_t axis = 0; axis < x.rank(); ++axis)
    if (!std::binary_search(axes.begin(), axes.end(), axis)) rest.push_back(x.shape[axis]);
  TfjsValue value = x;
  if (x.is_constant())
    value = known(reduce_known(*x.constant, axes, reduction));
  else if (!axes.empty())
    value = call.emit.made(write_reduction(call, x, axes, reduction), kept, x.type, x.order);
  return one(keeps ? std::move(value) : call.emit.reshape(value, std::move(rest)));
}

Result<TfjsValues> mean(const TfjsCall& call) {
  return reduce_axes(call, {"ReduceMean", 0, [](double a, double b) { return a + b; }});
}
Result<TfjsValues> sum(const TfjsCall& call) {
  return reduce_axes(call, {"ReduceSum", 0, [](double a, double b) { return a + b; }});
}
Result<TfjsValues> product(const TfjsCall& call) {
  return reduce_axes(call, {"ReduceProd", 1, [](double a, double b) { return a * b; }});
}
Result<TfjsValues> largest(const TfjsCall& call) {
  return reduce_axes(call, {"ReduceMax", -INFINITY, [](double a, double b) { return std::max(a, b); }});
}
Result<TfjsValues> smallest(const TfjsCall& call) {
  return reduce_axes(call, {"ReduceMin", INFINITY, [](double a, double b) { return std::min(a, b); }});
}

Result<TfjsValues> arg_extreme(const TfjsCall& call, std::string_view operation) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto axes, reduced_axes(call, x));
  if (axes.size() != 1) return call.refuse("it needs exactly one axis");
  auto& graph = call.emit.graph();
  const auto axis = static_cast<std::int64_t>(axes.front());
  const auto edge = graph.add(std::string(operation), {call.emit.edge_of(x)}, {{"axis", axis}, {"keepdims", 0}});
  Dimensions shape = x.shape;
  shape.erase(shape.begin() + axis);
  return one(call.emit.cast(call.emit.made(edge, std::move(shape), ElementType::int64), ElementType::int32));
}
Result<TfjsValues> arg_max(const TfjsCall& call) { return arg_extreme(call, "ArgMax"); }
Result<TfjsValues> arg_min(const TfjsCall& call) { return arg_extreme(call, "ArgMin"); }

Result<TfjsValues> top_k(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto count, call.integer_input(1));
  if (x.rank() == 0 || count.size() != 1 || count[0] < 0 || count[0] > x.shape.back())
    return call.refuse("k does not fit the last axis");
  auto& graph = call.emit.graph();
  const auto edges = graph.add_many("TopK", {call.emit.edge_of(x), graph.ints({count[0]})}, 2,
                                    {{"axis", -1}, {"largest", 1}, {"sorted", 1}});
  Dimensions shape = x.shape;
  shape.back() = count[0];
  return TfjsValues{call.emit.made(edges[0], shape, x.type),
                    call.emit.cast(call.emit.made(edges[1], shape, ElementType::int64), ElementType::int32)};
}

// -- matrix product -----------------------------------------------------------------------------------------------

Result<TfjsValues> matrix_product(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto y, call.input(1));
  VERGE_TRY(const bool turns_x, call.node.flag("transpose_a", false));
  VERGE_TRY(const bool turns_y, call.node.flag("transpose_b", false));
  if (x.rank() != 2 || y.rank() != 2) return call.refuse("both inputs must have two axes");
  const auto rows = x.shape[turns_x ? 1 : 0], columns = y.shape[turns_y ? 0 : 1];
  if (x.shape[turns_x ? 0 : 1] != y.shape[turns_y ? 1 : 0])
    return call.refuse(fmt::format("{} and {} do not fit", shape_text(x.shape), shape_text(y.shape)));
  VERGE_TRY(auto fused, call.node.texts("fused_ops"));
  std::vector<GraphBuilder::Edge> edges{call.emit.edge_of(x), call.emit.edge_of(y)};
  if (!fused.empty() && fused.front() == "BiasAdd") {
    VERGE_TRY(const auto bias, call.input(2));
    edges.push_back(call.emit.edge_of(call.emit.reshape(bias, {bias.count()})));
    fused.erase(fused.begin());
  }
  const auto edge =
      call.emit.graph().add("Gemm", std::move(edges), {{"transA", int{turns_x}}, {"transB", int{turns_y}}});
  TfjsValue value = call.emit.made(edge, {rows, columns}, ElementType::float32);
  for (const auto& name : fused) {
    VERGE_TRY(value, activate(call, value, name));
  }
  return one(std::move(value));
}

}  // namespace

Result<TfjsValue> TfjsCall::input(std::size_t index) const {
  if (index < inputs.size()) return inputs[index];
  return refuse(fmt::format("it needs at least {} inputs, it has {}", index + 1, inputs.size()));
}

Result<std::shared_ptr<const Constant>> TfjsCall::known_input(std::size_t index) const {
  VERGE_TRY(const auto value, input(index));
  if (value.is_constant()) return value.constant;
  return refuse(fmt::format("input {} must be known before the model runs", index));
}

Result<std::vector<std::int64_t>> TfjsCall::integer_input(std::size_t index) const {
  VERGE_TRY(const auto constant, known_input(index));
  return constant->integers();
}

Error TfjsCall::refuse(std::string_view why) const { return {ErrorCode::invalid_argument, std::string(why)}; }

Result<TfjsValue> activate(const TfjsCall& call, const TfjsValue& x, const std::string& name) {
  if (name == "Relu") return call.emit.pointwise("Relu", x);
  if (name == "Relu6") return call.emit.clip(x, 0.F, 6.F);
  if (name == "Elu" || name == "Sigmoid" || name == "Tanh") return call.emit.pointwise(name, x);
  if (name == "LeakyRelu") {
    VERGE_TRY(const double alpha, call.node.real("leakyrelu_alpha", 0.2));
    return call.emit.pointwise("LeakyRelu", x, {{"alpha", static_cast<float>(alpha)}});
  }
  if (name == "Prelu") {
    VERGE_TRY(const auto slope, call.input(3));
    return call.emit.elementwise("PRelu", {x, slope}, nullptr);
  }
  return call.refuse(fmt::format("the fused operation {} is not supported", name));
}

void add_arithmetic_operators(TfjsOperators& operators) {
  const TfjsOperators added{{"Add", add},
                            {"AddV2", add},
                            {"BiasAdd", add},
                            {"AddN", add_many},
                            {"Sub", subtract},
                            {"Mul", multiply},
                            {"RealDiv", divide},
                            {"Div", divide},
                            {"Pow", power},
                            {"FloorDiv", floor_divide},
                            {"FloorMod", floor_modulo},
                            {"SquaredDifference", squared_difference},
                            {"Minimum", minimum},
                            {"Maximum", maximum},
                            {"Equal", equal},
                            {"NotEqual", not_equal},
                            {"Greater", greater},
                            {"GreaterEqual", greater_equal},
                            {"Less", less},
                            {"LessEqual", less_equal},
                            {"LogicalAnd", logical_and},
                            {"LogicalOr", logical_or},
                            {"LogicalNot", logical_not},
                            {"Select", select},
                            {"SelectV2", select},
                            {"Prelu", prelu},
                            {"Relu", relu},
                            {"Relu6", relu6},
                            {"LeakyRelu", leaky_relu},
                            {"Elu", elu},
                            {"Softplus", softplus},
                            {"Sigmoid", sigmoid},
                            {"Tanh", tangent},
                            {"Softmax", softmax},
                            {"Abs", absolute},
                            {"Sqrt", square_root},
                            {"Rsqrt", reciprocal_root},
                            {"Square", square},
                            {"Exp", exponential},
                            {"Log", logarithm},
                            {"Neg", negate},
                            {"Floor", floor},
                            {"Ceil", ceil},
                            {"Round", round_even},
                            {"Reciprocal", reciprocal},
                            {"Cast", cast},
                            {"Mean", mean},
                            {"Sum", sum},
                            {"Prod", product},
                            {"Max", largest},
                            {"Min", smallest},
                            {"ArgMax", arg_max},
                            {"ArgMin", arg_min},
                            {"TopKV2", top_k},
                            {"MatMul", matrix_product},
                            {"_FusedMatMul", matrix_product}};
  operators.insert(added.begin(), added.end());
}

}  // namespace verge::models
