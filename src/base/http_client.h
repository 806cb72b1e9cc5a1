// base/http_client.h -- blocking HTTP calls over TCP, TLS or a unix socket (libcurl inside; local_http.h is without).
//
// Threads: call from worker threads, never from the loop's.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/result.h"

namespace verge {

struct HttpCall {
  std::string method = "GET";
  std::string url{};  ///< "https://host:port/path", or with unix_socket "http://engine/v1.41/…".
  HttpHeaders headers{};
  std::string body{};
  std::filesystem::path upload_file{};  ///< Not empty: the file is the body (streamed).
  std::filesystem::path unix_socket{};
  std::string trust_pem{};                    ///< Empty: the system's bundle.
  std::string certificate_pem{}, key_pem{};   ///< A client certificate, when both are set.
  bool follow_redirects = false;              ///< Up to 5; credentials in headers stay with the first host.
  std::chrono::milliseconds timeout{30'000};  ///< Whole call; 0 for none (event streams).
  std::chrono::milliseconds connect_timeout{5'000};
  std::size_t body_bytes_max = 64U << 20U;  ///< Of the answer, when no `sink` is given.
  /// Gets the answer's body in pieces instead of HttpResponse::body; return false to end the call
  /// (then fetch returns what it has). Called only for 2xx answers.
  std::function<bool(std::string_view piece)> sink{};
  /// Polled about once a second; return true to cancel (error: unavailable).
  std::function<bool()> is_cancelled{};
};

/// Any HTTP status is a success here; see require_success. Errors: unavailable (no connection, TLS
/// failure; the message names the host), timeout, limit.
Result<HttpResponse> fetch(const HttpCall& call);

/// The response if its status is 2xx; else an error whose code fits the status and whose message
/// holds the server's own words (Azure's Message, our message, Docker's message), at most 500 bytes.
Result<HttpResponse> require_success(Result<HttpResponse> response, std::string_view doing);

}  // namespace verge
