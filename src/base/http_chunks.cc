#include "base/http_chunks.h"

#include <algorithm>

namespace verge {
namespace {

constexpr unsigned kDigitsMax = 15;               // sizes below 2^60
constexpr std::size_t kSkippedBytesMax = 16'384;  // a client must not keep us busy with nothing

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t HttpChunkReader::put(std::string_view bytes, const OnBody& on_body) {
  std::size_t taken = 0;
  while (taken < bytes.size() && !is_done() && !has_failed()) {
    if (state_ != State::data) {
      state_ = after(bytes[taken++]);
      continue;
    }
    const auto count = std::min<std::uint64_t>(bytes.size() - taken, left_bytes_);
    const auto piece = bytes.substr(taken, static_cast<std::size_t>(count));
    taken += piece.size();
    left_bytes_ -= count;
    if (left_bytes_ == 0) state_ = State::data_return;
    if (!on_body(piece)) state_ = State::failed;
  }
  return taken;
}

HttpChunkReader::State HttpChunkReader::after(char c) {
  const auto expect = [c](char wanted, State next) { return c == wanted ? next : State::failed; };
  const auto skip_until_return = [&](State same, State next) {
    if (c == '\r') return next;
    return c == '\n' || ++skipped_bytes_ > kSkippedBytesMax ? State::failed : same;
  };
  switch (state_) {
    case State::size:
      return after_size(c);
    case State::extension:
      return skip_until_return(State::extension, State::size_end);
    case State::size_end:
      return expect('\n', left_bytes_ == 0 ? State::trailer_start : State::data);
    case State::data_return:
      return expect('\r', State::data_end);
    case State::data_end:
      digit_count_ = 0;
      return expect('\n', State::size);
    case State::trailer_start:
      return skip_until_return(State::trailer, State::end);
    case State::trailer:
      return skip_until_return(State::trailer, State::trailer_end);
    case State::trailer_end:
      return expect('\n', State::trailer_start);
    case State::end:
      return expect('\n', State::done);
    case State::data:
    case State::done:
    case State::failed:
      return state_;
  }
  return State::failed;
}

HttpChunkReader::State HttpChunkReader::after_size(char c) {
  if (const int digit = hex_value(c); digit >= 0) {
    left_bytes_ = left_bytes_ * 16 + static_cast<unsigned>(digit);
    return ++digit_count_ > kDigitsMax ? State::failed : State::size;
  }
  if (digit_count_ == 0) return State::failed;
  if (c == '\r') return State::size_end;
  return c == ';' || c == ' ' || c == '\t' ? State::extension : State::failed;
}

}  // namespace verge
