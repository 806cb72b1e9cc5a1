// packaging/image_builder.h -- layers and a configuration become an image in a blob store, and back.
//
// Threads: pure functions over the store.
#pragma once

#include <vector>

#include "packaging/blob_store.h"
#include "packaging/layer_writer.h"
#include "packaging/oci.h"

namespace verge::packaging {

struct Image {
  ImageConfig config;         ///< diff_ids are filled from `layers` when it is written.
  std::vector<Layer> layers;  ///< Lowest first; shared runtime layers are simply named by digest.
  Annotations annotations;    ///< Of the manifest.
};

/// Writes configuration and manifest; the layers must be in the store. Equal images give equal digests.
/// Errors: not_found (a layer's blob), unavailable, limit.
Result<Descriptor> write_image(BlobStore& store, const Image& image);
/// Errors: not_found, corrupt.
Result<Image> read_image(const BlobStore& store, std::string_view manifest_digest);

}  // namespace verge::packaging
