#include "vision/heads/head_reader.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace verge::vision {
namespace {

using inference::Shape;

constexpr std::size_t kNamesMax = 1000;

bool fits_shape(const Shape& found, const Shape& wanted) {
  return std::equal(found.begin(), found.end(), wanted.begin(), wanted.end(),
                    [](auto a, auto b) { return a == b || a < 0 || b < 0; });
}

bool is_whole(const Json& value, int low, int high) {
  return value.is_number_integer() && value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high;
}

}  // namespace

Error card_mistake(const models::ModelCard& card, std::string_view member, std::string_view wanted) {
  return Error{ErrorCode::invalid_argument, fmt::format("use card \"{}\": {} must be {}", card.name, member, wanted)};
}

Result<float> threshold_of(const models::ModelCard& card, const std::string& name, float fallback) {
  const auto at = card.thresholds.find(name);
  if (at == card.thresholds.end()) return fallback;
  if (!(at->second >= 0 && at->second <= 1)) return card_mistake(card, "/thresholds/" + name, "0 to 1");
  return static_cast<float>(at->second);
}

Result<std::span<const float>> numbers_of(std::span<const inference::Tensor> outputs, const HeadOutput& output) {
  if (output.index < outputs.size()) {
    const inference::Tensor& tensor = outputs[output.index];
    if (tensor.type() == inference::DataType::float32 && fits_shape(tensor.shape(), output.shape)) {
      return tensor.values<float>();
    }
  }
  return Error{
      ErrorCode::invalid_argument,
      fmt::format("read the model's answer: output {} is {}, the card's head reads float32 {}", output.index,
                  output.index < outputs.size() ? inference::to_text(outputs[output.index].shape()) : "missing",
                  inference::to_text(output.shape))};
}

const Json* HeadReader::find(std::string_view member) const { return find_member(card_.head, {member}); }

Status HeadReader::allow_only(std::initializer_list<std::string_view> members) const {
  for (const auto& [key, value] : card_.head.items()) {
    if (key == "kind" || key == "outputs" || std::ranges::find(members, key) != members.end()) continue;
    return mistake(key, fmt::format("left out: a head of kind \"{}\" knows kind, outputs{}{}", card_.head_kind(),
                                    members.size() == 0 ? "" : ", ", fmt::join(members, ", ")));
  }
  return Done{};
}

Result<int> HeadReader::whole(std::string_view member, int fallback, int low, int high) const {
  const Json* value = find(member);
  if (value == nullptr) return fallback;
  if (!is_whole(*value, low, high)) return mistake(member, fmt::format("a whole number, {} to {}", low, high));
  return value->get<int>();
}

Result<double> HeadReader::number(std::string_view member, double fallback, double low, double high) const {
  const Json* value = find(member);
  if (value == nullptr) return fallback;
  if (value->is_number() && value->get<double>() >= low && value->get<double>() <= high) return value->get<double>();
  return mistake(member, fmt::format("a number, {:g} to {:g}", low, high));
}

Result<std::vector<int>> HeadReader::wholes(std::string_view member, std::vector<int> fallback, int low, int high,
                                            std::size_t count_max) const {
  const Json* list = find(member);
  if (list == nullptr) return fallback;
  if (!list->is_array() || list->empty() || list->size() > count_max) {
    return mistake(member, fmt::format("a list of 1 to {} numbers", count_max));
  }
  std::vector<int> numbers;
  for (const Json& value : *list) {
    if (!is_whole(value, low, high)) return mistake(member, fmt::format("whole numbers, {} to {}", low, high));
    numbers.push_back(value.get<int>());
  }
  return numbers;
}

Result<std::vector<float>> HeadReader::positive(std::string_view member, std::vector<float> fallback) const {
  const Json* list = find(member);
  if (list == nullptr) return fallback;
  const auto is_positive = [](const Json& value) {
    return value.is_number() && value.get<float>() > 0 && std::isfinite(value.get<float>());
  };
  if (!list->is_array() || list->size() != fallback.size() || !std::ranges::all_of(*list, is_positive)) {
    return mistake(member, fmt::format("{} numbers above 0", fallback.size()));
  }
  return list->get<std::vector<float>>();
}

Result<std::size_t> HeadReader::word(std::string_view member, std::initializer_list<std::string_view> words) const {
  const Json* value = find(member);
  if (value == nullptr) return std::size_t{0};
  if (value->is_string()) {
    const auto* at = std::ranges::find(words, value->get_ref<const std::string&>());
    if (at != words.end()) return static_cast<std::size_t>(at - words.begin());
  }
  return mistake(member, fmt::format("one of: {}", fmt::join(words, ", ")));
}

Result<std::vector<std::string>> HeadReader::names(std::string_view member, std::vector<std::string> fallback) const {
  const Json* list = find(member);
  if (list == nullptr) return fallback;
  const auto is_name = [](const Json& value) {
    return value.is_string() && !value.get_ref<const std::string&>().empty();
  };
  if (!list->is_array() || list->empty() || list->size() > kNamesMax || !std::ranges::all_of(*list, is_name)) {
    return mistake(member, fmt::format("a list of 1 to {} words", kNamesMax));
  }
  return list->get<std::vector<std::string>>();
}

std::string HeadReader::outputs_text() const {
  std::string text;
  for (const auto& output : outputs_) {
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", output.name, inference::to_text(output.shape),
                        name_of(output.type));
  }
  return text.empty() ? "none" : text;
}

Result<HeadOutput> HeadReader::named_output(std::string_view role, const Json& name, const Shape& shape) const {
  const std::string member = fmt::format("outputs/{}", role);
  if (!name.is_string()) return mistake(member, "the name of an output");
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].name != name.get_ref<const std::string&>()) continue;
    if (outputs_[i].type == inference::DataType::float32 && fits_shape(outputs_[i].shape, shape)) {
      return HeadOutput{i, shape};
    }
    return mistake(member,
                   fmt::format("a float32 output {}; \"{}\" is {} {}", inference::to_text(shape), outputs_[i].name,
                               inference::to_text(outputs_[i].shape), name_of(outputs_[i].type)));
  }
  return mistake(member, fmt::format("the name of an output; the model has: {}", outputs_text()));
}

Result<HeadOutput> HeadReader::output(std::string_view role, const Shape& shape) const {
  if (const Json* name = find_member(card_.head, {"outputs", role})) return named_output(role, *name, shape);
  std::vector<std::size_t> fitting;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].type == inference::DataType::float32 && fits_shape(outputs_[i].shape, shape)) fitting.push_back(i);
  }
  if (fitting.size() == 1) return HeadOutput{fitting.front(), shape};
  if (fitting.empty()) {
    return mistake("kind",
                   fmt::format("another one, or other labels: \"{}\" with {} label{} reads {} from an output {} "
                               "float32, the model has: {}",
                               card_.head_kind(), labels(), labels() == 1 ? "" : "s", role, inference::to_text(shape),
                               outputs_text()));
  }
  return mistake(fmt::format("outputs/{}", role), fmt::format("given: several outputs are {}; the model has: {}",
                                                              inference::to_text(shape), outputs_text()));
}

}  // namespace verge::vision
