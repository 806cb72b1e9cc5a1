#include "base/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace verge {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kOutputBytesMax = 1U << 20U;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Ours with `added` on top, as the kernel wants it.
std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (added.find(std::string(text.substr(0, text.find('=')))) == added.end()) merged.emplace_back(text);
  }
  for (const auto& [name, value] : added) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// posix_spawn's two option objects, freed together.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    // A child must not inherit what we block or ignore (SIGPIPE).
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  void set_flags(int extra) {
    posix_spawnattr_setflags(&attributes_, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | extra));
  }
  void set_folder(const std::filesystem::path& folder) {
    if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
  }
  void set_output(int fd) {
    if (fd < 0) return;
    posix_spawn_file_actions_adddup2(&actions_, fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, fd, STDERR_FILENO);
  }
  void set_no_input() { posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0); }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

Result<pid_t> spawn(const ProcessOptions& options, int output_fd, int extra_flags) {
  if (options.arguments.empty() || options.arguments[0].empty()) {
    return Error{ErrorCode::invalid_argument, "start a program: no program given"};
  }
  std::error_code ignored;
  if (!options.folder.empty() && !std::filesystem::is_directory(options.folder, ignored)) {
    return Error{ErrorCode::not_found, fmt::format("start \"{}\": its working folder \"{}\" does not exist",
                                                   options.arguments[0], options.folder.string())};
  }
  SpawnPlan plan;
  plan.set_flags(extra_flags);
  plan.set_folder(options.folder);
  plan.set_output(output_fd);
  if (output_fd >= 0) plan.set_no_input();
  auto arguments = options.arguments;
  auto environment = merged_environment(options.environment);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0].c_str(), plan.actions(), plan.attributes(),
                                   pointers_to(arguments).data(), pointers_to(environment).data());
  if (error == 0) return pid;
  const bool is_missing = error == ENOENT || error == ENOTDIR;
  return Error{is_missing ? ErrorCode::not_found : ErrorCode::unavailable,
               fmt::format("start \"{}\": {}{}", options.arguments[0], std::strerror(error),
                           is_missing ? "; install it or correct PATH" : "")};
}

Result<int> open_log(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd >= 0) return fd;
  return Error{ErrorCode::unavailable, fmt::format("open log file \"{}\": {}", path.string(), std::strerror(errno))};
}

int exit_code_from(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/// The exit code once the child ended.
std::optional<int> try_reap(pid_t pid) {
  int status = 0;
  const pid_t got = ::waitpid(pid, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
  return got < 0 ? 127 : exit_code_from(status);
}

void kill_group_and_reap(pid_t pid) {
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

/// Appends what is there; false once all writers closed. Beyond the bound it reads and forgets,
/// so that the child does not block.
bool drain(int fd, std::string& output) {
  std::array<char, 16384> piece{};
  for (;;) {
    const auto got = ::read(fd, piece.data(), piece.size());
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    output.append(piece.data(), std::min(static_cast<std::size_t>(got), kOutputBytesMax - output.size()));
  }
}

void wait_readable(int fd, milliseconds timeout) {
  pollfd entry{fd, POLLIN, 0};
  ::poll(&entry, 1, static_cast<int>(timeout.count()));
}

struct StatFields {
  char state = 'X';
  std::uint64_t start_ticks = 0;
};

/// Field 2 is the program's name in parentheses and may itself hold blanks and parentheses, so
/// fields are counted from the last ')'.
std::optional<StatFields> read_stat(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  StatFields fields;
  std::size_t at = name_end + 1;
  for (int field = 3; field <= 22; ++field) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string::npos) return std::nullopt;
    if (field == 3) fields.state = text[at];
    if (field == 22) fields.start_ticks = std::strtoull(text.c_str() + at, nullptr, 10);
    at = text.find(' ', at);
  }
  return fields;
}

}  // namespace

Result<pid_t> start_process(const ProcessOptions& options) {
  FileDescriptor log;
  if (!options.log_file.empty()) {
    VERGE_TRY(const int fd, open_log(options.log_file));
    log.reset(fd);
  }
  return spawn(options, log.get(), options.own_session ? POSIX_SPAWN_SETSID : 0);
}

Result<ProcessOutput> run_process(ProcessOptions options, milliseconds timeout) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error{ErrorCode::unavailable, fmt::format("make a pipe: {}", std::strerror(errno))};
  }
  FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  // In a process group of its own, so that a timeout ends its children too.
  VERGE_TRY(const pid_t pid, spawn(options, writer.get(), POSIX_SPAWN_SETPGROUP));
  writer.reset();

  ProcessOutput result;
  bool is_open = true;
  const auto deadline = steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    if (is_open) {
      wait_readable(reader.get(), std::clamp(left, milliseconds(0), milliseconds(20)));
      is_open = drain(reader.get(), result.output);
    } else {
      std::this_thread::sleep_for(milliseconds(1));  // it closed its output and is about to end
    }
    if (const auto exit_code = try_reap(pid)) {
      if (is_open) drain(reader.get(), result.output);  // a grandchild may hold the pipe open for ever
      result.exit_code = *exit_code;
      return result;
    }
    if (left <= milliseconds(0)) {
      kill_group_and_reap(pid);
      return Error{ErrorCode::timeout, fmt::format("run \"{}\": no end within {} ms; it was killed",
                                                   options.arguments[0], timeout.count())};
    }
  }
}

bool is_alive(pid_t pid, std::uint64_t start_ticks) {
  const auto stat = pid > 0 ? read_stat(pid) : std::nullopt;
  if (!stat || stat->state == 'Z' || stat->state == 'X') return false;
  return start_ticks == 0 || stat->start_ticks == start_ticks;
}

std::uint64_t process_start_ticks(pid_t pid) {
  const auto stat = read_stat(pid);
  return stat ? stat->start_ticks : 0;
}

std::filesystem::path program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace verge
