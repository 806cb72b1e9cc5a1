// cli/evidence.h -- brings a stored picture or clip from a device over the hub, piece by piece, and checks it.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/hub_client.h"

namespace verge::cli {

struct EvidenceRequest {
  std::string device, module, digest;  ///< "sha256:…"; the prefix may be left out.
  std::filesystem::path file;          ///< Replaced when everything is there and right.
};

/// Bytes written. progress: bytes so far and all of them. Errors: the device's words (it is gone, it stays there);
/// invalid_argument for what is no digest, corrupt when what came has another one: then the file stays as it was.
Result<std::uint64_t> fetch_evidence(const HubClient& hub, const EvidenceRequest& request,
                                     const std::function<void(std::uint64_t done, std::uint64_t all)>& progress);

/// What the module keeps, newest first: {"files": [{"digest", "type", "bytes", "captured_us", "blur", "may_leave"}]}.
Result<Json> list_evidence(const HubClient& hub, const std::string& device, const std::string& module);

}  // namespace verge::cli
