// models/import.h -- brings a model file into the product's form: a folder with model.onnx and card.json.
//
// Threads: pure functions; takes seconds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "models/model_card.h"
#include "models/tfjs_importer.h"

namespace verge::models {

struct ImportOptions {
  std::filesystem::path target;  ///< The model folder; made when missing, its files are replaced.
  Json card = Json::object();  ///< What the user knows: task, labels, picture, head, licence …; the rest is found out.
  TfjsImportOptions tfjs;
  /// Files that belong to the model and are copied beside it (tokenizer.json), by their name in the folder.
  std::map<std::string, std::filesystem::path> extra_files;
  /// Loads the result in the engine and runs it once on zeros. Off only where there is no engine.
  bool is_checked = true;
  std::string file_name = "model.onnx";  ///< Of the model within the folder.
};

struct ImportReport {
  ModelCard card;
  std::string format;  ///< "tfjs" or "onnx"
  std::size_t nodes_before = 0, nodes_after = 0;
  bool was_run = false;
};

/// `source`: a TensorFlow.js graph model (.json) or an ONNX file. Errors: not_found, invalid_argument (unknown format,
/// operator, card), corrupt, unavailable (no engine for the check).
Result<ImportReport> import_model(const std::filesystem::path& source, const ImportOptions& options);

/// Makes a catalogue entry's model folder from its fetched files, which lie in `files` under their catalogue names.
/// What needs no import keeps its names (moonshine-tiny: encoder.onnx, decoder.onnx, tokenizer.json); licences go
/// along. Errors: corrupt when a file's digest differs from the catalogue's; not_found.
Result<ImportReport> import_from_catalogue(std::string_view name, const std::filesystem::path& files,
                                           const std::filesystem::path& target, bool is_checked = true);

}  // namespace verge::models
