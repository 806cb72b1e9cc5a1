#include "base/http_response.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utility>

#include "base/json.h"

namespace verge {
namespace {

struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // included
};

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

enum class RangeAnswer : std::uint8_t { whole, part, none };

/// One range of bytes, the only form that matters for resuming; several at once get the whole file.
RangeAnswer read_range(std::string_view header, std::uint64_t size, Range& range) {
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return RangeAnswer::whole;
  header.remove_prefix(kUnit.size());
  const auto dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return RangeAnswer::whole;
  const auto first = number_in(header.substr(0, dash));
  const auto last = number_in(header.substr(dash + 1));
  if (!first && dash != 0) return RangeAnswer::whole;
  if (!last && dash + 1 != header.size()) return RangeAnswer::whole;
  if (!first && !last) return RangeAnswer::whole;
  if (!first) {  // the last N bytes
    if (*last == 0 || size == 0) return RangeAnswer::none;
    range = {size - std::min(*last, size), size - 1};
    return RangeAnswer::part;
  }
  if (last && *last < *first) return RangeAnswer::whole;
  if (*first >= size) return RangeAnswer::none;
  range = {*first, std::min(last.value_or(size - 1), size - 1)};
  return RangeAnswer::part;
}

/// If-Range: the part only if the file is still the one that the client began with.
bool range_applies(const HttpRequest& request, const HttpResponse& response) {
  if (request.method != "GET" || response.status != 200 || !request.headers.has("Range")) return false;
  const auto condition = request.headers.get("If-Range");
  return condition.empty() || condition == response.headers.get("ETag");
}

void apply_range(const HttpRequest& request, HttpResponse& response, FileSlice& file) {
  response.headers.set("Accept-Ranges", "bytes");
  if (!range_applies(request, response)) return;
  const std::uint64_t size = file.left_bytes();
  Range range;
  switch (read_range(request.headers.get("Range"), size, range)) {
    case RangeAnswer::whole:
      return;
    case RangeAnswer::none:
      response.status = 416;
      response.headers.set("Content-Range", fmt::format("bytes */{}", size));
      file = FileSlice();
      return;
    case RangeAnswer::part:
      response.status = 206;
      response.headers.set("Content-Range", fmt::format("bytes {}-{}/{}", range.first, range.last, size));
      file.narrow(range.first, range.last);
      return;
  }
}

Result<FileSlice> open_slice(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    const int number = fd < 0 ? errno : EISDIR;
    if (fd >= 0) ::close(fd);
    return Error{number == ENOENT ? ErrorCode::not_found : ErrorCode::internal,
                 fmt::format("send file \"{}\": {}", path.filename().string(), std::strerror(number))};
  }
  return FileSlice(fd, static_cast<std::uint64_t>(status.st_size));
}

/// "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
std::string date_now() {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays.substr(std::size_t(utc.tm_wday) * 3, 3),
                     utc.tm_mday, kMonths.substr(std::size_t(utc.tm_mon) * 3, 3), utc.tm_year + 1900, utc.tm_hour,
                     utc.tm_min, utc.tm_sec);
}

/// A handler may put texts of others into a header; a line break there would forge headers.
void append_field(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) head += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  head += "\r\n";
}

bool is_set_by_us(std::string_view name) {
  return equal_ignoring_case(name, "Content-Length") || equal_ignoring_case(name, "Connection") ||
         equal_ignoring_case(name, "Transfer-Encoding");
}

std::string head_of(const HttpResponse& response, std::optional<std::uint64_t> length, bool is_last) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  for (const auto& [name, value] : response.headers.all()) {
    if (!is_set_by_us(name)) append_field(head, name, value);
  }
  if (!response.headers.has("Date")) append_field(head, "Date", date_now());
  if (length) append_field(head, "Content-Length", std::to_string(*length));
  // Said also to clients of HTTP/1.0, which close otherwise.
  append_field(head, "Connection", is_last ? "close" : "keep-alive");
  head += "\r\n";
  return head;
}

/// A handler may answer HEAD with the length its body would have.
std::optional<std::uint64_t> length_for_head(const HttpResponse& response, std::uint64_t length) {
  const auto stated = number_in(response.headers.get("Content-Length"));
  return stated ? stated : length;
}

}  // namespace

FileSlice::~FileSlice() {
  if (fd_ >= 0) ::close(fd_);
}
FileSlice::FileSlice(FileSlice&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), offset_(std::exchange(other.offset_, 0)), end_(std::exchange(other.end_, 0)) {}
FileSlice& FileSlice::operator=(FileSlice&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(offset_, other.offset_);
  std::swap(end_, other.end_);
  return *this;
}

Result<std::string> FileSlice::read(std::size_t count) {
  std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(count, left_bytes())), '\0');
  ssize_t got = -1;
  do {
    got = ::pread(fd_, piece.data(), piece.size(), static_cast<off_t>(offset_));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return Error{ErrorCode::unavailable, "send a file: it cannot be read to its end"};
  piece.resize(static_cast<std::size_t>(got));
  offset_ += piece.size();
  return piece;
}

HttpResponse error_response(int status, std::string_view message) {
  return json_response(Json{{"message", message}}, status);
}

OutgoingResponse prepare_response(const HttpRequest& request, HttpResponse response, bool keep_alive) {
  OutgoingResponse out;
  if (response.file) {
    auto file = open_slice(*response.file);
    if (file) {
      response.body.clear();
      out.file = std::move(*file);
      apply_range(request, response, out.file);
    } else {
      response = error_response(file.error().code == ErrorCode::not_found ? 404 : 500, file.error().message);
    }
  }
  out.is_last = !keep_alive || equal_ignoring_case(response.headers.get("Connection"), "close");
  const bool has_no_body = response.status == 204 || response.status == 304 || response.status < 200;
  const std::uint64_t length = out.file.left_bytes() + response.body.size();
  std::optional<std::uint64_t> stated;
  if (!has_no_body) stated = request.method == "HEAD" ? length_for_head(response, length) : length;
  out.head = head_of(response, stated, out.is_last);
  if (has_no_body || request.method == "HEAD") {
    out.file = FileSlice();
  } else {
    out.body = std::move(response.body);
  }
  return out;
}

}  // namespace verge
