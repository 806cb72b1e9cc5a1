#include "base/http_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>

#include "base/http_chunks.h"

namespace verge {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using LibraryError = beast::error_code;
using LibraryText = beast::string_view;

std::string_view view_of(LibraryText text) { return {text.data(), text.size()}; }

}  // namespace

struct HttpRequestParser::Impl final : http::basic_parser<true> {
  explicit Impl(OnBody on_body_piece) : on_body(std::move(on_body_piece)) {}

  void on_request_impl(http::verb, LibraryText method, LibraryText target, int http_version,
                       LibraryError& error) override {
    request.method = view_of(method);
    is_1_0 = http_version < 11;
    if (const Status parsed = set_target(request, view_of(target)); !parsed) {
      error_text = parsed.error().message;
      error = http::error::bad_target;
    }
  }
  void on_response_impl(int, LibraryText, int, LibraryError&) override {}
  void on_field_impl(http::field, LibraryText name, LibraryText value, LibraryError&) override {
    request.headers.add(view_of(name), view_of(value));
  }
  void on_header_impl(LibraryError&) override {}
  // The library reads heads only; bodies are read below.
  void on_body_init_impl(const boost::optional<std::uint64_t>&, LibraryError&) override {}
  std::size_t on_body_impl(LibraryText piece, LibraryError&) override { return piece.size(); }
  void on_chunk_header_impl(std::uint64_t, LibraryText, LibraryError&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, LibraryText piece, LibraryError&) override { return piece.size(); }
  void on_finish_impl(LibraryError&) override {}

  std::size_t put_head(std::string_view bytes) {
    LibraryError error;
    const std::size_t taken = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    if (error == http::error::need_more) return taken;
    if (error) {
      fail(error);
    } else if (is_done()) {
      state = State::done;
    } else if (is_header_done()) {
      state = State::body;
      left_bytes = content_length().value_or(0);
    }
    return taken;
  }

  std::size_t put_body(std::string_view bytes) {
    if (chunked()) {
      const std::size_t taken = chunks.put(bytes, on_body);
      if (chunks.is_done()) state = State::done;
      if (chunks.has_failed()) fail(http::error::bad_chunk);
      return taken;
    }
    const auto piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_bytes)));
    left_bytes -= piece.size();
    if (left_bytes == 0) state = State::done;
    if (!on_body(piece)) fail(http::error::body_limit);
    return piece.size();
  }

  void fail(const LibraryError& error) {
    state = State::failed;
    error_status = error == http::error::header_limit ? 431 : 400;
    if (error_text.empty()) error_text = "read the request: " + error.message();
  }

  OnBody on_body;
  HttpChunkReader chunks;
  std::uint64_t left_bytes = 0;  // of a body with a stated length
  HttpRequest request;
  State state = State::head;
  int error_status = 0;
  std::string error_text;
  bool is_1_0 = false;
};

HttpRequestParser::HttpRequestParser(std::size_t header_bytes_max, OnBody on_body)
    : impl_(std::make_unique<Impl>(std::move(on_body))) {
  impl_->header_limit(static_cast<std::uint32_t>(header_bytes_max));
  // The plan for the body is made after the head. (Boost 1.74 takes "no limit" for zero.)
  impl_->body_limit(std::numeric_limits<std::uint64_t>::max());
}
HttpRequestParser::~HttpRequestParser() = default;

std::size_t HttpRequestParser::put(std::string_view bytes) {
  if (bytes.empty()) return 0;
  if (impl_->state == State::head) return impl_->put_head(bytes);
  if (impl_->state == State::body) return impl_->put_body(bytes);
  return 0;
}

HttpRequestParser::State HttpRequestParser::state() const { return impl_->state; }
HttpRequest& HttpRequestParser::request() { return impl_->request; }
bool HttpRequestParser::is_keep_alive() const { return impl_->keep_alive(); }
bool HttpRequestParser::is_http_1_0() const { return impl_->is_1_0; }
int HttpRequestParser::error_status() const { return impl_->error_status; }
const std::string& HttpRequestParser::error_text() const { return impl_->error_text; }

std::optional<std::uint64_t> HttpRequestParser::content_length() const {
  const auto length = impl_->content_length();
  return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}

}  // namespace verge
