// base/log.h -- one line per fact on standard error: time, level, part, message, key=value pairs.
//
//   log_info("outbox", "opened", {{"messages", 12}, {"bytes", 4096}});
//   2026-11-22T15:04:05.123Z info  outbox: opened messages=12 bytes=4096
//
// Never log a secret; keys named key, token, password or signature are printed as "***".
// Log an error once, where it is handled. Threads: call from anywhere; lines never interleave.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Lines below this level are dropped. Default info; VERGE_LOG=debug|info|warning|error sets it at start.
void set_log_level(LogLevel level);
LogLevel log_level();

struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const char* text) : key(name), value(text) {}
  LogField(std::string_view name, const std::string& text) : key(name), value(text) {}
  LogField(std::string_view name, bool fact) : key(name), value(fact ? "true" : "false") {}
  template <class Number>
  requires(std::is_arithmetic_v<Number>) LogField(std::string_view name, Number number)
      : key(name), value(std::to_string(number)) {}
};
using LogFields = std::initializer_list<LogField>;

void log_line(LogLevel level, std::string_view part, std::string_view message, LogFields fields = {});
inline void log_debug(std::string_view part, std::string_view message, LogFields fields = {}) {
  log_line(LogLevel::debug, part, message, fields);
}
inline void log_info(std::string_view part, std::string_view message, LogFields fields = {}) {
  log_line(LogLevel::info, part, message, fields);
}
inline void log_warning(std::string_view part, std::string_view message, LogFields fields = {}) {
  log_line(LogLevel::warning, part, message, fields);
}
inline void log_error(std::string_view part, const Error& error, LogFields fields = {}) {
  log_line(LogLevel::error, part, error.message, fields);
}

}  // namespace verge
