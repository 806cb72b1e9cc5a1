#include "connectors/camera/multipart_reader.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/http.h"

namespace verge::connectors {
namespace {

std::string delimiter_of(std::string_view content_type) {
  while (!content_type.empty()) {
    const auto end = std::min(content_type.find(';'), content_type.size());
    const std::string_view field = trimmed(content_type.substr(0, end));
    content_type.remove_prefix(std::min(end + 1, content_type.size()));
    const auto equals = field.find('=');
    if (equals == std::string_view::npos || !equal_ignoring_case(trimmed(field.substr(0, equals)), "boundary")) {
      continue;
    }
    std::string_view value = trimmed(field.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (value.empty()) return {};
    return value.starts_with("--") ? std::string(value) : "--" + std::string(value);
  }
  return {};
}

/// Nothing when there is none that makes sense.
std::optional<std::size_t> length_in(std::string_view head) {
  while (!head.empty()) {
    const auto end = std::min(head.find('\n'), head.size());
    const std::string_view line = trimmed(head.substr(0, end));
    head.remove_prefix(std::min(end + 1, head.size()));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !equal_ignoring_case(line.substr(0, colon), "content-length")) continue;
    const std::string_view digits = trimmed(line.substr(colon + 1));
    std::size_t bytes = 0;
    const auto [at, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
    if (problem != std::errc() || at != digits.data() + digits.size() || bytes == 0) return std::nullopt;
    return bytes;
  }
  return std::nullopt;
}

}  // namespace

MultipartReader::MultipartReader(std::string_view content_type) : delimiter_(delimiter_of(content_type)) {}

Status MultipartReader::put(std::string_view bytes, const OnPart& on_part) {
  held_ += bytes;
  for (;;) {
    VERGE_TRY(const bool goes_on, step(on_part));
    if (!goes_on) return Done{};
  }
}

Result<bool> MultipartReader::step(const OnPart& on_part) {
  switch (state_) {
    case State::delimiter:
      return find_delimiter();
    case State::head:
      return take_head();
    case State::counted_body:
      return take_counted_body(on_part);
    case State::body:
      return take_body(on_part);
  }
  return false;
}

/// Passes over everything up to a line that is the delimiter.
Result<bool> MultipartReader::find_delimiter() {
  for (;;) {
    const auto end = held_.find('\n');
    if (end == std::string::npos) {
      // A line this long is garbage; its end is told by the next line.
      if (held_.size() > kHeadBytesMax) held_.clear();
      return false;
    }
    const std::string_view line = trimmed(std::string_view(held_).substr(0, end));
    const bool is_found = delimiter_.empty() ? line.size() > 2 && line.starts_with("--") : line == delimiter_;
    if (is_found && delimiter_.empty()) delimiter_ = line;
    held_.erase(0, end + 1);
    if (!is_found) continue;
    state_ = State::head;
    return true;
  }
}

Result<bool> MultipartReader::take_head() {
  std::size_t end = held_.find("\r\n\r\n"), after = end + 4;
  // A head without fields is an empty line; some cameras end lines with \n alone.
  if (const auto bare = held_.find("\n\n"); bare < end) end = bare, after = bare + 2;
  if (held_.starts_with("\r\n")) end = 0, after = 2;
  if (held_.starts_with("\n")) end = 0, after = 1;
  if (end == std::string::npos) {
    if (held_.size() <= kHeadBytesMax) return false;
    return Error{ErrorCode::limit, "the head of a part is over 16 KiB"};
  }
  const auto length = length_in(std::string_view(held_).substr(0, end));
  held_.erase(0, after);
  searched_ = 0;
  part_bytes_ = length.value_or(0);
  state_ = length ? State::counted_body : State::body;
  if (part_bytes_ > kPartBytesMax) return Error{ErrorCode::limit, "a part is over 32 MiB"};
  return true;
}

Result<bool> MultipartReader::take_counted_body(const OnPart& on_part) {
  if (held_.size() < part_bytes_) return false;
  VERGE_CHECK(on_part(std::string_view(held_).substr(0, part_bytes_)));
  held_.erase(0, part_bytes_);
  state_ = State::delimiter;
  return true;
}

Result<bool> MultipartReader::take_body(const OnPart& on_part) {
  const std::string end_mark = "\n" + delimiter_;
  const auto end = held_.find(end_mark, searched_);
  if (end == std::string::npos) {
    if (held_.size() > kPartBytesMax) return Error{ErrorCode::limit, "a part is over 32 MiB"};
    searched_ = held_.size() > end_mark.size() ? held_.size() - end_mark.size() : 0;
    return false;
  }
  const std::size_t bytes = end > 0 && held_[end - 1] == '\r' ? end - 1 : end;
  if (bytes > 0) VERGE_CHECK(on_part(std::string_view(held_).substr(0, bytes)));
  held_.erase(0, end + 1);
  state_ = State::delimiter;
  return true;
}

}  // namespace verge::connectors
