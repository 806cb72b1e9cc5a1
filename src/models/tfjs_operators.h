// models/tfjs_operators.h -- what each TensorFlow.js operator becomes.
//
// Internal to the importer. Threads: pure functions over the emitter they are given.
#pragma once

#include <map>
#include <string_view>

#include "models/tfjs_value.h"

namespace verge::models {

struct TfjsCall {
  const TfjsNode& node;
  const TfjsValues& inputs;
  TfjsEmitter& emit;

  /// Input `index`. Errors: invalid_argument when the node has fewer.
  Result<TfjsValue> input(std::size_t index) const;
  /// Its numbers. Errors: invalid_argument when they are not known before the model runs.
  Result<std::shared_ptr<const Constant>> known_input(std::size_t index) const;
  Result<std::vector<std::int64_t>> integer_input(std::size_t index) const;
  Error refuse(std::string_view why) const;
};

/// The outputs of a node that has one.
inline TfjsValues one(TfjsValue value) { return {std::move(value)}; }

/// What a fused operator does after its product: Relu, Relu6, Elu, Sigmoid, Tanh, LeakyRelu, Prelu (slope: input 3).
/// Errors: invalid_argument for another name.
Result<TfjsValue> activate(const TfjsCall& call, const TfjsValue& x, const std::string& name);

/// Returns the node's outputs. Errors: invalid_argument; the message does not yet name the node.
using TfjsOperator = Result<TfjsValues> (*)(const TfjsCall& call);
using TfjsOperators = std::map<std::string_view, TfjsOperator>;

void add_arithmetic_operators(TfjsOperators& operators);
void add_picture_operators(TfjsOperators& operators);
void add_shape_operators(TfjsOperators& operators);

}  // namespace verge::models
