// models/constant.h -- arrays whose numbers are known while a graph is imported, and arithmetic on them.
//
// Numbers are held as double: exact for float32, int32 and boolean, and rounding a double sum, product, quotient or
// root of float32 numbers to float32 gives what float32 arithmetic gives.
// Threads: values and pure functions.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/onnx_graph.h"

namespace verge::models {

struct Constant {
  ElementType type = ElementType::float32;  ///< float32, int32, int64 or boolean.
  Dimensions shape;
  std::vector<double> values;  ///< Row-major.

  std::vector<std::int64_t> integers() const;
};

std::int64_t count_of(const Dimensions& shape);  ///< Product; 1 for a scalar.
/// NumPy's rule: aligned at the last axis, 1 stretches. Errors: invalid_argument when the shapes do not fit.
Result<Dimensions> broadcast(const Dimensions& a, const Dimensions& b);
/// The number as an element of this type holds it.
double rounded_to(ElementType type, double value);

OnnxTensor to_tensor(const Constant& constant);

Constant transpose(const Constant& source, std::span<const std::size_t> order);
Constant reshape(Constant source, Dimensions shape);
Constant convert(Constant source, ElementType type);  ///< Fractions are cut off for integers; boolean: not zero.
Constant map(const Constant& source, const std::function<double(double)>& function);
/// Element by element with broadcasting.
Result<Constant> combine(const std::vector<const Constant*>& sources, ElementType type,
                         const std::function<double(std::span<const double>)>& function);
/// Folds `axes` (sorted) from `start` with `function`; the axes stay with size 1.
Constant reduce(const Constant& source, const std::vector<std::size_t>& axes, double start,
                const std::function<double(double, double)>& function);
Constant concatenate(const std::vector<const Constant*>& sources, std::size_t axis);
/// Rows `indices` (within range) along an axis; the axis is replaced by `indices_shape`.
Constant take(const Constant& source, std::size_t axis, std::span<const std::int64_t> indices,
              const Dimensions& indices_shape);
/// Elements start, start + step, … (count of them) along an axis.
Constant slice(const Constant& source, std::size_t axis, std::int64_t start, std::int64_t step, std::int64_t count);

}  // namespace verge::models
