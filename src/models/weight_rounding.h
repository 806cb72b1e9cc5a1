// models/weight_rounding.h -- rounds a convolution's weights so that what it computes changes least, not the weights.
//
// What a weight loses by rounding, weights that are not rounded yet make up for, as far as the values they are
// multiplied with go together. On NanoDet in 7 bits this takes away most of what rounding to the nearest costs.
// Source: Frantar et al. 2023 (GPTQ), in the equivalent form of Babai's nearest plane: with H = U'U, the second moments
// of the inputs, weights are rounded from the last to the first, each after U has carried the errors behind it.
// Threads: values; one InputMoments by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "inference/session.h"
#include "models/onnx_graph.h"

namespace verge::models {

/// Sums of products of the numbers that meet a convolution's weights, by the name of its output.
/// Memory: 4 bytes times the square of the weights of one output channel (21 MB for 256 channels and 3 x 3).
class InputMoments {
 public:
  /// Convolutions in one group, in two dimensions, with constant weights of at most kWeightsMax an output channel.
  explicit InputMoments(const OnnxModel& model);

  static constexpr std::size_t kWeightsMax = 4096;  ///< Of one output channel: 64 MB of moments.
  static constexpr std::size_t kPlacesPerRun = 64;  ///< Of the picture, spread evenly; neighbours say the same.

  /// Adds what `value` gives to the convolutions that read it. Values of other shapes than 4 dimensions are passed
  /// over.
  void add(const std::string& value, const inference::Tensor& tensor);

  /// After the last add(): makes factors of the sums, in their place.
  void finish();
  /// The upper triangle U of H = U'U, row-major, count x count; empty before finish(), or when there is nothing about
  /// this convolution.
  std::span<const float> factor(const std::string& convolution) const;

 private:
  struct Reader {
    std::string output;
    std::int64_t channels = 0, kernel_down = 1, kernel_across = 1, stride_down = 1, stride_across = 1, pad_top = 0,
                 pad_left = 0;
    std::vector<float> sums{};  ///< Upper triangle, later the factor; empty before the first value.
    std::size_t places = 0;
    bool is_factor = false;

    std::size_t count() const { return static_cast<std::size_t>(channels * kernel_down * kernel_across); }
    void add(const inference::Tensor& tensor);
    void finish();
  };
  std::multimap<std::string, Reader> readers_;  ///< By the value they read.
};

/// weights  of one output channel; scale: of one step; most: the largest step, -most..most
/// factor   of InputMoments, or empty: to the nearest
std::vector<std::int8_t> round_weights(std::span<const float> weights, float scale, float most,
                                       std::span<const float> factor);

}  // namespace verge::models
