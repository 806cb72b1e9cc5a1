// base/local_http.h -- blocking HTTP calls over a unix socket, without libcurl.
//
// For programs that talk HTTP only to this machine's services: libcurl as Debian builds it brings 30 libraries (5 MB
// compressed), which every module's image would carry for the workload API alone.
// Threads: call from worker threads, never from the loop's.
#pragma once

#include "base/http_client.h"

namespace verge {

/// As fetch, for calls with a unix_socket and a body in memory; redirects, sinks, files and cancelling are not offered
/// (invalid_argument). Errors: unavailable, timeout, limit, corrupt (no HTTP).
Result<HttpResponse> fetch_local(const HttpCall& call);

}  // namespace verge
