// models/tfjs_importer.h -- turns a TensorFlow.js graph model into an ONNX model.
//
// Every value carries the order in which its axes lie in memory; TensorFlow's Transpose only changes that order, and a
// real Transpose is written where an operator fixes one (Conv, pooling and Resize want channels first; Reshape, Gather
// and TopK want TensorFlow's order). Shapes are fixed and whatever can be computed now is computed now, so the shape
// arithmetic of the source vanishes.
// Threads: pure functions.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/onnx_graph.h"
#include "models/tfjs_graph.h"

namespace verge::models {

struct TfjsImportOptions {
  /// Fixes inputs whose size the model leaves free: {"images", {1, 256, 256, 3}}. A free first dimension becomes 1.
  std::map<std::string, Dimensions> input_shapes;
  /// The wanted outputs, by the names of the signature or as "node:index". Empty: all of the signature, or when there
  /// is none every value that nothing consumes.
  std::vector<std::string> outputs;
  /// New names of inputs and outputs: {"input_1", "images"}.
  std::map<std::string, std::string> names;
};

/// Errors: invalid_argument: an operator that is not supported (the message has its name and place), a free size, an
/// unknown output; corrupt: the graph has a cycle or reads a node that is not there.
/// Outputs keep the signature's names without ":0", sorted.
Result<OnnxModel> import_tfjs(const TfjsGraph& graph, const TfjsImportOptions& options = {});
/// read_tfjs_graph, then the above; the message names the file.
Result<OnnxModel> import_tfjs(const std::filesystem::path& json_path, const TfjsImportOptions& options = {});

/// The operators that can be imported, sorted.
std::vector<std::string> tfjs_operators();

}  // namespace verge::models
