#include "packaging/closure.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <elf.h>
#include <fmt/format.h>
#include <optional>

#include "base/disk.h"
#include "base/process.h"

namespace verge::packaging {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t elf_bytes_max = std::size_t{1} << 30U;
constexpr std::size_t libraries_max = 1'000;

Error broken(std::string_view what) { return {ErrorCode::corrupt, fmt::format("the ELF file is damaged: {}", what)}; }

/// Reads a structure at an offset if it lies inside.
template <class T>
std::optional<T> read_at(std::string_view bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::optional<std::string> text_at(std::string_view bytes, std::uint64_t offset) {
  if (offset >= bytes.size()) return std::nullopt;
  const auto end = bytes.find('\0', offset);
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(bytes.substr(offset, end - offset));
}

struct Segments {
  std::vector<Elf64_Phdr> loads;
  std::optional<Elf64_Phdr> dynamic, interpreter;

  /// Where an address of memory lies in the file.
  std::optional<std::uint64_t> offset_of(std::uint64_t address) const {
    for (const auto& load : loads)
      if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz)
        return load.p_offset + (address - load.p_vaddr);
    return std::nullopt;
  }
};

Result<Segments> read_segments(std::string_view bytes, const Elf64_Ehdr& header) {
  Segments segments;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_at<Elf64_Phdr>(bytes, header.e_phoff + std::uint64_t{i} * sizeof(Elf64_Phdr));
    if (!segment) return broken("a program header lies outside");
    if (segment->p_type == PT_LOAD) segments.loads.push_back(*segment);
    if (segment->p_type == PT_DYNAMIC) segments.dynamic = *segment;
    if (segment->p_type == PT_INTERP) segments.interpreter = *segment;
  }
  return segments;
}

std::vector<std::string> split_paths(std::string_view list) {
  std::vector<std::string> paths;
  for (std::size_t start = 0; start < list.size();) {
    const auto end = std::min(list.find(':', start), list.size());
    if (end > start) paths.emplace_back(list.substr(start, end - start));
    start = end + 1;
  }
  return paths;
}

Status read_dynamic(std::string_view bytes, const Segments& segments, ElfInfo& info) {
  if (!segments.dynamic) return Done{};  // Linked statically.
  std::vector<std::uint64_t> needed, run_paths, old_run_paths;
  std::optional<std::uint64_t> strings_address, name;
  const std::uint64_t count = segments.dynamic->p_filesz / sizeof(Elf64_Dyn);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = read_at<Elf64_Dyn>(bytes, segments.dynamic->p_offset + i * sizeof(Elf64_Dyn));
    if (!entry) return broken("the dynamic section lies outside");
    if (entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_NEEDED) needed.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_SONAME) name = entry->d_un.d_val;
    if (entry->d_tag == DT_RUNPATH) run_paths.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_RPATH) old_run_paths.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_STRTAB) strings_address = entry->d_un.d_ptr;
  }
  if (!strings_address) return Done{};
  const auto strings = segments.offset_of(*strings_address);
  if (!strings) return broken("its text table lies outside");
  const auto text = [&](std::uint64_t offset) { return text_at(bytes, *strings + offset); };
  for (const auto offset : needed) {
    const auto library = text(offset);
    if (!library) return broken("a library's name lies outside");
    info.needed.push_back(*library);
  }
  if (name) info.name = text(*name).value_or("");
  for (const auto offset : run_paths.empty() ? old_run_paths : run_paths)
    for (auto& path : split_paths(text(offset).value_or(""))) info.run_paths.push_back(std::move(path));
  return Done{};
}

std::string triplet_of(std::string_view architecture) {
  return architecture == "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

/// A place in the image and the file for it.
struct Found {
  std::string path;
  fs::path source;
};

class Search {
 public:
  explicit Search(const ClosureOptions& options) : root_(options.root) {}

  std::optional<Found> find(const std::string& name, const ElfInfo& needing, const fs::path& needing_source) const {
    if (name.find('/') != std::string::npos) return at(name, needing.architecture);
    for (const auto& folder : folders(needing, needing_source))
      if (auto found = at(folder + "/" + name, needing.architecture)) return found;
    return std::nullopt;
  }

  std::vector<std::string> folders(const ElfInfo& needing, const fs::path& needing_source) const {
    std::vector<std::string> list;
    const auto origin = "/" + needing_source.parent_path().lexically_relative(root_).generic_string();
    for (const auto& path : needing.run_paths)
      list.push_back(replaced(replaced(path, "${ORIGIN}", origin), "$ORIGIN", origin));
    const auto triplet = triplet_of(needing.architecture);
    for (const auto& folder : {"/lib/" + triplet, "/usr/lib/" + triplet, std::string("/lib"), std::string("/usr/lib"),
                               std::string("/usr/local/lib")})
      list.push_back(folder);
    return list;
  }

  /// The file at a path of the other system, if it is a library of this kind of machine.
  std::optional<Found> at(const std::string& path, const std::string& architecture) const {
    std::error_code error;
    const auto asked = root_ / fs::path(path).relative_path();
    const auto source = fs::canonical(asked, error);
    if (error || !fs::is_regular_file(source, error)) return std::nullopt;
    const auto info = read_elf(source);
    if (!info || info->architecture != architecture) return std::nullopt;
    const auto folder = fs::canonical(asked.parent_path(), error);
    if (error) return std::nullopt;
    const auto inside = fs::path("/") / folder.lexically_relative(fs::canonical(root_, error)) / asked.filename();
    return Found{inside.lexically_normal().generic_string(), source};
  }

 private:
  fs::path root_;
};

}  // namespace

Result<ElfInfo> parse_elf(std::string_view bytes) {
  const auto header = read_at<Elf64_Ehdr>(bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
    return Error{ErrorCode::invalid_argument, "it is not an ELF file"};
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_phentsize != sizeof(Elf64_Phdr))
    return Error{ErrorCode::invalid_argument, "it is not a 64-bit little-endian ELF file"};
  ElfInfo info;
  if (header->e_machine == EM_X86_64) info.architecture = "amd64";
  if (header->e_machine == EM_AARCH64) info.architecture = "arm64";
  if (info.architecture.empty())
    return Error{ErrorCode::invalid_argument,
                 fmt::format("its machine {} is neither amd64 nor arm64", header->e_machine)};
  VERGE_TRY(const auto segments, read_segments(bytes, *header));
  if (segments.interpreter) info.interpreter = text_at(bytes, segments.interpreter->p_offset).value_or("");
  VERGE_CHECK(read_dynamic(bytes, segments, info));
  return info;
}

Result<ElfInfo> read_elf(const fs::path& path) {
  VERGE_TRY(const auto bytes, read_file(path, elf_bytes_max));
  auto info = parse_elf(bytes);
  if (!info) return std::move(info).error().within(fmt::format("read \"{}\"", path.string()));
  return info;
}

Result<Closure> find_closure(const std::vector<fs::path>& files, const ClosureOptions& options) {
  const Search search(options);
  Closure closure;
  std::set<fs::path> seen;
  std::deque<fs::path> waiting(files.begin(), files.end());
  while (!waiting.empty()) {
    const auto file = waiting.front();
    waiting.pop_front();
    if (!seen.insert(file).second) continue;
    VERGE_TRY(auto info, read_elf(file));
    if (!info.interpreter.empty()) info.needed.push_back(info.interpreter);
    for (const auto& name : info.needed) {
      const auto found = search.find(name, info, file);
      if (!found) {
        std::string looked;
        for (const auto& folder : search.folders(info, file)) looked += (looked.empty() ? "" : ", ") + folder;
        return Error{ErrorCode::not_found, fmt::format("\"{}\" needs {}, which is in none of {}; install its package",
                                                       file.string(), name, looked)};
      }
      closure[found->path] = found->source;
      if (closure.size() > libraries_max)
        return Error{ErrorCode::limit, fmt::format("more than {} libraries are needed", libraries_max)};
      waiting.push_back(found->source);
    }
  }
  return closure;
}

Result<Closure> find_named_closure(const std::vector<std::string>& names, std::string_view architecture,
                                   const ClosureOptions& options) {
  const Search search(options);
  ElfInfo program;
  program.architecture = architecture;
  Closure closure;
  std::vector<fs::path> sources;
  for (const auto& name : names) {
    const auto found = search.find(name, program, options.root / "program");
    if (!found) {
      return Error{ErrorCode::not_found,
                   fmt::format("{} ({}) is in none of the library folders below \"{}\"; install its package", name,
                               architecture, options.root.string())};
    }
    closure[found->path] = found->source;
    sources.push_back(found->source);
  }
  VERGE_TRY(auto needed, find_closure(sources, options));
  closure.merge(needed);
  return closure;
}

namespace {

/// dpkg knows a file by the path its package used, which may lack the /usr of merged systems.
std::vector<std::string> package_paths(const fs::path& file) {
  std::vector<std::string> paths{file.string()};
  if (paths[0].starts_with("/usr/")) paths.push_back(paths[0].substr(4));
  return paths;
}

Result<std::string> query(std::vector<std::string> arguments) {
  VERGE_TRY(auto output,
            run_process({std::move(arguments), {{"LC_ALL", "C"}}, {}, {}, false}, std::chrono::seconds(60)));
  return std::move(output.output);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t start = 0; start < text.size();) {
    const auto end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

/// "libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6" → path to package.
Result<std::map<std::string, std::string>> owners_of(const std::vector<fs::path>& files) {
  std::map<std::string, std::string> owners;
  std::vector<std::string> arguments{"dpkg-query", "-S"};
  for (const auto& file : files)
    for (auto& path : package_paths(file)) arguments.push_back(std::move(path));
  if (arguments.size() == 2) return owners;
  VERGE_TRY(const auto text, query(std::move(arguments)));
  for (const auto line : lines_of(text)) {
    const auto middle = line.find(": /");
    if (middle == std::string_view::npos || line.starts_with("dpkg-query:")) continue;
    // Several owners are separated by ", "; the first is as good as any.
    const auto names = line.substr(0, middle);
    owners[std::string(line.substr(middle + 2))] = names.substr(0, names.find(','));
  }
  return owners;
}

}  // namespace

Result<std::vector<PackageNotice>> find_packages(const std::vector<fs::path>& files, std::vector<fs::path>* unowned) {
  VERGE_TRY(const auto owners, owners_of(files));
  std::set<std::string> names;
  for (const auto& file : files) {
    std::string owner;
    for (const auto& path : package_paths(file))
      if (const auto found = owners.find(path); found != owners.end()) owner = found->second;
    if (!owner.empty())
      names.insert(owner);
    else if (unowned)
      unowned->push_back(file);
  }
  std::vector<PackageNotice> notices;
  if (names.empty()) return notices;
  std::vector<std::string> arguments{"dpkg-query", "-W", "-f", "${Package} ${Version}\n"};
  arguments.insert(arguments.end(), names.begin(), names.end());
  VERGE_TRY(const auto text, query(std::move(arguments)));
  for (const auto line : lines_of(text)) {
    const auto blank = line.find(' ');
    if (blank == std::string_view::npos || line.starts_with("dpkg-query:")) continue;
    PackageNotice notice{std::string(line.substr(0, blank)), std::string(line.substr(blank + 1)), {}, {}};
    notice.licence_file = fmt::format("/usr/share/doc/{}/copyright", notice.name);
    std::error_code error;
    notice.licence_source = fs::canonical(notice.licence_file, error);
    if (error)
      return Error{ErrorCode::not_found, fmt::format("package {} has no copyright file at {}; an image must not go "
                                                     "without it",
                                                     notice.name, notice.licence_file)};
    notices.push_back(std::move(notice));
  }
  std::sort(notices.begin(), notices.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return notices;
}

}  // namespace verge::packaging
