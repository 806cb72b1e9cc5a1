// models/quantize.h -- a float32 network in 8-bit numbers: a quarter of the size, and two to three times as fast where
// the processor has instructions for them (VNNI on x86-64, dot product on ARM).
//
// Static quantisation in ONNX's QDQ form: values between operators become uint8 with one scale per value, from the
// least and the greatest number seen on the calibration inputs; weights of convolutions become int8, symmetric, with
// one scale per output channel; biases int32. The model's own outputs stay float32. How much accuracy it costs depends
// on the calibration inputs: take real ones, and compare with the float32 model on others.
// Source: Jacob et al. 2018, section 2; Krishnamoorthi 2018, per-channel weights; ONNX QuantizeLinear, opset 17.
// Threads: values and pure functions; a Calibrator by one thread.
//
//   VERGE_TRY(auto calibrator, Calibrator::make(model));
//   for (const auto& picture : pictures) VERGE_CHECK(calibrator->add(inputs_of(picture)));
//   VERGE_TRY(const OnnxModel small, quantize(model, calibrator->ranges(), {.moments = &calibrator->moments()}));
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "inference/session.h"
#include "models/onnx_graph.h"
#include "models/weight_rounding.h"

namespace verge::models {

/// The least and the greatest number seen.
struct ValueRange {
  float low = 0, high = 0;
};
using ValueRanges = std::map<std::string, ValueRange>;  ///< By the name of the value.

/// Runs a model and looks at every float32 value between its operators, and at what its convolutions read.
class Calibrator {
 public:
  /// Errors: those of loading the model; invalid_argument when its shapes are not fixed.
  static Result<std::unique_ptr<Calibrator>> make(const OnnxModel& model);
  /// Runs once and widens the ranges. Errors: those of Session::run; invalid_argument when a value is not finite.
  Status add(std::span<const inference::NamedTensor> inputs);
  const ValueRanges& ranges() const { return ranges_; }
  /// Of the inputs added so far; add() nothing afterwards. Takes some seconds the first time.
  const InputMoments& moments() {
    moments_.finish();
    return moments_;
  }

 private:
  Calibrator(const OnnxModel& model, std::unique_ptr<inference::Session> session)
      : session_(std::move(session)), moments_(model) {}

  std::unique_ptr<inference::Session> session_;
  InputMoments moments_;
  ValueRanges ranges_;
};

struct QuantizeOptions {
  /// 7 or 8. Processors without VNNI (x86-64) would overflow on pairs of products of 8 bits, and engines take a slower
  /// way around that; 7 are fast everywhere.
  int weight_bits = 7;
  /// Convolutions that stay float32, by the name of their output.
  std::set<std::string> keep_float{};
  /// How the weights are rounded with regard to what they meet (weight_rounding.h); null: to the nearest.
  const InputMoments* moments = nullptr;
};

/// Whether quantize() knows how to do the operator in 8 bits.
bool is_quantizable_operator(const OnnxNode& node);

/// The outputs' names of the convolutions that quantize() would store in 8 bits, in the model's order.
std::vector<std::string> quantizable_convolutions(const OnnxModel& model, const ValueRanges& ranges);

/// The model with QuantizeLinear and DequantizeLinear around its convolutions and what lies between them. Operators
/// that are not known, or whose ranges are missing, stay float32, and so do those that read only float32 operators:
/// what follows a convolution that is kept gains nothing by 8 bits.
/// Errors: invalid_argument when there is no convolution to quantise, or weight_bits is neither 7 nor 8.
Result<OnnxModel> quantize(const OnnxModel& model, const ValueRanges& ranges, const QuantizeOptions& options = {});

}  // namespace verge::models
