// hub/identities/identity_json.h -- identities as Azure's service API writes and reads them.
//
// Source: service.json of the service SDK (Device, Module, AuthenticationMechanism). Threads: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"
#include "hub/identities/identities.h"

namespace verge::hub {

/// What the endpoint knows about an identity's connection.
struct ConnectionState {
  bool is_connected = false;
  std::int64_t last_seen_us = 0;  ///< 0: never.
};

Json to_json(const IdentityRecord& record, const ConnectionState& connection);
/// The `authentication` object alone.
Json authentication_json(const IdentityRecord& record);
/// A PUT body for `who`; ids in the body must agree with the path. Errors: invalid_argument.
Result<IdentityChange> identity_change_from_json(const contract::Identity& who, const Json& body);
/// Azure's "0001-01-01T00:00:00Z" stands for never.
std::string azure_time(std::int64_t epoch_us);

}  // namespace verge::hub
