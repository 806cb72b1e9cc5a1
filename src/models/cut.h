// models/cut.h -- the beginning of a network: what is needed for some of its inner values, with a picture size of
// one's own choice.
//
// Threads: pure functions; shapes_of loads the model in the engine.
#pragma once

#include <map>
#include <span>
#include <string>

#include "models/onnx_graph.h"

namespace verge::models {

/// The model's one input that is no initialiser. Errors: invalid_argument when there are none or several.
Result<OnnxValue> sole_input(const OnnxGraph& graph);

/// The model with its sole input pinned to `shape`. Shapes that the file states of inner values and outputs are
/// forgotten, as they may not hold any more. Errors: those of sole_input; invalid_argument for another rank.
Result<OnnxModel> with_input_shape(const OnnxModel& model, const Dimensions& shape);

/// Shapes of all float32 values that nodes of the main graph make, as the engine's own shape inference finds them; what
/// it cannot tell (a size that depends on numbers) is not in the answer. Pin the input first.
/// Errors: those of loading the model.
Result<std::map<std::string, Dimensions>> shapes_of(const OnnxModel& model);

/// The model that makes only `outputs`, which are float32 values of its main graph, in this order. Other nodes and
/// constants are dropped. Errors: invalid_argument naming a value that nobody makes, or when there are no outputs.
Result<OnnxModel> cut(const OnnxModel& model, std::span<const std::string> outputs);

}  // namespace verge::models
