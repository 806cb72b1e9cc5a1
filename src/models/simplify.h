// models/simplify.h -- small rewrites that make a graph shorter and leave its results alone (to rounding).
//
// Threads: pure functions.
#pragma once

#include "models/onnx_graph.h"

namespace verge::models {

/// In float32 graphs: Relu and Clip in a row become one Clip; a constant added per channel to a convolution becomes
/// its bias, a constant factor goes into its weights; a zero Pad before a convolution becomes its pads, one of minus
/// infinity those of a MaxPool; an Identity between two inner values goes. Nodes and initialisers that no output needs
/// go too.
void simplify(OnnxGraph& graph);

}  // namespace verge::models
