// packaging/closure.h -- which shared libraries programs need, and which Debian packages these come from.
//
// Source: System V ABI, dynamic section (DT_NEEDED, DT_RPATH, DT_RUNPATH); ld.so(8) for the search. ELF files are read
// here, no loader is run, so that arm64 programs can be examined on amd64.
// Threads: pure functions over the file system.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::packaging {

struct ElfInfo {
  std::string architecture;            ///< "amd64", "arm64"
  std::string interpreter;             ///< "/lib64/ld-linux-x86-64.so.2", empty for libraries.
  std::string name;                    ///< DT_SONAME
  std::vector<std::string> needed;     ///< Names of libraries, in the file's order.
  std::vector<std::string> run_paths;  ///< Folders, $ORIGIN not yet replaced.
};
/// Errors: invalid_argument (not an ELF file of a known kind), corrupt, not_found.
Result<ElfInfo> read_elf(const std::filesystem::path& path);
/// The same from bytes.
Result<ElfInfo> parse_elf(std::string_view bytes);

struct ClosureOptions {
  std::filesystem::path root = "/";  ///< Where the libraries are searched: another system's files.
};

/// Library path in the image (symbolic links of folders resolved, name as needed) → the file to copy.
using Closure = std::map<std::string, std::filesystem::path>;
/// Everything the files need, directly and indirectly, with the program loader; not the files themselves.
/// Errors: not_found: "verge-infer needs libx.so.1, which is in none of …".
Result<Closure> find_closure(const std::vector<std::filesystem::path>& files, const ClosureOptions& options = {});

/// The same for libraries that a program opens by name at run time, which are in no closure: they and all they need.
/// Errors: not_found naming the library.
Result<Closure> find_named_closure(const std::vector<std::string>& names, std::string_view architecture,
                                   const ClosureOptions& options = {});

struct PackageNotice {
  std::string name, version;  ///< Debian's, or what the caller says for files that are no package's.
  std::string licence_file;   ///< In the image: "/usr/share/doc/libc6/copyright"
  std::filesystem::path licence_source;
};
/// The packages that own these files, sorted by name. Files without a package are returned in `unowned`.
/// Errors: not_found (dpkg-query is missing), unavailable.
Result<std::vector<PackageNotice>> find_packages(const std::vector<std::filesystem::path>& files,
                                                 std::vector<std::filesystem::path>* unowned = nullptr);

}  // namespace verge::packaging
