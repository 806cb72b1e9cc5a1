// hub/rest/access.h -- who calls, and what they may do: shared access signatures, image clients, people.
//
// Source: wire contract §1.2 (policies, tokens). Threads: immutable after start; call from anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "base/time.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "hub/identities/identities.h"

namespace verge::hub {

/// What a policy grants; bits of a set.
enum Permission : std::uint8_t {
  kRegistryRead = 1,
  kRegistryWrite = 2,
  kServiceConnect = 4,
  kDeviceConnect = 8,
};
using Permissions = std::uint8_t;

struct Policy {
  std::string name;
  Permissions grants = 0;
  std::string primary_key, secondary_key;  ///< Base64.
};

/// Azure's five, with fresh keys.
std::vector<Policy> make_policies();
Json to_json(const std::vector<Policy>& policies);
/// Errors: corrupt.
Result<std::vector<Policy>> policies_from_json(const Json& json);

enum class Role : std::uint8_t { none, viewer, operator_, admin };
std::string_view name_of(Role role);
/// none for an unknown name.
Role role_from_name(std::string_view name);

struct Caller {
  enum class Kind : std::uint8_t { nobody, policy, identity, person };
  Kind kind = Kind::nobody;
  std::string name;             ///< Policy, "device[/module]" or user, for the audit log.
  Permissions grants = 0;       ///< Policies.
  contract::Identity identity;  ///< Devices and modules.
  Role role = Role::none;       ///< People.
};

class Access {
 public:
  /// hosts: the names by which clients may know this hub, without ports.
  Access(const Identities& identities, const Clock& clock, std::vector<Policy> policies,
         std::vector<std::string> hosts);

  /// A token in an Authorization header or as a password. Errors: invalid_argument (malformed, wrong key, ended,
  /// another hub's); the message never repeats the token.
  Result<Caller> check_token(std::string_view token) const;
  /// May `token` connect as `who`? Returns when it ends, seconds since the Unix epoch. Errors: invalid_argument.
  Result<std::int64_t> check_connect(std::string_view token, const contract::Identity& who) const;
  bool is_own_host(std::string_view host) const;
  const std::vector<Policy>& policies() const { return policies_; }

 private:
  const Policy* find_policy(std::string_view name) const;
  Result<Caller> policy_caller(const contract::SasToken& token) const;
  Result<Caller> identity_caller(const contract::SasToken& token) const;
  Status check_times_and_host(const contract::SasToken& token) const;

  const Identities& identities_;
  const Clock& clock_;
  const std::vector<Policy> policies_;
  const std::vector<std::string> hosts_;
};

}  // namespace verge::hub
