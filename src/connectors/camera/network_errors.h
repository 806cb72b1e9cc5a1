// connectors/camera/network_errors.h -- what FFmpeg's error codes of a connection mean for a live camera.
#pragma once

#include <string_view>

#include "base/result.h"
#include "connectors/camera/live_camera.h"
#include "connectors/camera/tls_tunnel.h"

namespace verge::connectors {

/// For FFmpeg's interrupt call-backs; `watch` is a CameraWatch.
inline int has_to_end(void* watch) { return static_cast<const CameraWatch*>(watch)->has_to_end() ? 1 : 0; }

/// Done when the source stops. doing: "connect", "read". tunnel: null without TLS; it knows better why.
inline Status connection_error(const FfmpegLibrary& ffmpeg, int code, const CameraWatch& watch, std::string_view doing,
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
