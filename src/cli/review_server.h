// cli/review_server.h -- the page on which a person corrects a dataset of transcripts, served on loopback only.
//
// Whoever opens the address with its one-time token gets a session cookie; a token works once, all else is answered
// 401. A request whose Host is not ours is refused (DNS rebinding), so is a change without the page's header (another
// site's page). A change is answered after it is synced. The calls are in docs/formats/dataset.md. Threads: everything
// on the loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "audio/transcripts/dataset.h"
#include "base/loop.h"
#include "base/result.h"

namespace verge::cli {

/// Of the page, by its path below web/: "review/index.html".
struct PageFile {
  std::string_view name, bytes;
};

class ReviewServer {
 public:
  static constexpr std::size_t kClipsListedMax = 2000;  ///< The most doubtful; a person does not read more in a day.

  /// dataset must be open for changes and outlive the server. Errors: unavailable when the port is taken.
  static Result<std::unique_ptr<ReviewServer>> start(Loop& loop, audio::Dataset& dataset, std::vector<PageFile> page,
                                                     std::uint16_t port);
  ~ReviewServer();
  std::uint16_t port() const;
  /// "http://127.0.0.1:PORT/?token=…"; works once.
  std::string address() const;

 private:
  struct Impl;
  explicit ReviewServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace verge::cli
