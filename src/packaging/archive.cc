#include "packaging/archive.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <set>
#include <unistd.h>

#include "base/json.h"
#include "packaging/image_builder.h"
#include "packaging/tar_stream.h"

namespace verge::packaging {
namespace fs = std::filesystem;
namespace {

std::string blob_path(const std::string& digest) { return "blobs/sha256/" + digest.substr(digest.find(':') + 1); }

/// Engines look for different annotations: Podman for the OCI one, containerd for its own.
Json archive_index(const Descriptor& manifest, const std::string& name) {
  Index index;
  index.manifests.push_back(manifest);
  index.manifests.back().annotations = {{"org.opencontainers.image.ref.name", name},
                                        {"io.containerd.image.name", name}};
  return to_json(index);
}

Json docker_manifest(const Manifest& manifest, const std::string& name) {
  Json layers = Json::array();
  for (const auto& layer : manifest.layers) layers.push_back(blob_path(layer.digest));
  return Json::array({{{"Config", blob_path(manifest.config.digest)},
                       {"RepoTags", Json::array({name})},
                       {"Layers", std::move(layers)}}});
}

}  // namespace

Status write_archive(const BlobStore& store, std::string_view manifest_digest, std::string_view reference,
                     const ArchiveSink& sink) {
  VERGE_TRY(auto parsed, parse_reference(reference));
  if (parsed.tag.empty()) parsed.tag = "latest";
  parsed.digest.clear();
  const auto name = parsed.text();
  VERGE_TRY(const auto text, store.read(manifest_digest));
  VERGE_TRY(const auto manifest, parse_manifest(text));
  const Descriptor descriptor{manifest.media_type, std::string(manifest_digest), text.size(), {}, {}};

  TarStream tar(sink);
  VERGE_CHECK(tar.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0644));
  VERGE_CHECK(tar.file("index.json", to_text(archive_index(descriptor, name)), 0644));
  VERGE_CHECK(tar.file("manifest.json", to_text(docker_manifest(manifest, name)), 0644));
  VERGE_CHECK(tar.folder("blobs", 0755));
  VERGE_CHECK(tar.folder("blobs/sha256", 0755));
  std::set<std::string> blobs{descriptor.digest, manifest.config.digest};
  for (const auto& layer : manifest.layers) blobs.insert(layer.digest);
  for (const auto& digest : blobs) {
    VERGE_TRY(const auto size, store.size_of(digest));
    VERGE_CHECK(tar.file_from(blob_path(digest), store.path_of(digest), 0644, size));
  }
  return tar.finish();
}

Result<std::uint64_t> write_archive_file(const BlobStore& store, std::string_view manifest_digest,
                                         std::string_view reference, const fs::path& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  const auto failure = [&path] {
    return Error{errno == ENOSPC ? ErrorCode::limit : ErrorCode::unavailable,
                 fmt::format("write archive \"{}\": {}", path.string(), std::strerror(errno))};
  };
  if (file < 0) return failure();
  std::uint64_t size = 0;
  Status status = write_archive(store, manifest_digest, reference, [&](std::string_view piece) -> Status {
    size += piece.size();
    while (!piece.empty()) {
      const auto written = ::write(file, piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failure();
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    return Done{};
  });
  if (::close(file) != 0 && status) status = failure();
  if (!status) {
    std::error_code ignored;
    fs::remove(path, ignored);
    return std::move(status).error();
  }
  return size;
}

}  // namespace verge::packaging
