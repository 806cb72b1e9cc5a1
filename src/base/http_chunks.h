// base/http_chunks.h -- takes the framing off a chunked body, however the bytes are cut; private to base.
//
// Source: RFC 9112 section 7.1. Extensions and trailer fields are skipped. Line ends are CR LF only.
// Boost 1.74's own reader stops the program when a last chunk arrives in certain pieces.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace verge {

class HttpChunkReader {
 public:
  /// Return false to fail.
  using OnBody = std::function<bool(std::string_view piece)>;

  /// Returns how much it took: everything, or up to the body's end or the first fault.
  std::size_t put(std::string_view bytes, const OnBody& on_body);
  bool is_done() const { return state_ == State::done; }
  bool has_failed() const { return state_ == State::failed; }

 private:
  enum class State : std::uint8_t {
    size,
    extension,
    size_end,
    data,
    data_return,
    data_end,
    trailer_start,
    trailer,
    trailer_end,
    end,
    done,
    failed,
  };
  State after(char c);
  State after_size(char c);

  State state_ = State::size;
  std::uint64_t left_bytes_ = 0;   // of the chunk
  unsigned digit_count_ = 0;       // of the size
  std::size_t skipped_bytes_ = 0;  // extensions and trailer fields of the whole body
};

}  // namespace verge
