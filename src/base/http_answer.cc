#include "base/http_answer.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/bytes.h"

namespace verge {
namespace {

Error bad_answer(std::string_view what) {
  return {ErrorCode::corrupt, fmt::format("the answer is no HTTP answer: {}", what)};
}

/// "HTTP/1.1 200 OK" → 200.
Result<int> status_of(std::string_view line) {
  int status = 0;
  const bool is_http = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ';
  if (is_http) std::from_chars(line.data() + 9, line.data() + 12, status);
  if (status < 100 || status > 599) return bad_answer("its first line is wrong");
  return status;
}

}  // namespace

Status HttpAnswerReader::put(std::string_view bytes) {
  while (!bytes.empty() && state_ != State::done) {
    if (state_ != State::head) return take_body(bytes);
    const std::size_t before = head_.size();
    head_ += bytes;
    const auto end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
    const std::size_t head_bytes = end == std::string::npos ? head_.size() : end + 4;
    if (head_bytes_ + head_bytes > bounds_.head_bytes_max) {
      return Error{ErrorCode::limit, fmt::format("the answer's head is larger than {} bytes", bounds_.head_bytes_max)};
    }
    if (end == std::string::npos) return Done{};
    bytes.remove_prefix(head_bytes - before);
    head_.resize(end + 2);
    head_bytes_ += head_bytes;
    VERGE_CHECK(take_head());
  }
  return Done{};
}

Status HttpAnswerReader::end() {
  if (state_ == State::endless_body) state_ = State::done;
  if (state_ == State::done) return Done{};
  return Error{ErrorCode::unavailable, "the connection ended before the answer did"};
}

Status HttpAnswerReader::take_head() {
  const std::string head = std::move(head_);
  head_.clear();
  response_ = {};
  std::size_t at = head.find("\r\n");
  VERGE_TRY(response_.status, status_of(std::string_view(head).substr(0, at)));
  for (at += 2; at < head.size();) {
    const auto end = head.find("\r\n", at);
    const auto line = std::string_view(head).substr(at, end - at);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bad_answer("a header field has no name");
    response_.headers.add(line.substr(0, colon), trimmed(line.substr(colon + 1), " \t"));
    at = end + 2;
  }
  if (response_.status < 200) return Done{};  // An interim answer: the next head follows.
  return plan_body();
}

Status HttpAnswerReader::plan_body() {
  const auto length = response_.headers.get("Content-Length");
  if (is_head_ || response_.status == 204 || response_.status == 304) {
    state_ = State::done;
  } else if (response_.headers.has("Transfer-Encoding")) {
    if (!equal_ignoring_case(response_.headers.get("Transfer-Encoding"), "chunked")) {
      return bad_answer("its transfer encoding is not chunked");
    }
    state_ = State::chunked_body;
  } else if (!response_.headers.has("Content-Length")) {
    state_ = State::endless_body;
  } else {
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), left_bytes_);
    if (error != std::errc() || end != length.data() + length.size()) return bad_answer("its length is no number");
    state_ = left_bytes_ == 0 ? State::done : State::counted_body;
  }
  return Done{};
}

Status HttpAnswerReader::take_body(std::string_view bytes) {
  const auto keep = [this](std::string_view piece) {
    if (response_.body.size() + piece.size() > bounds_.body_bytes_max) return false;
    response_.body += piece;
    return true;
  };
  const Error too_large{ErrorCode::limit, fmt::format("the answer is larger than {} bytes", bounds_.body_bytes_max)};
  if (state_ == State::chunked_body) {
    bool fits = true;
    chunks_.put(bytes, [&](std::string_view piece) { return fits = keep(piece); });
    if (!fits) return too_large;
    if (chunks_.has_failed()) return bad_answer("its chunks are wrong");
    if (chunks_.is_done()) state_ = State::done;
    return Done{};
  }
  if (state_ == State::counted_body)
    bytes = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_bytes_)));
  if (!keep(bytes)) return too_large;
  if (state_ == State::counted_body && (left_bytes_ -= bytes.size()) == 0) state_ = State::done;
  return Done{};
}

}  // namespace verge
