// base/http_parser.h -- reads one HTTP/1.x request from bytes as they come; private to base.
//
// Source: RFC 9112. Heads are read by Boost.Beast (http_parser.cc is the only file that includes it),
// bodies by us.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/http.h"

namespace verge {

class HttpRequestParser {
 public:
  enum class State : std::uint8_t {
    head,    ///< Needs more bytes of the head.
    body,    ///< The head is complete, the body is not.
    done,    ///< The request is complete; what follows belongs to the next.
    failed,  ///< See error_status(); the stream cannot go on.
  };
  /// Gets the body's pieces, without chunk framing. Return false to fail.
  using OnBody = std::function<bool(std::string_view piece)>;

  HttpRequestParser(std::size_t header_bytes_max, OnBody on_body);
  ~HttpRequestParser();
  HttpRequestParser(const HttpRequestParser&) = delete;
  HttpRequestParser& operator=(const HttpRequestParser&) = delete;

  /// Takes a prefix of `bytes` and says how much; pass the rest again together with what comes.
  /// Stops once between head and body, so that the head can be looked at.
  std::size_t put(std::string_view bytes);

  State state() const;
  HttpRequest& request();
  bool is_keep_alive() const;
  bool is_http_1_0() const;
  /// Nothing for a chunked body or none at all.
  std::optional<std::uint64_t> content_length() const;
  /// 400 or 431, valid when failed.
  int error_status() const;
  const std::string& error_text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge
