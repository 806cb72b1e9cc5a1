// packaging/gzip.h -- gzip in pieces, the same bytes for the same input.
//
// Source: RFC 1952; no time, no name, operating system 255 (unknown). Threads: one stream by one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::packaging {

class GzipWriter {
 public:
  using Sink = std::function<Status(std::string_view piece)>;
  GzipWriter(Sink sink, int level);
  ~GzipWriter();
  Status write(std::string_view bytes);
  Status finish();

 private:
  Status deflate_all(int flush);
  struct State;
  std::unique_ptr<State> state_;
  Sink sink_;
};

/// Unpacks one gzip text. Errors: corrupt, limit.
Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max);

}  // namespace verge::packaging
