// models/catalogue.h -- the models that come with the product: which package holds them, checksums, licences.
//
// The data is src/models/catalogue.json, built in; the set-up script reads the same file. Files are fetched by the
// package's own client (npm, pip, apt), never by address.
// Threads: values and pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::models {

struct CatalogueFile {
  std::string path;    ///< Within the unpacked package.
  std::string name;    ///< What it is called in the cache and the model folder.
  std::string digest;  ///< "sha256:…"
  std::uint64_t size_bytes = 0;
};

struct CatalogueSource {
  std::string kind;  ///< "npm", "pip", "deb"
  std::string package, version;
  std::string digest;   ///< Of the package file; empty for "deb" (apt checks these itself).
  std::string licence;  ///< SPDX
  std::vector<CatalogueFile> files;
};

struct CatalogueEntry {
  std::string name;  ///< "nanodet-coco"
  std::string kind;  ///< "model" or "media"
  std::string summary;
  std::string folder;  ///< Where its files lie within the cache: "models/nanodet".
  std::vector<CatalogueSource> sources;
  std::string importer;  ///< "tfjs" when the files must be imported, "" when they are used as they are.
  Json import_options = Json::object();
  Json card = Json::object();  ///< The card without digest and tensors.
};

/// Errors: invalid_argument.
Result<std::vector<CatalogueEntry>> parse_catalogue(std::string_view text);
/// The built-in one.
const std::vector<CatalogueEntry>& catalogue();
const CatalogueEntry* find_in_catalogue(std::string_view name);

}  // namespace verge::models
