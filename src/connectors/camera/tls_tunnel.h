// connectors/camera/tls_tunnel.h -- carries FFmpeg's connections to a camera over TLS that we check ourselves.
//
// FFmpeg 5.1 takes no option about certificates for rtsps, and none about fingerprints anywhere: with it, anybody could
// answer. So it connects to a port of the loopback, and this to the camera; each connection there becomes one here, and
// nothing is sent before the certificate was judged. At most kConnectionsMax at a time.
// Other programs of the same machine (in a module: of the same container) could use the port, too; they still lack the
// camera's password.
// Threads: a loop on a thread of its own; calls from any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "connectors/camera/camera_trust.h"

namespace verge::connectors {

/// Whether a URL asks for TLS.
bool is_tls_url(std::string_view url);

class TlsTunnel {
 public:
  static constexpr std::size_t kConnectionsMax = 8;
  static constexpr std::size_t kUnsentBytesMax = 1U << 20U;  ///< Each way; then reading pauses.

  /// url: rtsps:// or https://, with its variables filled in. Errors: those of make_camera_tls and of the listener.
  static Result<std::unique_ptr<TlsTunnel>> open(std::string_view url, const CameraTrust& trust);
  ~TlsTunnel();
  TlsTunnel(const TlsTunnel&) = delete;
  TlsTunnel& operator=(const TlsTunnel&) = delete;

  /// The same URL through the tunnel: "rtsp://me:secret@127.0.0.1:40001/path". A secret, too.
  std::string url() const;
  /// The camera's own host and port, for the header Host.
  std::string host() const;
  /// Why the newest connection failed; Done when it did not. invalid_argument: the camera's certificate is not what was
  /// asked for; the message shows its fingerprint and the ways out.
  Status state() const;

 private:
  struct Impl;
  explicit TlsTunnel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::connectors
