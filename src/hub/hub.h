// hub/hub.h -- the whole server: builds its parts, connects them, listens.
//
// Threads: start(), stop() and the destructor on a thread while the loop does not run, or on the loop's thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/time.h"

namespace verge::hub {

/// One file of the page.
struct WebFile {
  std::string_view name;   ///< "app.js"; "index.html" is served at /.
  std::string_view bytes;  ///< Lives as long as the hub.
};

struct HubOptions {
  std::filesystem::path home;
  std::string host = "localhost";    ///< The name that clients use.
  std::string listen = "127.0.0.1";  ///< Address of the TLS ports; plain HTTP is on loopback always.
  std::uint16_t mqtt_port = 8883, https_port = 8443, http_port = 8080;  ///< 0 picks a free one.
  std::optional<std::uint16_t> extra_https_port;                        ///< A second HTTPS port: stock SDKs fix 443.
  std::vector<std::string> extra_hosts;  ///< More names and addresses for the certificate.
  std::vector<WebFile> page;
  std::string version = "0.1.0";

  /// Of a new folder; an existing one keeps its number. One sync serves all devices of a partition; more divide it.
  std::uint32_t log_partitions = 1;
  std::uint32_t log_ahead_bytes = 1U << 20U;  ///< See storage::AppendLogOptions::ahead_bytes.
  std::uint64_t log_bytes_max = 4ULL << 30U;  ///< From four fifths on the oldest messages go, if history has them.
  std::int64_t log_age_us_max = 7LL * 86'400'000'000;
  std::uint64_t log_free_bytes_min = 64ULL << 20U;  ///< Left on the disk; below it messages are refused.
  std::size_t connections_max = 4096;               ///< Per port.
};

class Hub {
 public:
  /// disk: where the message log lives (identities, history and images use the machine's own).
  /// Errors: conflict (a port or the folder is taken; named), unavailable, corrupt.
  static Result<std::unique_ptr<Hub>> start(Loop& loop, Disk& disk, const Clock& clock, HubOptions options);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  /// Ends all connections, makes the last messages durable, closes the files. No effect the second time.
  void stop();

  std::uint16_t mqtt_port() const;
  std::uint16_t https_port() const;
  std::uint16_t http_port() const;

 private:
  struct Impl;
  explicit Hub(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::hub
