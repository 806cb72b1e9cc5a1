// connectors/network_errors.h -- what FFmpeg's error codes of a connection mean for a live camera or microphone.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "connectors/camera/tls_tunnel.h"
#include "connectors/ffmpeg_library.h"
#include "connectors/live_retry.h"

namespace verge::connectors {

/// Ends FFmpeg's waiting when the connection has to end; the watch outlives what uses it.
inline AVIOInterruptCB interrupt_by(LiveWatch& watch) {
  return {[](void* asked) { return static_cast<const LiveWatch*>(asked)->has_to_end() ? 1 : 0; }, &watch};
}

/// Done when the source stops. doing: "connect", "read". tunnel: null without TLS; it knows better why.
inline Status connection_error(const FfmpegLibrary& ffmpeg, int code, const LiveWatch& watch, std::string_view doing,
                               const TlsTunnel* tunnel = nullptr) {
  if (watch.is_stopping()) return Done{};
  if (tunnel != nullptr) VERGE_CHECK(tunnel->state());
  if (watch.has_to_end()) return Error{ErrorCode::timeout, "nothing came for too long (silence_s)"};
  switch (code) {
    case AVERROR_EOF:
      return Error{ErrorCode::unavailable, "it ended the stream"};
    case AVERROR_HTTP_UNAUTHORIZED:
    case AVERROR_HTTP_FORBIDDEN:
      return Error{ErrorCode::invalid_argument, "it refuses the user and password of the url"};
    default:
      return Error{ErrorCode::unavailable, std::string(doing) + ": " + words_for(ffmpeg, code)};
  }
}

/// Opens `tunnel` when the URL needs one and it is not open yet.
inline Status open_tunnel(std::string_view url, const CameraTrust& trust, std::unique_ptr<TlsTunnel>& tunnel) {
  if (tunnel || !is_tls_url(url)) return Done{};
  VERGE_TRY(tunnel, TlsTunnel::open(url, trust));
  return Done{};
}

}  // namespace verge::connectors
