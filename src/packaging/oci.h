// packaging/oci.h -- descriptors, manifests, image configurations and indexes as values, and their JSON.
//
// Source: OCI Image Format 1.1 (descriptor.md, manifest.md, config.md, image-index.md); Docker's schema 2 is read too.
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace verge::packaging {

/// A longer manifest, configuration or index is refused.
inline constexpr std::size_t document_bytes_max = 4U << 20U;

namespace media_types {
inline constexpr std::string_view manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view layer_tar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_index = "application/vnd.docker.distribution.manifest.list.v2+json";
}  // namespace media_types

using Annotations = std::map<std::string, std::string>;

struct Platform {
  std::string architecture = "amd64";  ///< Go's names: "amd64", "arm64".
  std::string os = "linux";
  std::string variant;  ///< "v8" for arm64, may be empty.

  bool operator==(const Platform&) const = default;
};
/// The platform this program was built for.
Platform this_platform();

struct Descriptor {
  std::string media_type;
  std::string digest;  ///< "sha256:<64 lower-case hex digits>"
  std::uint64_t size_bytes = 0;
  Annotations annotations;
  std::optional<Platform> platform;  ///< In an index.

  bool operator==(const Descriptor&) const = default;
};

struct Manifest {
  std::string media_type{media_types::manifest};
  Descriptor config;
  std::vector<Descriptor> layers;  ///< Lowest first.
  Annotations annotations;
};

struct ImageConfig {
  Platform platform;
  std::string created;                   ///< RFC 3339; empty: left out, so that equal contents give equal digests.
  std::string user;                      ///< "1000:1000"
  std::vector<std::string> environment;  ///< "NAME=value"
  std::vector<std::string> entrypoint, command;
  std::string working_folder;
  Annotations labels;
  std::vector<std::string> diff_ids;  ///< Digests of the uncompressed layers, lowest first.
};

struct Index {
  std::vector<Descriptor> manifests;
  Annotations annotations;
};

/// "sha256:" and 64 lower-case hex digits.
bool is_digest(std::string_view text);

Json to_json(const Descriptor& descriptor);
Json to_json(const Manifest& manifest);
Json to_json(const ImageConfig& config);
Json to_json(const Index& index);

/// Errors: invalid_argument naming the member; limit above 4 MiB or 1,000 entries.
Result<Manifest> parse_manifest(std::string_view text);
Result<ImageConfig> parse_image_config(std::string_view text);
Result<Index> parse_index(std::string_view text);
/// The entry that fits, or nullptr. An empty variant fits any.
const Descriptor* find_platform(const Index& index, const Platform& platform);

/// An image's name: "hub:8443/verge/vision:1", "127.0.0.1:5000/a/b@sha256:…".
struct Reference {
  std::string registry;    ///< "host", "host:port"; empty when the name has none ("vision:1").
  std::string repository;  ///< "verge/vision"
  std::string tag;         ///< "latest" when neither tag nor digest is given.
  std::string digest;      ///< Wins over the tag.

  std::string text() const;
  /// What a registry's manifest address ends in: the digest or else the tag.
  const std::string& version() const { return digest.empty() ? tag : digest; }
};
/// Errors: invalid_argument; says which part has a character or a length that is not allowed.
Result<Reference> parse_reference(std::string_view text);

}  // namespace verge::packaging
