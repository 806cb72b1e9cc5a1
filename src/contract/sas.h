// contract/sas.h -- shared access signatures: made, read and verified.
//
// Source: wire contract §1.2; signature over the raw `sr` text as sent. Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::contract {

struct SasToken {
  std::string resource;      ///< Decoded: "host/devices/d/modules/m".
  std::string raw_resource;  ///< As sent; this is what was signed.
  std::string signature;     ///< Decoded, raw bytes.
  std::int64_t end_s = 0;    ///< Unix time at which it ends.
  std::string policy;        ///< skn; empty for identity tokens.
};

/// Errors: invalid_argument.
Result<SasToken> parse_sas(std::string_view text);
/// key_base64 as in a connection string. True when the signature fits.
bool verify_sas(const SasToken& token, std::string_view key_base64);
/// How long a token that our own programs make is good for; they sign a new one for every connection.
inline constexpr std::int64_t kSasLife_s = 3600;

/// "SharedAccessSignature sr=…&sig=…&se=…[&skn=…]". Errors: invalid_argument when the key is not base64.
Result<std::string> make_sas(std::string_view resource, std::string_view key_base64, std::int64_t end_s,
                             std::string_view policy = {});
/// The text a signer signs: "{percent-encoded resource}\n{end}"; for signers that keep the key to themselves.
std::string sas_signing_text(std::string_view resource, std::int64_t end_s);
std::string sas_from_signature(std::string_view resource, std::string_view signature_base64, std::int64_t end_s,
                               std::string_view policy = {});

/// "HostName=…;DeviceId=…;SharedAccessKey=…[;ModuleId=…][;GatewayHostName=…][;SharedAccessKeyName=…]"
struct ConnectionString {
  std::string host, device, module, key, policy, gateway;
};
Result<ConnectionString> parse_connection_string(std::string_view text);
std::string to_text(const ConnectionString& value);

}  // namespace verge::contract
