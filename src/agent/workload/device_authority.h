// agent/workload/device_authority.h -- the device's own certificate authority, whatever the hub is.
//
// Made once and kept in HOME/state with mode 0600; it signs the router's certificate and is the modules' trust bundle.
// Threads: blocking, at start and once a day.
#pragma once

#include <filesystem>
#include <string>

#include "agent/settings.h"
#include "base/certificates.h"
#include "base/net.h"
#include "base/result.h"

namespace verge::agent {

/// Reads or makes the authority. Errors: unavailable, corrupt.
Result<KeyAndCertificate> device_authority(const Settings& settings);
/// A fresh certificate for the router: the gateway's name and address, and loopback.
Result<TlsPointer> router_tls(const KeyAndCertificate& authority, const Settings& settings);
/// 32 bytes that stay the same over restarts, for the modules' encryption.
Result<std::string> device_secret(const Settings& settings);

}  // namespace verge::agent
