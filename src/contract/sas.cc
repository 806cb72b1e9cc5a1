#include "contract/sas.h"

#include <charconv>
#include <fmt/core.h>
#include <set>

#include "base/bytes.h"
#include "base/crypto.h"
#include "contract/topics.h"

namespace verge::contract {
namespace {

constexpr std::string_view kScheme = "SharedAccessSignature ";
constexpr std::size_t kTextBytesMax = 4096;  // Real ones are below 500; this bounds what a stranger makes us parse.

// Messages never quote the text: it holds a secret.
Error bad_token(std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("read a shared access signature: {}", why)};
}
Error bad_connection_string(std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("read a connection string: {}", why)};
}

struct Pair {
  std::string_view key, value;
};

/// "a=b" pieces between separators; the first '=' counts, since base64 ends with more of them.
Result<std::vector<Pair>> split_pairs(std::string_view text, char separator, Error (*failure)(std::string_view)) {
  std::vector<Pair> pairs;
  std::set<std::string_view> seen;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view piece = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (piece.empty()) continue;
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos || equals == 0) return failure("a part is not of the form key=value");
    const Pair pair{piece.substr(0, equals), piece.substr(equals + 1)};
    if (!seen.insert(pair.key).second) return failure("a key stands there twice");
    pairs.push_back(pair);
  }
  return pairs;
}

Status read_part(SasToken& token, const Pair& pair) {
  if (pair.key == "sr") {
    token.raw_resource = pair.value;
    VERGE_TRY(token.resource, percent_decode(pair.value));
  } else if (pair.key == "sig") {
    VERGE_TRY(const auto base64, percent_decode(pair.value));
    VERGE_TRY(token.signature, from_base64(base64));
  } else if (pair.key == "se") {
    const auto* last = pair.value.data() + pair.value.size();
    const auto [end, error] = std::from_chars(pair.value.data(), last, token.end_s);
    if (error != std::errc{} || end != last || token.end_s < 0) return bad_token("se is not a Unix time in seconds");
  } else if (pair.key == "skn") {
    VERGE_TRY(token.policy, percent_decode(pair.value));
  }
  return Done{};
}

}  // namespace

Result<SasToken> parse_sas(std::string_view text) {
  if (text.size() > kTextBytesMax) return bad_token("longer than 4096 bytes");
  if (!text.starts_with(kScheme)) return bad_token("it does not begin with \"SharedAccessSignature \"");
  VERGE_TRY(const auto pairs, split_pairs(text.substr(kScheme.size()), '&', bad_token));
  SasToken token;
  for (const Pair& pair : pairs) {
    if (auto status = read_part(token, pair); !status) return bad_token("a broken " + std::string(pair.key));
  }
  if (token.resource.empty()) return bad_token("sr (the resource) is missing");
  if (token.signature.empty()) return bad_token("sig (the signature) is missing");
  if (token.end_s == 0) return bad_token("se (the end) is missing");
  return token;
}

bool verify_sas(const SasToken& token, std::string_view key_base64) {
  const auto key = from_base64(key_base64);
  if (!key || key->empty()) return false;
  const std::string expected = hmac_sha256(*key, token.raw_resource + "\n" + std::to_string(token.end_s));
  return equal_constant_time(expected, token.signature);
}

Result<std::string> make_sas(std::string_view resource, std::string_view key_base64, std::int64_t end_s,
                             std::string_view policy) {
  const auto key = from_base64(key_base64);
  if (!key || key->empty()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("sign for \"{}\": the key is not base64; copy it again from the identity", resource)};
  }
  const std::string signature = hmac_sha256(*key, sas_signing_text(resource, end_s));
  return sas_from_signature(resource, to_base64(signature), end_s, policy);
}

std::string sas_signing_text(std::string_view resource, std::int64_t end_s) {
  return fmt::format("{}\n{}", percent_encode(resource), end_s);
}

std::string sas_from_signature(std::string_view resource, std::string_view signature_base64, std::int64_t end_s,
                               std::string_view policy) {
  std::string text =
      fmt::format("{}sr={}&sig={}&se={}", kScheme, percent_encode(resource), percent_encode(signature_base64), end_s);
  if (!policy.empty()) text += "&skn=" + percent_encode(policy);
  return text;
}

Result<ConnectionString> parse_connection_string(std::string_view text) {
  if (text.size() > kTextBytesMax) return bad_connection_string("longer than 4096 bytes");
  VERGE_TRY(const auto pairs, split_pairs(text, ';', bad_connection_string));
  ConnectionString value;
  for (const auto& [key, part] : pairs) {
    if (key == "HostName") value.host = part;
    if (key == "DeviceId") value.device = part;
    if (key == "ModuleId") value.module = part;
    if (key == "SharedAccessKey") value.key = part;
    if (key == "SharedAccessKeyName") value.policy = part;
    if (key == "GatewayHostName") value.gateway = part;
  }
  if (value.host.empty()) return bad_connection_string("HostName is missing");
  if (value.device.empty() && value.policy.empty()) {
    return bad_connection_string("neither DeviceId (an identity) nor SharedAccessKeyName (a policy) is there");
  }
  if (!value.device.empty() && !is_valid_id(value.device)) return bad_connection_string("DeviceId is not a device id");
  if (!value.module.empty() && value.device.empty()) return bad_connection_string("ModuleId without DeviceId");
  if (!value.module.empty() && !is_valid_id(value.module)) return bad_connection_string("ModuleId is not a module id");
  if (!from_base64(value.key)) return bad_connection_string("SharedAccessKey is not base64; copy it again");
  return value;
}

std::string to_text(const ConnectionString& value) {
  std::string text = "HostName=" + value.host;
  const auto add = [&](std::string_view key, const std::string& part) {
    if (!part.empty()) text += fmt::format(";{}={}", key, part);
  };
  add("DeviceId", value.device);
  add("ModuleId", value.module);
  add("SharedAccessKeyName", value.policy);
  add("SharedAccessKey", value.key);
  add("GatewayHostName", value.gateway);
  return text;
}

}  // namespace verge::contract
