// connectors/camera/multipart_reader.h -- takes the pictures out of a multipart stream (motion JPEG over HTTP).
//
// Source: RFC 2046 section 5.1, as cameras use it: multipart/x-mixed-replace. Cameras write the boundary with or
// without its two dashes, with or without quotes, and some leave the length out; garbage between parts is passed over.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::connectors {

class MultipartReader {
 public:
  static constexpr std::size_t kHeadBytesMax = 16U << 10U;
  static constexpr std::size_t kPartBytesMax = 32U << 20U;  ///< A JPEG of 8192 x 8192.
  /// Gets a part's body; it is gone after the call.
  using OnPart = std::function<Status(std::string_view body)>;

  /// content_type: of the whole answer; a boundary that it does not name is the first line that begins with "--".
  explicit MultipartReader(std::string_view content_type);

  /// Takes the next bytes. Errors: limit (a head or part over its bound), those of on_part.
  Status put(std::string_view bytes, const OnPart& on_part);

 private:
  enum class State : std::uint8_t { delimiter, head, counted_body, body };
  /// False when it needs more bytes.
  Result<bool> step(const OnPart& on_part);
  Result<bool> find_delimiter();
  Result<bool> take_head();
  Result<bool> take_counted_body(const OnPart& on_part);
  Result<bool> take_body(const OnPart& on_part);

  State state_ = State::delimiter;
  std::string delimiter_;  ///< With its dashes; empty while unknown.
  std::string held_;
  std::size_t searched_ = 0;  ///< Bytes of held_ in which a body's end was looked for.
  std::size_t part_bytes_ = 0;
};

}  // namespace verge::connectors
