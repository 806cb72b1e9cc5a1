// cli/quantize_model.h -- a vision model in 8 bits, calibrated and judged on the user's own pictures.
//
// Threads: calls block (minutes).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace verge::cli {

/// How the 8-bit model agrees with the float32 one on pictures that were not used for calibration.
struct QuantizeAgreement {
  std::size_t calibrated = 0, judged = 0;  ///< Pictures.
  /// Detectors: boxes of the float model and of the 8-bit one; found again: with the same label, overlap 0.5 or more.
  /// Classifiers: pictures about which they say the same.
  std::size_t float_answers = 0, small_answers = 0, found_again = 0, right = 0;
  double float_ms = 0, small_ms = 0;  ///< Mean of a picture, one thread.
  std::uintmax_t float_bytes = 0, small_bytes = 0;
};
Json to_json(const QuantizeAgreement& agreement);

/// Reads the model folder `source` (a detector, or a classifier), writes model.onnx and card.json into `target`. Every
/// second picture calibrates, at most 200; at most 200 others judge. Errors: invalid_argument (another kind of model,
/// fewer than 8 pictures), those of reading, running and quantising.
Result<QuantizeAgreement> quantize_model(const std::filesystem::path& source, const std::filesystem::path& pictures,
                                         const std::filesystem::path& target,
                                         const std::function<void(const std::string& line)>& tell);

}  // namespace verge::cli
