// models/tfjs_for_tests.h -- makes tiny TensorFlow.js graph models in memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"

namespace verge::models {

/// Attribute values in GraphDef's JSON form.
inline Json text_attribute(std::string_view text) { return {{"s", to_base64(text)}}; }
inline Json integer_attribute(std::int64_t number) { return {{"i", std::to_string(number)}}; }
inline Json real_attribute(double number) { return {{"f", number}}; }
inline Json flag_attribute(bool fact) { return {{"b", fact}}; }
inline Json type_attribute(std::string_view type) { return {{"type", type}}; }
inline Json integers_attribute(const std::vector<std::int64_t>& numbers) {
  Json list = Json::array();
  for (const auto number : numbers) list.push_back(std::to_string(number));
  return {{"list", {{"i", std::move(list)}}}};
}
inline Json texts_attribute(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const auto& text : texts) list.push_back(to_base64(text));
  return {{"list", {{"s", std::move(list)}}}};
}

class TinyTfjs {
 public:
  using Sizes = std::vector<std::int64_t>;

  TinyTfjs& input(const std::string& name, const Sizes& shape, std::string_view type = "DT_FLOAT") {
    Json dimensions = Json::array();
    for (const auto size : shape) dimensions.push_back({{"size", std::to_string(size)}});
    return node("Placeholder", name, {},
                {{"dtype", type_attribute(type)}, {"shape", {{"shape", {{"dim", std::move(dimensions)}}}}}});
  }

  TinyTfjs& floats(const std::string& name, const Sizes& shape, const std::vector<float>& values) {
    return weight(name, shape, "float32", bytes_of(values));
  }
  TinyTfjs& ints(const std::string& name, const Sizes& shape, const std::vector<std::int32_t>& values) {
    return weight(name, shape, "int32", bytes_of(values));
  }
  TinyTfjs& bools(const std::string& name, const Sizes& shape, const std::vector<std::uint8_t>& values) {
    return weight(name, shape, "bool", bytes_of(values));
  }
  /// Stored bytes with a quantisation entry.
  TinyTfjs& weight(const std::string& name, const Sizes& shape, std::string_view type, const std::string& bytes,
                   const Json& quantisation = nullptr) {
    Json entry{{"name", name}, {"shape", shape}, {"dtype", type}};
    if (!quantisation.is_null()) entry["quantization"] = quantisation;
    weights_.push_back(std::move(entry));
    bytes_ += bytes;
    return node("Const", name, {}, {});
  }

  TinyTfjs& node(std::string_view operation, const std::string& name, const std::vector<std::string>& inputs,
                 const Json& attributes = Json::object()) {
    nodes_.push_back({{"name", name}, {"op", operation}, {"input", inputs}, {"attr", attributes}});
    return *this;
  }

  TinyTfjs& output(const std::string& key, const std::string& source) {
    outputs_[key] = {{"name", source}};
    return *this;
  }

  Json json() const {
    Json group = Json::object();
    group["paths"].push_back("weights.bin");
    group["weights"] = weights_;
    Json model = Json::object();
    model["format"] = "graph-model";
    model["modelTopology"]["node"] = nodes_;
    model["weightsManifest"].push_back(std::move(group));
    if (!outputs_.empty()) model["signature"]["outputs"] = outputs_;
    return model;
  }
  std::string text() const { return verge::to_text(json()); }
  std::map<std::string, std::string> shards() const { return {{"weights.bin", bytes_}}; }
  const std::string& weight_bytes() const { return bytes_; }

  template <class T>
  static std::string bytes_of(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
  }

 private:
  Json nodes_ = Json::array(), weights_ = Json::array(), outputs_ = Json::object();
  std::string bytes_;
};

}  // namespace verge::models
