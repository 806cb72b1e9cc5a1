#include "packaging/runtime.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/disk.h"
#include "base/json.h"

namespace verge::packaging {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view onnxruntime_path = "/usr/lib/libonnxruntime.so.1";

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

/// The libraries a layer already holds, and what goes into the next one.
class LayerPlan {
 public:
  LayerPlan(std::string name, const RuntimeOptions& options, const std::set<std::string>& held_below)
      : held_below_(held_below), writer_({.compression = options.compression}) {
    layer_.name = std::move(name);
  }

  Status add_program(std::string_view path, const fs::path& source) {
    VERGE_CHECK(writer_.add_file(path, source, 0755));
    VERGE_CHECK(note_needs(source));
    return Done{};
  }

  Status add_library(const std::string& path, const fs::path& source) {
    if (held_below_.contains(file_name(path)) || writer_.has(path)) return Done{};
    VERGE_CHECK(writer_.add_file(path, source, 0644));
    layer_.provides.push_back(file_name(path));
    sources_.push_back(source);
    return note_needs(source);
  }

  Status add_libraries(const Closure& closure) {
    for (const auto& [path, source] : closure) VERGE_CHECK(add_library(path, source));
    return Done{};
  }

  /// Files that belong to no Debian package.
  Status add_notice(const std::string& name, const std::string& version, const std::vector<fs::path>& licences) {
    const auto folder = fmt::format("/usr/share/doc/{}", name);
    for (const auto& licence : licences)
      VERGE_CHECK(writer_.add_tree(folder + "/" + licence.filename().string(), licence));
    layer_.packages.push_back(
        {name, version, licences.empty() ? "" : folder + "/" + licences.front().filename().string(), {}});
    return Done{};
  }

  /// A file that a package brings along without being a library.
  void add_package_of(const fs::path& source) { sources_.push_back(source); }

  LayerWriter& writer() { return writer_; }

  Result<RuntimeLayer> finish(BlobStore& store) {
    VERGE_TRY(const auto packages, find_packages(sources_));
    for (const auto& notice : packages) {
      VERGE_CHECK(writer_.add_file(notice.licence_file, notice.licence_source));
      layer_.packages.push_back(notice);
    }
    const auto list = fmt::format("/usr/share/verge/licences/{}.json", layer_.name);
    VERGE_CHECK(writer_.add_bytes(list, to_pretty_text(layer_.notices()) + "\n"));
    std::sort(layer_.provides.begin(), layer_.provides.end());
    for (const auto& library : layer_.provides) needs_.erase(library);
    layer_.needs.assign(needs_.begin(), needs_.end());
    VERGE_TRY(layer_.layer, writer_.write(store));
    return std::move(layer_);
  }

 private:
  Status note_needs(const fs::path& source) {
    VERGE_TRY(const auto info, read_elf(source));
    for (const auto& name : info.needed) needs_.insert(file_name(name));
    return Done{};
  }

  const std::set<std::string>& held_below_;
  RuntimeLayer layer_;
  LayerWriter writer_;
  std::vector<fs::path> sources_;
  std::set<std::string> needs_;
};

Status add_accounts(LayerWriter& base) {
  VERGE_CHECK(base.add_bytes("/etc/passwd", fmt::format("root:x:0:0:root:/root:/usr/sbin/nologin\n"
                                                        "verge:x:{0}:{0}:verge:/home/verge:/usr/sbin/nologin\n",
                                                        module_user)));
  VERGE_CHECK(base.add_bytes("/etc/group", fmt::format("root:x:0:\nverge:x:{}:\n", module_user)));
  return base.add_bytes("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
}

/// Debian's merged layout: /lib and /bin are links into /usr. An engine mounts its own files over some of these
/// folders.
Status add_folders(LayerWriter& base) {
  for (const auto name : {"bin", "lib", "lib64", "sbin"}) {
    VERGE_CHECK(base.add_folder(fmt::format("/usr/{}", name)));
    VERGE_CHECK(base.add_link(fmt::format("/{}", name), fmt::format("usr/{}", name)));
  }
  for (const auto name : {"/dev", "/proc", "/sys", "/run", "/var/run/iotedge", "/home/verge", "/module", "/data"})
    VERGE_CHECK(base.add_folder(name));
  // A volume that is mounted there for the first time takes this mode over, whoever its user is.
  VERGE_CHECK(base.add_folder("/var/lib/verge/evidence", 01777));
  VERGE_CHECK(base.add_folder("/var/lib/verge/access", 01777));
  return base.add_folder("/tmp", 01777);
}

Result<RuntimeLayer> build_base(BlobStore& store, const Closure& whole, const RuntimeOptions& options,
                                const std::set<std::string>& held) {
  LayerPlan plan("base", options, held);
  VERGE_CHECK(add_folders(plan.writer()));
  VERGE_CHECK(add_accounts(plan.writer()));
  VERGE_CHECK(plan.add_libraries(whole));
  for (const auto& [path, source] : whole)
    if (file_name(path).starts_with("ld-linux-")) VERGE_CHECK(plan.writer().add_file(path, source, 0755));
  VERGE_CHECK(plan.writer().add_file("/etc/ssl/certs/ca-certificates.crt", options.certificates));
  VERGE_CHECK(plan.writer().add_file("/usr/share/zoneinfo/UTC", options.time_zone));
  VERGE_CHECK(plan.writer().add_link("/etc/localtime", "/usr/share/zoneinfo/UTC"));
  VERGE_CHECK(plan.writer().add_bytes("/etc/timezone", "UTC\n"));
  // The bundle is put together at installation and belongs to no package; its certificates come from this one.
  plan.add_package_of("/usr/sbin/update-ca-certificates");
  plan.add_package_of(options.time_zone);
  return plan.finish(store);
}

Result<RuntimeLayer> build_onnxruntime(BlobStore& store, const RuntimeOptions& options,
                                       const std::set<std::string>& held) {
  LayerPlan plan("onnxruntime", options, held);
  std::error_code error;
  const auto source = fs::canonical(options.onnxruntime, error);
  if (error) return Error{ErrorCode::not_found, fmt::format("\"{}\" is not there", options.onnxruntime.string())};
  VERGE_TRY(const auto needed, find_closure({source}, options.search));
  VERGE_CHECK(plan.add_libraries(needed));
  // Its own file goes in last: it is no Debian package's.
  VERGE_CHECK(plan.writer().add_file(onnxruntime_path, source, 0644));
  VERGE_CHECK(plan.add_notice("onnxruntime", options.onnxruntime_version, options.onnxruntime_licences));
  return plan.finish(store);
}

Result<RuntimeLayer> build_program(BlobStore& store, const RuntimeOptions& options, const std::set<std::string>& held) {
  LayerPlan plan("program", options, held);
  VERGE_CHECK(plan.add_program(program_path, options.program));
  std::vector<fs::path> licences;
  if (!options.program_licence.empty()) licences.push_back(options.program_licence);
  VERGE_CHECK(plan.add_notice("verge", options.program_version, licences));
  return plan.finish(store);
}

Result<RuntimeLayer> build_media(BlobStore& store, const std::string& architecture, const RuntimeOptions& options,
                                 const std::set<std::string>& held) {
  LayerPlan plan("media", options, held);
  VERGE_TRY(const auto libraries, find_named_closure(options.media_libraries, architecture, options.search));
  VERGE_CHECK(plan.add_libraries(libraries));
  VERGE_TRY(auto layer, plan.finish(store));
  layer.for_sources = options.media_sources;
  return layer;
}

Json layer_json(const RuntimeLayer& layer) {
  return {{"name", layer.name},
          {"layer", to_json(layer.layer.descriptor)},
          {"diff_id", layer.layer.diff_id},
          {"tar_bytes", layer.layer.tar_bytes},
          {"provides", layer.provides},
          {"needs", layer.needs},
          {"for_sources", layer.for_sources},
          {"packages", layer.notices()}};
}

Result<std::vector<std::string>> texts(const Json& object, std::string_view key) {
  std::vector<std::string> list;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array())
    return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" must be a list", key)};
  for (const auto& item : *found) {
    if (!item.is_string()) return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" must hold texts", key)};
    list.push_back(item.get<std::string>());
  }
  return list;
}

Result<RuntimeLayer> read_layer(const Json& json) {
  RuntimeLayer layer;
  VERGE_TRY(layer.name, string_member(json, "name"));
  const auto* blob = find_member(json, {"layer"});
  if (!blob) return Error{ErrorCode::invalid_argument, "\"layer\" is missing"};
  VERGE_TRY(layer.layer.descriptor.digest, string_member(*blob, "digest"));
  VERGE_TRY(layer.layer.descriptor.media_type, string_member(*blob, "mediaType"));
  VERGE_TRY(const auto size, integer_member(*blob, "size"));
  layer.layer.descriptor.size_bytes = static_cast<std::uint64_t>(size);
  VERGE_TRY(layer.layer.diff_id, string_member(json, "diff_id"));
  if (!is_digest(layer.layer.descriptor.digest) || !is_digest(layer.layer.diff_id))
    return Error{ErrorCode::invalid_argument, fmt::format("layer \"{}\" has no digests", layer.name)};
  VERGE_TRY(const auto tar_bytes, integer_member(json, "tar_bytes"));
  layer.layer.tar_bytes = static_cast<std::uint64_t>(tar_bytes);
  VERGE_TRY(layer.provides, texts(json, "provides"));
  VERGE_TRY(layer.needs, texts(json, "needs"));
  VERGE_TRY(layer.for_sources, texts(json, "for_sources"));
  if (const auto* packages = find_member(json, {"packages"}); packages && packages->is_array())
    for (const auto& item : *packages) {
      PackageNotice notice;
      VERGE_TRY(notice.name, string_member(item, "name"));
      VERGE_TRY(notice.version, string_member(item, "version"));
      VERGE_TRY(notice.licence_file, string_member(item, "licence"));
      layer.packages.push_back(std::move(notice));
    }
  return layer;
}

}  // namespace

Json RuntimeLayer::notices() const {
  Json list = Json::array();
  for (const auto& package : packages)
    list.push_back({{"name", package.name}, {"version", package.version}, {"licence", package.licence_file}});
  return list;
}

const RuntimeLayer* Runtime::find(std::string_view name) const {
  for (const auto& layer : layers)
    if (layer.name == name) return &layer;
  return nullptr;
}

Result<Runtime> build_runtime(BlobStore& store, const RuntimeOptions& options) {
  VERGE_TRY(const auto program, read_elf(options.program));
  VERGE_TRY(const auto whole, find_closure({options.program}, options.search));
  Runtime runtime;
  runtime.platform.architecture = program.architecture;
  if (program.architecture == "arm64") runtime.platform.variant = "v8";
  std::set<std::string> held;
  const auto keep = [&](Result<RuntimeLayer> layer) -> Status {
    if (!layer) return std::move(layer).error();
    held.insert(layer->provides.begin(), layer->provides.end());
    runtime.layers.push_back(*std::move(layer));
    return Done{};
  };
  VERGE_CHECK(keep(build_base(store, whole, options, held)));
  if (!options.onnxruntime.empty()) VERGE_CHECK(keep(build_onnxruntime(store, options, held)));
  VERGE_CHECK(keep(build_program(store, options, held)));
  if (!options.media_libraries.empty()) {
    VERGE_CHECK(keep(build_media(store, program.architecture, options, held)));
  }
  return runtime;
}

Json to_json(const Runtime& runtime) {
  Json layers = Json::array();
  for (const auto& layer : runtime.layers) layers.push_back(layer_json(layer));
  return {{"version", 1},
          {"architecture", runtime.platform.architecture},
          {"variant", runtime.platform.variant},
          {"layers", std::move(layers)}};
}

Result<Runtime> parse_runtime(std::string_view text) {
  VERGE_TRY(const auto json, parse_json(text));
  Runtime runtime;
  VERGE_TRY(runtime.platform.architecture, string_member(json, "architecture"));
  VERGE_TRY(runtime.platform.variant, string_member(json, "variant"));
  const auto* layers = find_member(json, {"layers"});
  if (!layers || !layers->is_array()) return Error{ErrorCode::invalid_argument, "\"layers\" must be a list"};
  for (const auto& item : *layers) {
    VERGE_TRY(auto layer, read_layer(item));
    runtime.layers.push_back(std::move(layer));
  }
  return runtime;
}

Status save_runtime(const BlobStore& store, const Runtime& runtime) {
  return write_file(store.folder() / fmt::format("runtime-{}.json", runtime.platform.architecture),
                    to_pretty_text(to_json(runtime)) + "\n");
}

Result<Runtime> load_runtime(const BlobStore& store, const Platform& platform) {
  const auto path = store.folder() / fmt::format("runtime-{}.json", platform.architecture);
  const auto text = read_file(path);
  if (!text)
    return Error{ErrorCode::not_found, fmt::format("there are no runtime layers for {} in \"{}\"; build them first",
                                                   platform.architecture, store.folder().string())};
  auto runtime = parse_runtime(*text);
  if (!runtime) return std::move(runtime).error().within(fmt::format("read \"{}\"", path.string()));
  return runtime;
}

}  // namespace verge::packaging
