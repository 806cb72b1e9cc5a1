// cli/hub_client.h -- calls to a hub's public API with a service policy's signature.
//
// Threads: calls block; use one client from one thread at a time.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/json_fwd.h"
#include "base/result.h"
#include "cli/home.h"

namespace verge::cli {

class HubClient {
 public:
  explicit HubClient(HubAddress address) : address_(std::move(address)) {}

  /// Sends JSON (null: no body) and returns the answer's JSON (null for an empty one). `target` is path and query,
  /// already encoded; Azure's paths get their api-version. Errors: by status, in the server's words; unavailable when
  /// no hub answers.
  Result<Json> call(std::string_view method, std::string_view target, const Json& body, std::string_view if_match = {},
                    std::chrono::milliseconds timeout = std::chrono::seconds(30)) const;
  Result<Json> get(std::string_view target) const;
  /// A direct method of a device or module; `module` empty for the device. Returns {"status", "payload"}.
  Result<Json> call_method(std::string_view device, std::string_view module, std::string_view name, const Json& payload,
                           std::chrono::seconds timeout = std::chrono::seconds(30)) const;
  /// The value of an Authorization header, valid for an hour.
  Result<std::string> authorization() const;
  const HubAddress& address() const { return address_; }
  /// "https://HOST:PORT"
  std::string url() const;

 private:
  HubAddress address_;
};

}  // namespace verge::cli
