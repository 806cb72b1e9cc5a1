// Operators that move, cut, join and make values without computing with them.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "models/tfjs_operators.h"

namespace verge::models {
namespace {

constexpr std::int64_t made_count_max = std::int64_t{1} << 26U;  ///< Bounds Range, Fill and Tile of known values.

std::int64_t length(std::size_t value) { return static_cast<std::int64_t>(value); }

Result<std::size_t> axis_within(const TfjsCall& call, std::int64_t axis, std::size_t rank) {
  const auto found = axis < 0 ? axis + length(rank) : axis;
  if (found < 0 || found >= length(rank)) return call.refuse(fmt::format("axis {} is outside {} axes", axis, rank));
  return static_cast<std::size_t>(found);
}

Result<std::int64_t> known_number(const TfjsCall& call, std::size_t index) {
  VERGE_TRY(const auto numbers, call.integer_input(index));
  if (numbers.size() != 1) return call.refuse(fmt::format("input {} must be one number", index));
  return numbers.front();
}

std::size_t place_in(const Order& order, std::size_t axis) {
  return static_cast<std::size_t>(std::find(order.begin(), order.end(), axis) - order.begin());
}

bool are_all_known(const TfjsValues& values, std::size_t count) {
  return std::all_of(values.begin(), values.begin() + length(count), [](const auto& v) { return v.is_constant(); });
}

Result<TfjsValues> pass(const TfjsCall& call) {
  VERGE_TRY(auto x, call.input(0));
  return one(std::move(x));
}

// -- the same numbers under another shape -------------------------------------------------------------------------

Result<TfjsValues> reshape(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(auto shape, call.integer_input(1));
  std::int64_t rest = 1;
  for (const auto size : shape) rest *= size == -1 ? 1 : size;
  const auto open = std::find(shape.begin(), shape.end(), -1);
  if (open != shape.end() && rest > 0 && x.count() % rest == 0) *open = x.count() / rest;
  if (std::any_of(shape.begin(), shape.end(), [](auto size) { return size < 0; }) || count_of(shape) != x.count())
    return call.refuse(fmt::format("{} cannot become {}", shape_text(x.shape), shape_text(shape)));
  return one(call.emit.reshape(x, std::move(shape)));
}

Result<TfjsValues> squeeze(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(auto axes, call.node.integers("squeeze_dims"));
  if (axes.empty()) {
    VERGE_TRY(axes, call.node.integers("axis"));
  }
  std::vector<bool> goes(x.rank(), false);
  for (const auto axis : axes) {
    VERGE_TRY(const auto at, axis_within(call, axis, x.rank()));
    if (x.shape[at] != 1) return call.refuse(fmt::format("axis {} of {} is longer than 1", axis, shape_text(x.shape)));
    goes[at] = true;
  }
  Dimensions shape;
  for (std::size_t axis = 0; axis < x.rank(); ++axis)
    if (axes.empty() ? x.shape[axis] != 1 : !goes[axis]) shape.push_back(x.shape[axis]);
  return one(call.emit.reshape(x, std::move(shape)));
}

Result<TfjsValues> expand_dimensions(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto axis, known_number(call, 1));
  VERGE_TRY(const auto at, axis_within(call, axis, x.rank() + 1));
  Dimensions shape = x.shape;
  shape.insert(shape.begin() + length(at), 1);
  return one(call.emit.reshape(x, std::move(shape)));
}

/// Moves no number: only the order of the axes changes.
Result<TfjsValues> transpose(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto given, call.integer_input(1));
  Order moves(given.begin(), given.end());
  Order sorted = moves;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != identity_order(x.rank())) return call.refuse("the permutation does not fit the input's axes");
  if (x.is_constant()) return one(known(models::transpose(*x.constant, moves)));
  TfjsValue value = x;
  for (std::size_t axis = 0; axis < moves.size(); ++axis) value.shape[axis] = x.shape[moves[axis]];
  for (auto& axis : value.order) axis = place_in(moves, axis);
  return one(std::move(value));
}

// -- joining and splitting ----------------------------------------------------------------------------------------

Status check_joinable(const TfjsCall& call, std::size_t count, std::size_t axis) {
  const auto& first = call.inputs.front();
  for (std::size_t i = 1; i < count; ++i) {
    Dimensions shape = call.inputs[i].shape;
    if (shape.size() == first.rank()) shape[axis] = first.shape[axis];
    if (shape != first.shape || call.inputs[i].type != first.type)
      return call.refuse(
          fmt::format("{} and {} do not fit", shape_text(first.shape), shape_text(call.inputs[i].shape)));
  }
  return Done{};
}

TfjsValue join(TfjsEmitter& emit, const TfjsValues& values, std::size_t axis) {
  if (are_all_known(values, values.size())) {
    std::vector<const Constant*> constants;
    for (const auto& value : values) constants.push_back(value.constant.get());
    return known(concatenate(constants, axis));
  }
  const TfjsValue* leader = nullptr;
  Dimensions shape = values.front().shape;
  shape[axis] = 0;
  for (const auto& value : values) {
    shape[axis] += value.shape[axis];
    if (!value.is_constant() && (!leader || value.count() > leader->count())) leader = &value;
  }
  std::vector<GraphBuilder::Edge> edges;
  for (const auto& value : values) edges.push_back(emit.edge_of(value, leader->order));
  const auto at = length(place_in(leader->order, axis));
  return emit.made(emit.graph().add("Concat", std::move(edges), {{"axis", at}}), std::move(shape), leader->type,
                   leader->order);
}

Result<TfjsValues> concatenate_values(const TfjsCall& call) {
  if (call.inputs.size() < 2) return call.refuse("it needs values and an axis");
  const std::size_t count = call.inputs.size() - 1;
  VERGE_TRY(const auto axis, known_number(call, count));
  VERGE_TRY(const auto at, axis_within(call, axis, call.inputs.front().rank()));
  VERGE_CHECK(check_joinable(call, count, at));
  return one(join(call.emit, TfjsValues(call.inputs.begin(), call.inputs.end() - 1), at));
}

/// Stacks along a new axis.
Result<TfjsValues> pack(const TfjsCall& call) {
  VERGE_TRY(const auto first, call.input(0));
  VERGE_TRY(const auto axis, call.node.integer("axis", 0));
  VERGE_TRY(const auto at, axis_within(call, axis, first.rank() + 1));
  TfjsValues expanded;
  for (const auto& value : call.inputs) {
    if (value.shape != first.shape || value.type != first.type)
      return call.refuse(fmt::format("{} and {} do not fit", shape_text(first.shape), shape_text(value.shape)));
    Dimensions shape = value.shape;
    shape.insert(shape.begin() + length(at), 1);
    expanded.push_back(call.emit.reshape(value, std::move(shape)));
  }
  return one(join(call.emit, expanded, at));
}

TfjsValues cut(TfjsEmitter& emit, const TfjsValue& x, std::size_t axis, const std::vector<std::int64_t>& sizes) {
  TfjsValues parts;
  if (sizes.size() == 1) return {x};
  if (x.is_constant()) {
    std::int64_t start = 0;
    for (const auto size : sizes) {
      parts.push_back(known(models::slice(*x.constant, axis, start, 1, size)));
      start += size;
    }
    return parts;
  }
  auto& graph = emit.graph();
  const auto edges = graph.add_many("Split", {emit.as_it_lies(x), graph.ints(sizes)}, sizes.size(),
                                    {{"axis", length(place_in(x.order, axis))}});
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    Dimensions shape = x.shape;
    shape[axis] = sizes[i];
    parts.push_back(emit.made(edges[i], std::move(shape), x.type, x.order));
  }
  return parts;
}

Result<TfjsValues> split_evenly(const TfjsCall& call) {
  VERGE_TRY(const auto axis, known_number(call, 0));
  VERGE_TRY(const auto x, call.input(1));
  VERGE_TRY(const auto at, axis_within(call, axis, x.rank()));
  VERGE_TRY(const auto count, call.node.integer("num_split", 1));
  if (count < 1 || x.shape[at] % count != 0)
    return call.refuse(fmt::format("{} cannot be split into {} equal parts", shape_text(x.shape), count));
  return cut(call.emit, x, at, std::vector<std::int64_t>(static_cast<std::size_t>(count), x.shape[at] / count));
}

Result<TfjsValues> split_by_sizes(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(auto sizes, call.integer_input(1));
  VERGE_TRY(const auto axis, known_number(call, 2));
  VERGE_TRY(const auto at, axis_within(call, axis, x.rank()));
  std::int64_t sum = 0;
  for (const auto size : sizes) sum += std::max<std::int64_t>(size, 0);
  for (auto& size : sizes)
    if (size < 0) sum += size = x.shape[at] - sum;
  if (sizes.empty() || sum != x.shape[at] || std::any_of(sizes.begin(), sizes.end(), [](auto s) { return s < 0; }))
    return call.refuse(fmt::format("the parts do not fit axis {} of {}", at, shape_text(x.shape)));
  return cut(call.emit, x, at, sizes);
}

Result<TfjsValues> unpack(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto axis, call.node.integer("axis", 0));
  VERGE_TRY(const auto at, axis_within(call, axis, x.rank()));
  Dimensions shape = x.shape;
  shape.erase(shape.begin() + length(at));
  TfjsValues parts = cut(call.emit, x, at, std::vector<std::int64_t>(static_cast<std::size_t>(x.shape[at]), 1));
  for (auto& part : parts) part = call.emit.reshape(part, shape);
  return parts;
}

// -- cutting out --------------------------------------------------------------------------------------------------

struct Cut {
  std::size_t axis = 0;
  std::int64_t start = 0, step = 1, count = 0;
};

TfjsValue cut_out(TfjsEmitter& emit, const TfjsValue& x, const std::vector<Cut>& cuts) {
  if (x.is_constant()) {
    Constant part = *x.constant;
    for (const auto& cut : cuts) part = models::slice(part, cut.axis, cut.start, cut.step, cut.count);
    return known(std::move(part));
  }
  Dimensions shape = x.shape;
  std::vector<std::int64_t> starts, ends, axes, steps;
  for (const auto& cut : cuts) {
    if (cut.start == 0 && cut.step == 1 && cut.count == x.shape[cut.axis]) continue;
    shape[cut.axis] = cut.count;
    starts.push_back(cut.start);
    // Going backwards past the first element has no number of its own: -1 would mean the last one.
    const auto end = cut.start + cut.count * cut.step;
    ends.push_back(end < 0 ? std::numeric_limits<std::int64_t>::min() + 1 : end);
    axes.push_back(length(place_in(x.order, cut.axis)));
    steps.push_back(cut.step);
  }
  if (starts.empty()) return x;
  auto& graph = emit.graph();
  const auto edge = graph.add(
      "Slice", {emit.as_it_lies(x), graph.ints(starts), graph.ints(ends), graph.ints(axes), graph.ints(steps)});
  return emit.made(edge, std::move(shape), x.type, x.order);
}

Result<TfjsValues> slice(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto begins, call.integer_input(1));
  VERGE_TRY(const auto sizes, call.integer_input(2));
  if (begins.size() != x.rank() || sizes.size() != x.rank()) return call.refuse("begin and size do not fit the input");
  std::vector<Cut> cuts;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    const auto count = sizes[axis] == -1 ? x.shape[axis] - begins[axis] : sizes[axis];
    if (begins[axis] < 0 || count < 0 || begins[axis] + count > x.shape[axis])
      return call.refuse(fmt::format("the part lies outside {}", shape_text(x.shape)));
    cuts.push_back({axis, begins[axis], 1, count});
  }
  return one(cut_out(call.emit, x, cuts));
}

struct SliceMasks {
  std::int64_t begin = 0, end = 0, new_axis = 0, shrink = 0;

  static bool has(std::int64_t mask, std::size_t bit) { return (mask >> bit & 1) != 0; }
};

Result<SliceMasks> read_masks(const TfjsCall& call) {
  SliceMasks masks;
  VERGE_TRY(masks.begin, call.node.integer("begin_mask", 0));
  VERGE_TRY(masks.end, call.node.integer("end_mask", 0));
  VERGE_TRY(masks.new_axis, call.node.integer("new_axis_mask", 0));
  VERGE_TRY(masks.shrink, call.node.integer("shrink_axis_mask", 0));
  VERGE_TRY(const auto ellipsis, call.node.integer("ellipsis_mask", 0));
  if (ellipsis != 0) return call.refuse("an ellipsis is not supported");
  return masks;
}

/// One axis cut the way Python cuts it: begin and end from either side, clamped; masks open an end.
Cut python_cut(std::size_t axis, std::int64_t size, std::int64_t begin, std::int64_t end, std::int64_t step,
               bool is_begin_open, bool is_end_open) {
  const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? size : size - 1;
  const auto clamp = [&](std::int64_t at) { return std::clamp(at < 0 ? at + size : at, lowest, highest); };
  const auto start = is_begin_open ? (step > 0 ? lowest : highest) : clamp(begin);
  const auto stop = is_end_open ? (step > 0 ? highest : lowest) : clamp(end);
  const auto distance = step > 0 ? stop - start : start - stop;
  const auto stride = std::abs(step);
  return {axis, start, step, std::max<std::int64_t>(0, (distance + stride - 1) / stride)};
}

Result<TfjsValues> strided_slice(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto begins, call.integer_input(1));
  VERGE_TRY(const auto ends, call.integer_input(2));
  VERGE_TRY(const auto steps, call.integer_input(3));
  VERGE_TRY(const auto masks, read_masks(call));
  if (ends.size() != begins.size() || steps.size() != begins.size())
    return call.refuse("begin, end and strides differ in length");
  std::vector<Cut> cuts;
  Dimensions shape;
  std::size_t axis = 0;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    if (SliceMasks::has(masks.new_axis, i)) {
      shape.push_back(1);
      continue;
    }
    if (axis >= x.rank() || steps[i] == 0)
      return call.refuse(fmt::format("the slice does not fit {}", shape_text(x.shape)));
    const auto size = x.shape[axis];
    if (SliceMasks::has(masks.shrink, i)) {
      const auto at = begins[i] < 0 ? begins[i] + size : begins[i];
      if (at < 0 || at >= size)
        return call.refuse(fmt::format("index {} lies outside {}", begins[i], shape_text(x.shape)));
      cuts.push_back({axis, at, 1, 1});
    } else {
      cuts.push_back(python_cut(axis, size, begins[i], ends[i], steps[i], SliceMasks::has(masks.begin, i),
                                SliceMasks::has(masks.end, i)));
      shape.push_back(cuts.back().count);
    }
    ++axis;
  }
  shape.insert(shape.end(), x.shape.begin() + length(axis), x.shape.end());
  return one(call.emit.reshape(cut_out(call.emit, x, cuts), std::move(shape)));
}

Result<TfjsValues> gather(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto indices, call.input(1));
  VERGE_TRY(const auto batch_axes, call.node.integer("batch_dims", 0));
  if (batch_axes != 0) return call.refuse("batch_dims is not supported");
  std::int64_t axis = 0;
  if (call.inputs.size() > 2) {
    VERGE_TRY(axis, known_number(call, 2));
  }
  VERGE_TRY(const auto at, axis_within(call, axis, x.rank()));
  if (x.is_constant() && indices.is_constant()) {
    const auto numbers = indices.constant->integers();
    if (std::any_of(numbers.begin(), numbers.end(), [&](auto n) { return n < 0 || n >= x.shape[at]; }))
      return call.refuse(fmt::format("an index lies outside axis {} of {}", at, shape_text(x.shape)));
    return one(known(take(*x.constant, at, numbers, indices.shape)));
  }
  Dimensions shape = x.shape;
  shape.erase(shape.begin() + length(at));
  shape.insert(shape.begin() + length(at), indices.shape.begin(), indices.shape.end());
  const auto edge =
      call.emit.graph().add("Gather", {call.emit.edge_of(x), call.emit.edge_of(indices)}, {{"axis", length(at)}});
  return one(call.emit.made(edge, std::move(shape), x.type));
}

Result<TfjsValues> gather_points(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto indices, call.input(1));
  if (indices.rank() == 0 || indices.shape.back() > length(x.rank()))
    return call.refuse("the indices do not fit the input");
  Dimensions shape(indices.shape.begin(), indices.shape.end() - 1);
  shape.insert(shape.end(), x.shape.begin() + indices.shape.back(), x.shape.end());
  const auto wide = call.emit.cast(indices, ElementType::int64);
  const auto edge = call.emit.graph().add("GatherND", {call.emit.edge_of(x), call.emit.edge_of(wide)});
  return one(call.emit.made(edge, std::move(shape), x.type));
}

// -- making -------------------------------------------------------------------------------------------------------

Result<TfjsValues> shape_of(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  return one(known({ElementType::int32, {length(x.rank())}, {x.shape.begin(), x.shape.end()}}));
}

Result<TfjsValues> size_of(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  return one(known({ElementType::int32, {}, {static_cast<double>(x.count())}}));
}

Result<TfjsValues> range(const TfjsCall& call) {
  VERGE_TRY(const auto start, call.known_input(0));
  VERGE_TRY(const auto limit, call.known_input(1));
  VERGE_TRY(const auto step, call.known_input(2));
  if (start->values.size() != 1 || limit->values.size() != 1 || step->values.size() != 1 || step->values[0] == 0)
    return call.refuse("start, limit and step must be single numbers, the step not 0");
  const double count = std::ceil((limit->values[0] - start->values[0]) / step->values[0]);
  if (count > static_cast<double>(made_count_max)) return call.refuse("it would be too long");
  Constant numbers{start->type, {}, {}};
  for (double i = 0; i < count; ++i)
    numbers.values.push_back(rounded_to(start->type, start->values[0] + i * step->values[0]));
  numbers.shape = {length(numbers.values.size())};
  return one(known(std::move(numbers)));
}

Result<TfjsValues> fill(const TfjsCall& call) {
  VERGE_TRY(auto shape, call.integer_input(0));
  VERGE_TRY(const auto value, call.known_input(1));
  std::int64_t count = 1;
  for (const auto size : shape)
    if (size < 0 || __builtin_mul_overflow(count, size, &count) || count > made_count_max)
      return call.refuse(fmt::format("the shape {} is impossible", shape_text(shape)));
  if (value->values.size() != 1) return call.refuse("the value must be one number");
  std::vector<double> numbers(static_cast<std::size_t>(count), value->values.front());
  return one(known({value->type, std::move(shape), std::move(numbers)}));
}

Result<TfjsValues> tile(const TfjsCall& call) {
  VERGE_TRY(const auto x, call.input(0));
  VERGE_TRY(const auto repeats, call.integer_input(1));
  if (repeats.size() != x.rank()) return call.refuse("the repeats do not fit the input's axes");
  Dimensions shape = x.shape;
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < x.rank(); ++axis)
    if (repeats[axis] < 1 || __builtin_mul_overflow(shape[axis], repeats[axis], &shape[axis]) ||
        __builtin_mul_overflow(count, shape[axis], &count) || count > made_count_max)
      return call.refuse(fmt::format("the repeats {} are impossible", shape_text(repeats)));
  if (x.is_constant()) {
    Constant tiled = *x.constant;
    for (std::size_t axis = 0; axis < x.rank(); ++axis) {
      const std::vector<const Constant*> copies(static_cast<std::size_t>(repeats[axis]), &tiled);
      auto longer = concatenate(copies, axis);
      tiled = std::move(longer);
    }
    return one(known(std::move(tiled)));
  }
  auto& graph = call.emit.graph();
  return one(call.emit.made(graph.add("Tile", {call.emit.edge_of(x), graph.ints(repeats)}), std::move(shape), x.type));
}

/// Numbers written at given places of a block of one default number; known before the model runs.
Result<TfjsValues> sparse_to_dense(const TfjsCall& call) {
  VERGE_TRY(const auto places, call.known_input(0));
  VERGE_TRY(auto shape, call.integer_input(1));
  VERGE_TRY(const auto numbers, call.known_input(2));
  VERGE_TRY(const auto filling, call.known_input(3));
  const std::size_t rank = shape.size();
  if (rank == 0 || places->values.size() % rank != 0 || filling->values.size() != 1 || count_of(shape) < 0 ||
      count_of(shape) > made_count_max)
    return call.refuse("places, shape and default do not fit");
  Constant dense{numbers->type, shape, {}};
  dense.values.assign(static_cast<std::size_t>(count_of(shape)), filling->values.front());
  const std::size_t count = places->values.size() / rank;
  if (numbers->values.size() != count && numbers->values.size() != 1)
    return call.refuse("places and values differ in number");
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t at = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) {
      const auto place = static_cast<std::int64_t>(places->values[i * rank + axis]);
      if (place < 0 || place >= shape[axis])
        return call.refuse(fmt::format("a place lies outside {}", shape_text(shape)));
      at = at * shape[axis] + place;
    }
    dense.values[static_cast<std::size_t>(at)] = numbers->values[numbers->values.size() == 1 ? 0 : i];
  }
  return one(known(std::move(dense)));
}

}  // namespace

void add_shape_operators(TfjsOperators& operators) {
  const TfjsOperators added{{"Identity", pass},
                            {"StopGradient", pass},
                            {"CheckNumerics", pass},
                            {"Reshape", reshape},
                            {"Squeeze", squeeze},
                            {"ExpandDims", expand_dimensions},
                            {"Transpose", transpose},
                            {"ConcatV2", concatenate_values},
                            {"Pack", pack},
                            {"Unpack", unpack},
                            {"Split", split_evenly},
                            {"SplitV", split_by_sizes},
                            {"Slice", slice},
                            {"StridedSlice", strided_slice},
                            {"Gather", gather},
                            {"GatherV2", gather},
                            {"GatherNd", gather_points},
                            {"Shape", shape_of},
                            {"Size", size_of},
                            {"Range", range},
                            {"Fill", fill},
                            {"Tile", tile},
                            {"SparseToDense", sparse_to_dense}};
  operators.insert(added.begin(), added.end());
}

}  // namespace verge::models
