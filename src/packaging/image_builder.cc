#include "packaging/image_builder.h"

#include <fmt/format.h>

#include "base/json.h"

namespace verge::packaging {

Result<Descriptor> write_image(BlobStore& store, const Image& image) {
  ImageConfig config = image.config;
  config.diff_ids.clear();
  Manifest manifest;
  manifest.annotations = image.annotations;
  for (const auto& layer : image.layers) {
    if (!store.has(layer.descriptor.digest))
      return Error{ErrorCode::not_found,
                   fmt::format("write image: layer {} is not in the store", layer.descriptor.digest)};
    config.diff_ids.push_back(layer.diff_id);
    manifest.layers.push_back(layer.descriptor);
  }
  VERGE_TRY(manifest.config, store.add(to_text(to_json(config)), media_types::config));
  return store.add(to_text(to_json(manifest)), media_types::manifest);
}

Result<Image> read_image(const BlobStore& store, std::string_view manifest_digest) {
  VERGE_TRY(const auto manifest_text, store.read(manifest_digest));
  VERGE_TRY(const auto manifest, parse_manifest(manifest_text));
  VERGE_TRY(const auto config_text, store.read(manifest.config.digest));
  Image image;
  VERGE_TRY(image.config, parse_image_config(config_text));
  if (image.config.diff_ids.size() != manifest.layers.size())
    return Error{ErrorCode::corrupt,
                 fmt::format("image {}: it has {} layers, its configuration names {}", manifest_digest,
                             manifest.layers.size(), image.config.diff_ids.size())};
  for (std::size_t i = 0; i < manifest.layers.size(); ++i)
    image.layers.push_back({manifest.layers[i], image.config.diff_ids[i], 0});
  image.annotations = manifest.annotations;
  return image;
}

}  // namespace verge::packaging
