#include "models/constant.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace verge::models {
namespace {

std::vector<std::int64_t> steps_of(const Dimensions& shape) {
  std::vector<std::int64_t> steps(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) steps[axis - 1] = steps[axis] * shape[axis];
  return steps;
}

/// Steps of `source` seen through the larger shape `target`: 0 where it stretches.
std::vector<std::int64_t> stretched_steps(const Dimensions& source, const Dimensions& target) {
  std::vector<std::int64_t> steps(target.size(), 0);
  const auto own = steps_of(source);
  const std::size_t lead = target.size() - source.size();
  for (std::size_t axis = 0; axis < source.size(); ++axis)
    if (source[axis] != 1) steps[lead + axis] = own[axis];
  return steps;
}

/// Counts through all positions of a shape in row-major order, keeping an offset for a given set of steps.
class Walk {
 public:
  explicit Walk(const Dimensions& shape) : shape_(shape), position_(shape.size(), 0) {}
  std::int64_t offset(const std::vector<std::int64_t>& steps) const {
    return std::inner_product(position_.begin(), position_.end(), steps.begin(), std::int64_t{0});
  }
  void next() {
    for (std::size_t axis = shape_.size(); axis-- > 0;) {
      if (++position_[axis] < shape_[axis]) return;
      position_[axis] = 0;
    }
  }

 private:
  const Dimensions& shape_;
  Dimensions position_;
};

std::size_t index(std::int64_t value) { return static_cast<std::size_t>(value); }

struct Blocks {
  std::size_t outer = 1, length = 1, inner = 1;
};
/// The array as [before the axis, the axis, after it].
Blocks blocks_at(const Dimensions& shape, std::size_t axis) {
  Blocks blocks;
  for (std::size_t i = 0; i < shape.size(); ++i)
    (i < axis ? blocks.outer : i == axis ? blocks.length : blocks.inner) *= index(shape[i]);
  return blocks;
}

template <class T>
OnnxTensor packed(const Constant& constant) {
  std::vector<T> numbers(constant.values.size());
  std::transform(constant.values.begin(), constant.values.end(), numbers.begin(),
                 [](double value) { return static_cast<T>(value); });
  return OnnxTensor::of<T>(constant.shape, numbers);
}

}  // namespace

std::vector<std::int64_t> Constant::integers() const {
  std::vector<std::int64_t> numbers(values.size());
  std::transform(values.begin(), values.end(), numbers.begin(),
                 [](double value) { return static_cast<std::int64_t>(value); });
  return numbers;
}

std::int64_t count_of(const Dimensions& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

Result<Dimensions> broadcast(const Dimensions& a, const Dimensions& b) {
  const auto& longer = a.size() >= b.size() ? a : b;
  const auto& shorter = a.size() >= b.size() ? b : a;
  Dimensions shape = longer;
  const std::size_t lead = longer.size() - shorter.size();
  for (std::size_t axis = 0; axis < shorter.size(); ++axis) {
    auto& size = shape[lead + axis];
    if (size == 1) size = shorter[axis];
    if (shorter[axis] != 1 && shorter[axis] != size)
      return Error{ErrorCode::invalid_argument,
                   fmt::format("shapes {} and {} do not fit", shape_text(a), shape_text(b))};
  }
  return shape;
}

double rounded_to(ElementType type, double value) {
  switch (type) {
    case ElementType::float32:
      return static_cast<double>(static_cast<float>(value));
    case ElementType::boolean:
      return value != 0 ? 1 : 0;
    default:
      return std::trunc(value);
  }
}

OnnxTensor to_tensor(const Constant& constant) {
  switch (constant.type) {
    case ElementType::int32:
      return packed<std::int32_t>(constant);
    case ElementType::int64:
      return packed<std::int64_t>(constant);
    case ElementType::boolean: {
      auto tensor = packed<std::uint8_t>(constant);
      tensor.type = ElementType::boolean;
      return tensor;
    }
    default:
      return packed<float>(constant);
  }
}

Constant transpose(const Constant& source, std::span<const std::size_t> order) {
  const auto own = steps_of(source.shape);
  Constant target{source.type, {}, {}};
  std::vector<std::int64_t> steps;
  for (const auto axis : order) {
    target.shape.push_back(source.shape[axis]);
    steps.push_back(own[axis]);
  }
  target.values.reserve(source.values.size());
  Walk walk(target.shape);
  for (std::size_t i = 0; i < source.values.size(); ++i, walk.next())
    target.values.push_back(source.values[index(walk.offset(steps))]);
  return target;
}

Constant reshape(Constant source, Dimensions shape) {
  VERGE_ASSERT(count_of(shape) == static_cast<std::int64_t>(source.values.size()));
  source.shape = std::move(shape);
  return source;
}

Constant convert(Constant source, ElementType type) {
  for (auto& value : source.values) value = rounded_to(type, value);
  source.type = type;
  return source;
}

Constant map(const Constant& source, const std::function<double(double)>& function) {
  Constant target = source;
  for (auto& value : target.values) value = rounded_to(source.type, function(value));
  return target;
}

Result<Constant> combine(const std::vector<const Constant*>& sources, ElementType type,
                         const std::function<double(std::span<const double>)>& function) {
  Constant target{type, {}, {}};
  for (const auto* source : sources) {
    VERGE_TRY(target.shape, broadcast(target.shape, source->shape));
  }
  std::vector<std::vector<std::int64_t>> steps;
  for (const auto* source : sources) steps.push_back(stretched_steps(source->shape, target.shape));
  const std::size_t count = index(count_of(target.shape));
  target.values.reserve(count);
  std::vector<double> operands(sources.size());
  Walk walk(target.shape);
  for (std::size_t i = 0; i < count; ++i, walk.next()) {
    for (std::size_t s = 0; s < sources.size(); ++s) operands[s] = sources[s]->values[index(walk.offset(steps[s]))];
    target.values.push_back(rounded_to(type, function(operands)));
  }
  return target;
}

Constant reduce(const Constant& source, const std::vector<std::size_t>& axes, double start,
                const std::function<double(double, double)>& function) {
  Constant target{source.type, source.shape, {}};
  for (const auto axis : axes) target.shape[axis] = 1;
  target.values.assign(index(count_of(target.shape)), start);
  const auto steps = stretched_steps(target.shape, source.shape);
  Walk walk(source.shape);
  for (const auto value : source.values) {
    auto& sum = target.values[index(walk.offset(steps))];
    sum = function(sum, value);
    walk.next();
  }
  return target;
}

Constant concatenate(const std::vector<const Constant*>& sources, std::size_t axis) {
  Constant target{sources.front()->type, sources.front()->shape, {}};
  target.shape[axis] = 0;
  for (const auto* source : sources) target.shape[axis] += source->shape[axis];
  const std::size_t outer = blocks_at(sources.front()->shape, axis).outer;
  for (std::size_t row = 0; row < outer; ++row) {
    for (const auto* source : sources) {
      const auto count = static_cast<std::ptrdiff_t>(source->values.size() / outer);
      const auto begin = source->values.begin() + static_cast<std::ptrdiff_t>(row) * count;
      target.values.insert(target.values.end(), begin, begin + count);
    }
  }
  return target;
}

Constant take(const Constant& source, std::size_t axis, std::span<const std::int64_t> indices,
              const Dimensions& indices_shape) {
  const auto blocks = blocks_at(source.shape, axis);
  const auto at = static_cast<std::ptrdiff_t>(axis);
  Constant target{source.type, source.shape, {}};
  target.shape.erase(target.shape.begin() + at);
  target.shape.insert(target.shape.begin() + at, indices_shape.begin(), indices_shape.end());
  for (std::size_t outer = 0; outer < blocks.outer; ++outer) {
    for (const auto wanted : indices) {
      const auto begin =
          source.values.begin() + static_cast<std::ptrdiff_t>((outer * blocks.length + index(wanted)) * blocks.inner);
      target.values.insert(target.values.end(), begin, begin + static_cast<std::ptrdiff_t>(blocks.inner));
    }
  }
  return target;
}

Constant slice(const Constant& source, std::size_t axis, std::int64_t start, std::int64_t step, std::int64_t count) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(start + i * step);
  return take(source, axis, indices, {count});
}

}  // namespace verge::models
