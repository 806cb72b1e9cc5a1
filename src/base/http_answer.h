// base/http_answer.h -- reads one HTTP/1.x answer from bytes as they come; private to base.
//
// Source: RFC 9112 sections 4 to 6. Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/http_chunks.h"

namespace verge {

class HttpAnswerReader {
 public:
  struct Bounds {
    std::size_t head_bytes_max = 64U << 10U;  ///< Of all heads together: interim answers (1xx) have some, too.
    std::size_t body_bytes_max = 64U << 20U;
  };
  /// is_head: the answer to a HEAD request, which has no body whatever its fields say.
  HttpAnswerReader(Bounds bounds, bool is_head) : bounds_(bounds), is_head_(is_head) {}

  /// Takes the next bytes; what follows the answer is dropped. Errors: corrupt, limit; then nothing more may be put.
  Status put(std::string_view bytes);
  /// The peer sent its last byte: ends a body without a length. Errors: unavailable when the answer was not complete.
  Status end();
  bool is_done() const { return state_ == State::done; }
  HttpResponse& response() { return response_; }

 private:
  enum class State : std::uint8_t { head, counted_body, chunked_body, endless_body, done };
  Status take_head();
  Status plan_body();
  Status take_body(std::string_view bytes);

  const Bounds bounds_;
  const bool is_head_;
  State state_ = State::head;
  std::string head_;
  std::size_t head_bytes_ = 0;
  std::uint64_t left_bytes_ = 0;
  HttpChunkReader chunks_;
  HttpResponse response_;
};

}  // namespace verge
