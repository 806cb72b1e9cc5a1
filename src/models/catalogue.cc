#include "models/catalogue.h"

#include <fmt/format.h>
#include <set>

namespace verge::models {

/// The text of catalogue.json; the build writes the file that defines it.
extern const char* const catalogue_text;

namespace {

Error refuse(std::string_view entry, std::string_view why) {
  return {ErrorCode::invalid_argument, fmt::format("catalogue entry \"{}\": {}", entry, why)};
}

bool is_digest(std::string_view text) { return text.starts_with("sha256:") && text.size() == 71; }

Result<const Json*> list_of(const Json& object, std::string_view key, std::string_view entry) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array() || found->empty())
    return refuse(entry, fmt::format("\"{}\" must be a list", key));
  return &*found;
}

Result<CatalogueFile> read_file_entry(const Json& json, std::string_view entry) {
  CatalogueFile file;
  VERGE_TRY(file.path, string_member(json, "path"));
  VERGE_TRY(file.name, string_member(json, "name"));
  VERGE_TRY(file.digest, string_member(json, "digest"));
  VERGE_TRY(const auto size, integer_member(json, "size_bytes"));
  if (file.path.empty() || file.name.empty() || file.name.find('/') != std::string::npos || size <= 0)
    return refuse(entry, "a file needs path, name and size_bytes");
  if (!is_digest(file.digest)) return refuse(entry, fmt::format("\"{}\" has no sha256 digest", file.path));
  file.size_bytes = static_cast<std::uint64_t>(size);
  return file;
}

Result<CatalogueSource> read_source(const Json& json, std::string_view entry) {
  static const std::set<std::string_view> kinds{"npm", "pip", "deb"};
  CatalogueSource source;
  VERGE_TRY(source.kind, string_member(json, "kind"));
  VERGE_TRY(source.package, string_member(json, "package"));
  VERGE_TRY(source.version, string_member(json, "version"));
  VERGE_TRY(source.digest, string_member(json, "digest"));
  VERGE_TRY(source.licence, string_member(json, "licence"));
  if (!kinds.contains(source.kind))
    return refuse(entry, fmt::format("kind \"{}\" must be npm, pip or deb", source.kind));
  if (source.package.empty() || source.version.empty() || source.licence.empty())
    return refuse(entry, "a source needs package, version and licence");
  if (source.kind != "deb" && !is_digest(source.digest))
    return refuse(entry, fmt::format("package {} has no sha256 digest", source.package));
  VERGE_TRY(const auto* files, list_of(json, "files", entry));
  for (const auto& item : *files) {
    VERGE_TRY(auto file, read_file_entry(item, entry));
    source.files.push_back(std::move(file));
  }
  return source;
}

Result<CatalogueEntry> read_entry(const Json& json) {
  CatalogueEntry entry;
  VERGE_TRY(entry.name, string_member(json, "name"));
  VERGE_TRY(entry.kind, string_member(json, "kind"));
  VERGE_TRY(entry.summary, string_member(json, "summary"));
  VERGE_TRY(entry.folder, string_member(json, "folder"));
  VERGE_TRY(entry.importer, string_member(json, "importer"));
  if (entry.folder.empty()) return refuse(entry.name, "the folder is missing");
  if (entry.kind != "model" && entry.kind != "media") return refuse(entry.name, "kind must be model or media");
  VERGE_TRY(const auto* sources, list_of(json, "sources", entry.name));
  for (const auto& item : *sources) {
    VERGE_TRY(auto source, read_source(item, entry.name));
    entry.sources.push_back(std::move(source));
  }
  entry.import_options = json.value("import_options", Json::object());
  entry.card = json.value("card", Json::object());
  return entry;
}

}  // namespace

Result<std::vector<CatalogueEntry>> parse_catalogue(std::string_view text) {
  VERGE_TRY(const auto json, parse_json(text));
  VERGE_TRY(const auto* entries, list_of(json, "entries", "catalogue"));
  std::vector<CatalogueEntry> catalogue;
  std::set<std::string> names;
  for (const auto& item : *entries) {
    VERGE_TRY(auto entry, read_entry(item));
    if (entry.name.empty() || !names.insert(entry.name).second)
      return refuse(entry.name, "the name must be given once");
    catalogue.push_back(std::move(entry));
  }
  return catalogue;
}

const std::vector<CatalogueEntry>& catalogue() {
  static const std::vector<CatalogueEntry> entries = [] {
    auto parsed = parse_catalogue(catalogue_text);
    VERGE_ASSERT(parsed);  // The test parses the same text.
    return *std::move(parsed);
  }();
  return entries;
}

const CatalogueEntry* find_in_catalogue(std::string_view name) {
  for (const auto& entry : catalogue())
    if (entry.name == name) return &entry;
  return nullptr;
}

}  // namespace verge::models
