#include "base/log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

#include "base/time.h"

namespace verge {
namespace {

constexpr std::size_t kTextBytesMax = 4096;  // of the message and of each value
constexpr std::array<std::string_view, 4> kLevelNames{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 4> kSecretKeys{"key", "token", "password", "signature"};

LogLevel level_from_environment() {
  const char* wanted = std::getenv("VERGE_LOG");
  if (wanted == nullptr) return LogLevel::info;
  const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), std::string_view(wanted));
  return found == kLevelNames.end() ? LogLevel::info : static_cast<LogLevel>(found - kLevelNames.begin());
}

std::atomic<LogLevel>& level_now() {
  static std::atomic<LogLevel> level{level_from_environment()};
  return level;
}

/// Escapes what would break the line or hide in a terminal; quotes are added by the caller.
void append_escaped(std::string& line, std::string_view text) {
  const bool is_cut = text.size() > kTextBytesMax;
  for (const char c : text.substr(0, kTextBytesMax)) {
    if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  if (is_cut) line += "...";
}

bool needs_quotes(std::string_view value) {
  return value.empty() || value.find_first_of(" =\"\\\n\t") != std::string_view::npos;
}

void append_value(std::string& line, std::string_view value) {
  if (!needs_quotes(value)) return append_escaped(line, value);
  std::string quoted;
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  line += '"';
  append_escaped(line, quoted);
  line += '"';
}

void append_field(std::string& line, const LogField& field) {
  const bool is_secret = std::find(kSecretKeys.begin(), kSecretKeys.end(), field.key) != kSecretKeys.end();
  line += ' ';
  line += field.key;
  line += '=';
  append_value(line, is_secret ? std::string_view("***") : std::string_view(field.value));
}

/// One write(2), so that lines of threads and of processes that share the file never mix.
void write_line(std::string_view line) {
  while (!line.empty()) {
    const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written <= 0) return;  // nobody listens; there is nowhere to say so
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void set_log_level(LogLevel level) { level_now().store(level, std::memory_order_relaxed); }

LogLevel log_level() { return level_now().load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view part, std::string_view message, LogFields fields) {
  if (level < log_level()) return;
  std::string time = to_iso8601(system_clock().now_us());
  time.replace(time.size() - 4, 4, "Z");  // milliseconds are enough to read
  std::string line = fmt::format("{} {:5} {}: ", time, kLevelNames.at(static_cast<std::size_t>(level)), part);
  append_escaped(line, message);
  for (const auto& field : fields) append_field(line, field);
  line += '\n';
  write_line(line);
}

}  // namespace verge
