// cli/quantize_model.h -- a vision model in 8 bits that says the same as its float32 original, on the user's pictures.
//
// The pictures are dealt to three hands that never meet: half of them calibrate; a quarter choose what stays float32;
// a quarter judge, once, what came out. When all in 8 bits does not agree well enough on the choosing quarter, layers
// go back to float32 until it does: those at the ends of the network, then those that alone disturb the outputs most;
// at last each that is not needed beside the others is in 8 bits again.
// Threads: calls block (minutes).
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/agreement.h"
#include "connectors/camera/picture_folder.h"
#include "models/quantize.h"

namespace verge::cli {

struct QuantizeRequest {
  std::filesystem::path source;    ///< Model folder of a detector or a classifier.
  std::filesystem::path pictures;  ///< Folder of what the camera sees; 8 at least, more than 800 are not read.
  std::filesystem::path target;    ///< New model folder: model.onnx, card.json.
  double agree_min = 0.98;         ///< Of the float32 model's answers the small one must find, 0..1.
  double precision_min = 0.94;     ///< Of the small model's answers the float32 one must have given, 0..1.
  int weight_bits = 7;             ///< Or 8: models::QuantizeOptions.
  PictureReader read = connectors::read_picture_file;
};

struct QuantizeOutcome {
  std::size_t calibrated = 0, chosen = 0;  ///< Pictures.
  Agreement judged;                        ///< On the pictures that nothing else was done with.
  std::vector<std::string> float_layers;   ///< Outputs of the convolutions that stayed float32.
  std::size_t layers = 0;                  ///< Convolutions that could be in 8 bits.
  int weight_bits = 0;
  std::uintmax_t whole_bytes = 0, small_bytes = 0;
};
Json to_json(const QuantizeOutcome& outcome);

/// Writes the target only when it agrees. Errors: invalid_argument (another kind of model, fewer than 8 pictures, a
/// share outside 0..1), conflict (it does not agree, even with half of its layers in float32, or not on the judging
/// pictures; the message has the numbers), those of reading, running and quantising.
Result<QuantizeOutcome> quantize_model(const QuantizeRequest& request,
                                       const std::function<void(const std::string& line)>& tell);

}  // namespace verge::cli
