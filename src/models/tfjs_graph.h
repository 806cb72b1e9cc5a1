// models/tfjs_graph.h -- a TensorFlow.js graph model as it lies on disk: nodes, attributes, weights, signature.
//
// Source: the files that tensorflowjs_converter writes (format "graph-model"): a JSON topology in GraphDef's JSON form
// and binary weight shards, plain or quantised to float16, uint8 or uint16 (value = stored * scale + min).
// TF.js computes int64 and uint8 as int32, and so do we.
// Threads: values and pure functions.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "models/constant.h"

namespace verge::models {

struct TfjsNode {
  std::string name, operation;
  std::vector<std::string> inputs;  ///< "name", "name:1"; control inputs are left out.
  Json attributes = Json::object();

  /// Attributes in GraphDef's JSON form ({"i": "2"}, {"s": base64}, {"b": true}); `fallback` when absent.
  /// Errors: invalid_argument naming node and attribute.
  Result<std::int64_t> integer(std::string_view key, std::int64_t fallback) const;
  Result<double> real(std::string_view key, double fallback) const;
  Result<bool> flag(std::string_view key, bool fallback) const;
  Result<std::string> text(std::string_view key, std::string fallback) const;
  Result<std::vector<std::int64_t>> integers(std::string_view key) const;  ///< Empty when absent.
  Result<std::vector<std::string>> texts(std::string_view key) const;      ///< Empty when absent.
  Result<ElementType> type(std::string_view key, ElementType fallback) const;
};

struct TfjsGraph {
  std::vector<TfjsNode> nodes;
  std::map<std::string, std::shared_ptr<const Constant>, std::less<>> weights;  ///< By node name.
  /// What the model promises: name for the user → "node" or "node:index". Empty when the file has no signature.
  std::map<std::string, std::string> outputs;
};

struct TfjsLimits {
  std::size_t json_bytes_max = 64U << 20U;
  std::size_t weight_bytes_max = std::size_t{1} << 30U;
};

/// Reads `json_path` and the weight files it names, which must lie in the same folder.
/// Errors: not_found, corrupt (weights too short, broken JSON), invalid_argument (not a graph model; a type or
/// quantisation that is not supported), limit.
Result<TfjsGraph> read_tfjs_graph(const std::filesystem::path& json_path, const TfjsLimits& limits = {});
/// The same from memory; `shards` by the paths that the manifest names.
Result<TfjsGraph> parse_tfjs_graph(std::string_view json, const std::map<std::string, std::string>& shards,
                                   const TfjsLimits& limits = {});

}  // namespace verge::models
