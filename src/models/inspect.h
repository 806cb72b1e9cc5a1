// models/inspect.h -- what is inside an ONNX file, for people and as JSON; no engine needed.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "models/onnx_graph.h"

namespace verge::models {

struct Inspection {
  std::string file, digest;
  std::uint64_t file_bytes = 0;
  std::int64_t ir_version = 0;
  std::map<std::string, std::int64_t> opsets;
  std::string producer;
  std::vector<OnnxValue> inputs, outputs;  ///< Without inputs that are only initialisers.
  std::map<std::string, std::size_t>
      operators;                 ///< Counts, graphs within graphs included; "ai.onnx.ml.TreeEnsemble…" with domain.
  std::uint64_t parameters = 0;  ///< Numbers in initialisers (and Constant nodes) that are float or quantised.
  /// Multiply-adds of one run in Conv, Gemm and MatMul. Only where shapes follow from the file; free sizes count as 1.
  std::uint64_t multiply_adds = 0;
  std::size_t unknown_cost_nodes = 0;  ///< Of these kinds, whose shape could not be followed.
  std::map<std::string, std::string> metadata;
};

Inspection inspect(const OnnxModel& model);
/// Errors: as load_model.
Result<Inspection> inspect_file(const std::filesystem::path& path);

Json to_json(const Inspection& inspection);
std::string to_text(const Inspection& inspection);

}  // namespace verge::models
