// models/model_card.h -- what has to be known to use a model: tensors, preparation of the input, reading of the output.
//
// A model is a folder with model.onnx and card.json. docs/formats/model-card.schema.json describes the file.
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
#include "inference/open_session.h"
#include "inference/session.h"

namespace verge::models {

struct CardTensor {
  std::string name;
  inference::DataType type = inference::DataType::float32;
  inference::Shape shape;  ///< -1: free.
};

enum class ColourOrder : std::uint8_t { rgb, bgr, grey };
enum class PictureFit : std::uint8_t {
  letterbox,           ///< Keeps the proportions, the picture in the middle.
  letterbox_top_left,  ///< Keeps the proportions, the picture in the upper left corner.
  stretch,
};

/// How a picture becomes the input: value = (pixel 0..255 - mean) / deviation, per channel in the model's order.
struct PictureInput {
  int width = 0, height = 0;  ///< Pixels.
  ColourOrder colours = ColourOrder::rgb;
  bool is_channels_first = true;  ///< [1,C,H,W]; else [1,H,W,C].
  std::vector<float> mean{0, 0, 0}, deviation{1, 1, 1};
  PictureFit fit = PictureFit::letterbox;
  float filling = 0;  ///< Pixel value 0..255 of the border.
};

struct AudioInput {
  int rate_hz = 16'000;
};

struct ModelCard {
  std::string name;    ///< "nanodet-coco"
  std::string task;    ///< "object-detection", "speech-to-text", "voice-activity", "anomaly-score", …
  std::string family;  ///< "vision", "audio", "telemetry"
  std::string file = "model.onnx";
  std::string digest;  ///< "sha256:…" of the file.
  std::vector<CardTensor> inputs, outputs;
  std::vector<std::string> labels;
  std::optional<PictureInput> picture;
  std::optional<AudioInput> audio;
  /// How the outputs are read: {"kind": "nanodet", "strides": [8, 16, 32], "bins": 11}. The stage that knows the kind
  /// reads the rest.
  Json head = Json::object();
  std::map<std::string, double> thresholds;  ///< {"score": 0.4, "overlap": 0.5}
  std::string licence;                       ///< SPDX
  Json source = Json::object();              ///< Where it came from: package, version, file, digest.
  Json metrics = Json::object();             ///< Measured quality, free form.
  /// Largest allowed difference of an output between engines and machines, in the output's unit.
  double tolerance = 1e-4;

  std::string head_kind() const;
};

Json to_json(const ModelCard& card);
/// Errors: invalid_argument: `card "nanodet-coco": /picture/mean must hold 3 numbers`.
Result<ModelCard> parse_card(std::string_view text);
Result<ModelCard> load_card(const std::filesystem::path& path);

/// Compares the card with what the engine found in the file. Errors: invalid_argument: `load model "door.onnx": input
/// "images" is [1,3,640,640], the card says [1,3,416,416]`; also when the card's picture size or labels do not fit.
Status check_card(const ModelCard& card, std::string_view model_name, const std::vector<inference::TensorInfo>& inputs,
                  const std::vector<inference::TensorInfo>& outputs);

struct LoadedModel {
  ModelCard card;
  std::shared_ptr<inference::Session> session;
};
/// Loads a model folder (or its card.json): card, file, digest and tensors must agree. Errors: not_found (folder, card
/// or file), corrupt (the file is not the one that the card describes, or not a model), invalid_argument, unavailable
/// (no engine).
Result<LoadedModel> open_model(const std::filesystem::path& folder, const inference::SessionOptions& options = {});

struct ChosenModel {
  LoadedModel model;
  inference::OpenedSession opened;  ///< The model's session, and why it is this one.
};
/// The same with the engine and on the device that are wished for; the card's tolerance says what equal numbers are.
/// Errors: also those of inference::open_session.
Result<ChosenModel> open_model(const std::filesystem::path& folder, inference::EngineWish wish);

}  // namespace verge::models
