#include "packaging/closure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "base/disk.h"
#include "base/process.h"
#include "base/temporary_folder.h"

namespace verge::packaging {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

const fs::path self = fs::canonical("/proc/self/exe");

std::set<std::string> names_in(const Closure& closure) {
  std::set<std::string> names;
  for (const auto& [path, source] : closure) names.insert(fs::path(path).filename());
  return names;
}

TEST(Elf, ReadsAProgram) {
  const auto info = read_elf(self);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_THAT(info->needed, Contains("libc.so.6"));
  EXPECT_THAT(info->interpreter, HasSubstr("ld-linux"));
}

TEST(Elf, RefusesOtherFiles) {
  EXPECT_EQ(parse_elf("#!/bin/sh").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(parse_elf("").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(read_elf("/nothing").error().code, ErrorCode::not_found);
  auto bytes = *read_file(self);
  bytes[4] = 1;  // A 32-bit file.
  EXPECT_THAT(parse_elf(bytes).error().message, HasSubstr("64-bit"));
}

TEST(Elf, StandsCutAndTwistedFiles) {
  const auto bytes = *read_file(self);
  for (std::size_t length = 0; length < 4096; length += 7)
    static_cast<void>(parse_elf(std::string_view(bytes).substr(0, length)));
  auto twisted = bytes.substr(0, 1U << 16U);
  for (std::size_t at = 16; at < 1024; ++at) {
    const auto before = twisted[at];
    twisted[at] = static_cast<char>(~before);
    static_cast<void>(parse_elf(twisted));
    twisted[at] = before;
  }
}

/// ldd asks the loader itself; both must name the same libraries.
TEST(FindClosure, AgreesWithTheLoader) {
  const auto closure = find_closure({self});
  ASSERT_TRUE(closure) << closure.error().message;
  const auto ldd =
      run_process({{"ldd", self}, {{"LC_ALL", "C"}, {"LD_PRELOAD", ""}}, {}, {}, false}, std::chrono::seconds(60));
  ASSERT_TRUE(ldd);
  ASSERT_EQ(ldd->exit_code, 0) << ldd->output;
  for (const auto& [path, source] : *closure) EXPECT_THAT(ldd->output, HasSubstr(fs::path(path).filename().string()));
  std::size_t lines = 0;
  for (const char c : ldd->output) lines += c == '\n' ? 1U : 0U;
  const std::size_t kernel_page = ldd->output.find("linux-vdso") == std::string::npos ? 0 : 1;
  // One name may lie in two folders (a library in /usr/local beside Debian's); the loader takes the first.
  std::set<std::string> names;
  for (const auto& [path, source] : *closure) names.insert(fs::path(path).filename().string());
  EXPECT_EQ(names.size(), lines - kernel_page) << ldd->output;
}

TEST(FindClosure, SaysWhichLibraryIsMissing) {
  const TemporaryFolder root;
  const auto closure = find_closure({self}, {.root = root.path()});
  ASSERT_FALSE(closure);
  EXPECT_EQ(closure.error().code, ErrorCode::not_found);
  EXPECT_THAT(closure.error().message, HasSubstr("which is in none of"));
}

TEST(FindClosure, LooksIntoAnotherRoot) {
  const TemporaryFolder root;
  const auto here = *find_closure({self});
  for (const auto& [path, source] : here) {
    const auto target = root.path() / fs::path(path).relative_path();
    fs::create_directories(target.parent_path());
    fs::copy_file(source, target);
  }
  fs::create_directory_symlink("usr/lib", root.path() / "lib");
  if (fs::exists(root.path() / "usr/lib64")) fs::create_directory_symlink("usr/lib64", root.path() / "lib64");
  const auto there = find_closure({self}, {.root = root.path()});
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(names_in(*there), names_in(here));
  for (const auto& [path, source] : *there) EXPECT_THAT(source.string(), HasSubstr(root.path().string()));
}

TEST(FindNamedClosure, BringsALibraryAndWhatItNeeds) {
  const auto architecture = read_elf(self)->architecture;
  const auto closure = find_named_closure({"libstdc++.so.6"}, architecture);
  ASSERT_TRUE(closure) << closure.error().message;
  for (const auto* name : {"libstdc++.so.6", "libc.so.6", "libgcc_s.so.1"})
    EXPECT_THAT(names_in(*closure), Contains(name));
  const auto missing = find_named_closure({"libnothing.so.1"}, architecture);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("libnothing.so.1"));
  EXPECT_TRUE(find_named_closure({}, architecture)->empty());
}

TEST(FindPackages, NamesTheOwners) {
  const auto closure = find_closure({self});
  ASSERT_TRUE(closure) << closure.error().message;
  fs::path libc;
  for (const auto& [path, source] : *closure)
    if (path.ends_with("/libc.so.6")) libc = source;
  std::vector<fs::path> unowned;
  const auto packages = find_packages({libc, self}, &unowned);
  if (!packages) GTEST_SKIP() << packages.error().message;
  ASSERT_EQ(packages->size(), 1U);
  EXPECT_EQ((*packages)[0].name, "libc6");
  EXPECT_FALSE((*packages)[0].version.empty());
  EXPECT_EQ((*packages)[0].licence_file, "/usr/share/doc/libc6/copyright");
  EXPECT_THAT(unowned, ::testing::ElementsAre(self));
  EXPECT_TRUE(find_packages({})->empty());
}

}  // namespace
}  // namespace verge::packaging
