#include "models/weight_rounding.h"

#include <algorithm>
#include <cmath>

#include "base/kernel.h"

namespace verge::models {
namespace {

/// What a calibration did not see must not be thought free: part of the mean moment, added to each.
constexpr double kDamping = 0.01;

/// sums[i][j] += the products of every place, j >= i.
VERGE_KERNEL void add_products(const float* places, std::size_t place_count, std::size_t count, float* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    float* row = sums + i * count;
    for (std::size_t place = 0; place < place_count; ++place) {
      const float* x = places + place * count;
      const float own = x[i];
      if (own == 0) continue;
      for (std::size_t j = i; j < count; ++j) row[j] += own * x[j];
    }
  }
}

/// In place: the upper triangle of a positive matrix becomes U of U'U.
VERGE_KERNEL void factorise(float* matrix, std::size_t count, float least) {
  for (std::size_t j = 0; j < count; ++j) {
    float* row = matrix + j * count;
    const float pivot = std::sqrt(std::max(row[j], least));
    row[j] = pivot;
    const float inverse = 1 / pivot;
    for (std::size_t i = j + 1; i < count; ++i) row[i] *= inverse;
    for (std::size_t i = j + 1; i < count; ++i) {
      float* below = matrix + i * count;
      const float own = row[i];
      if (own == 0) continue;
      for (std::size_t k = i; k < count; ++k) below[k] -= own * row[k];
    }
  }
}

VERGE_KERNEL float dot(const float* left, const float* right, std::size_t count) {
  float sums[16] = {};
  std::size_t at = 0;
  for (; at + 16 <= count; at += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) sums[lane] += left[at + lane] * right[at + lane];
  }
  float sum = 0;
  for (; at < count; ++at) sum += left[at] * right[at];
  for (const float part : sums) sum += part;
  return sum;
}

std::int64_t at_or(const std::vector<std::int64_t>* numbers, std::size_t index, std::int64_t otherwise) {
  return numbers != nullptr && index < numbers->size() ? (*numbers)[index] : otherwise;
}

bool is_all_ones(const std::vector<std::int64_t>* numbers) {
  return numbers == nullptr || std::ranges::all_of(*numbers, [](std::int64_t number) { return number == 1; });
}

}  // namespace

InputMoments::InputMoments(const OnnxModel& model) {
  using Numbers = std::vector<std::int64_t>;
  for (const OnnxNode& node : model.graph.nodes) {
    if (node.operation != "Conv" || !node.domain.empty() || node.inputs.size() < 2 || node.outputs.empty()) continue;
    const OnnxTensor* weights = model.graph.find_initialiser(node.inputs[1]);
    const auto* group = node.attribute<std::int64_t>("group");
    const bool is_plain = weights != nullptr && weights->shape.size() == 4 && (group == nullptr || *group == 1) &&
                          is_all_ones(node.attribute<Numbers>("dilations")) &&
                          node.attribute<std::string>("auto_pad") == nullptr;
    if (!is_plain) continue;
    const auto* strides = node.attribute<Numbers>("strides");
    const auto* pads = node.attribute<Numbers>("pads");
    Reader reader{node.outputs[0],      weights->shape[1],    weights->shape[2], weights->shape[3],
                  at_or(strides, 0, 1), at_or(strides, 1, 1), at_or(pads, 0, 0), at_or(pads, 1, 0)};
    const bool steps = reader.stride_down >= 1 && reader.stride_across >= 1;  // A file may say anything.
    if (!steps || reader.count() == 0 || reader.count() > kWeightsMax) continue;
    readers_.emplace(node.inputs[0], std::move(reader));
  }
}

void InputMoments::add(const std::string& value, const inference::Tensor& tensor) {
  if (tensor.type() != inference::DataType::float32 || tensor.shape().size() != 4) return;
  const auto [first, last] = readers_.equal_range(value);
  for (auto at = first; at != last; ++at) at->second.add(tensor);
}

void InputMoments::Reader::add(const inference::Tensor& tensor) {
  const auto& shape = tensor.shape();
  if (shape[1] != channels || tensor.count() == 0) return;
  const std::int64_t height = shape[2], width = shape[3];
  const std::int64_t steps_down = std::max<std::int64_t>(1, (height + stride_down - 1) / stride_down);
  const std::int64_t steps_across = std::max<std::int64_t>(1, (width + stride_across - 1) / stride_across);
  const auto all = static_cast<std::size_t>(steps_down * steps_across);
  const std::size_t taken = std::min(all, kPlacesPerRun);
  std::vector<float> patches(taken * count(), 0.0F);
  const auto numbers = tensor.values<float>();
  float* next = patches.data();
  for (std::size_t i = 0; i < taken; ++i) {
    // Every round of pictures begins elsewhere, so that in time all columns and rows are seen.
    const auto place = static_cast<std::int64_t>((i * all / taken + places) % all);
    const std::int64_t top = place / steps_across * stride_down - pad_top;
    const std::int64_t left = place % steps_across * stride_across - pad_left;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      for (std::int64_t down = top; down < top + kernel_down; ++down) {
        for (std::int64_t across = left; across < left + kernel_across; ++across, ++next) {
          if (down < 0 || down >= height || across < 0 || across >= width) continue;
          *next = numbers[static_cast<std::size_t>((channel * height + down) * width + across)];
        }
      }
    }
  }
  if (sums.empty()) sums.assign(count() * count(), 0.0F);
  add_products(patches.data(), taken, count(), sums.data());
  places += taken;
}

void InputMoments::finish() {
  for (auto& [value, reader] : readers_) reader.finish();
}

void InputMoments::Reader::finish() {
  double trace = 0;
  for (std::size_t i = 0; i * count() < sums.size(); ++i) trace += static_cast<double>(sums[i * count() + i]);
  if (!(trace > 0) || !std::isfinite(trace) || is_factor) return;
  const auto damping = static_cast<float>(kDamping * trace / static_cast<double>(count()));
  for (std::size_t i = 0; i < count(); ++i) sums[i * count() + i] += damping;
  factorise(sums.data(), count(), damping * 1e-3F);
  is_factor = true;
}

std::span<const float> InputMoments::factor(const std::string& convolution) const {
  for (const auto& [value, reader] : readers_) {
    if (reader.output == convolution && reader.is_factor) return reader.sums;
  }
  return {};
}

std::vector<std::int8_t> round_weights(std::span<const float> weights, float scale, float most,
                                       std::span<const float> factor) {
  const std::size_t count = weights.size();
  std::vector<std::int8_t> steps(count);
  std::vector<float> errors(count, 0.0F);  // Weight minus what is stored.
  for (std::size_t j = count; j-- > 0;) {
    float wanted = weights[j];
    if (!factor.empty()) {
      const float* row = factor.data() + j * count;
      wanted += dot(row + j + 1, errors.data() + j + 1, count - j - 1) / row[j];
    }
    const float step = std::clamp(std::round(wanted / scale), -most, most);
    steps[j] = static_cast<std::int8_t>(step);
    errors[j] = weights[j] - step * scale;
  }
  return steps;
}

}  // namespace verge::models
