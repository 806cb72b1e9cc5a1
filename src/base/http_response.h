// base/http_response.h -- turns an answer into the bytes for the wire; private to base.
//
// Source: RFC 9110 sections 8, 14 (ranges), 15. Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "base/http.h"

namespace verge {

/// A file being sent. Owns its descriptor.
class FileSlice {
 public:
  FileSlice() = default;
  FileSlice(int fd, std::uint64_t size_bytes) : fd_(fd), end_(size_bytes) {}
  ~FileSlice();
  FileSlice(FileSlice&& other) noexcept;
  FileSlice& operator=(FileSlice&& other) noexcept;

  std::uint64_t left_bytes() const { return end_ - offset_; }
  /// From `first` to `last`, both included; only before the first read.
  void narrow(std::uint64_t first, std::uint64_t last) { offset_ = first, end_ = last + 1; }
  /// The next piece, at most `count` bytes. Errors: unavailable, also when the file became shorter.
  Result<std::string> read(std::size_t count);

 private:
  int fd_ = -1;
  std::uint64_t offset_ = 0;
  std::uint64_t end_ = 0;
};

struct OutgoingResponse {
  std::string head;  ///< Up to and including the empty line.
  std::string body;
  FileSlice file;        ///< Follows the head when it has bytes left.
  bool is_last = false;  ///< The connection must end afterwards.
};

/// What to send for `response` to `request`; `keep_alive` is the client's wish. Handles HEAD, statuses
/// without a body, and Range for files. A file that cannot be opened becomes a 404 or 500.
OutgoingResponse prepare_response(const HttpRequest& request, HttpResponse response, bool keep_alive);

/// An answer for an error found before or beside the request's handler: {"message": ...}.
HttpResponse error_response(int status, std::string_view message);

}  // namespace verge
