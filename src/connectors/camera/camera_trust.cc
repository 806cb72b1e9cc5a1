#include "connectors/camera/camera_trust.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/unjudged_tls.h"

namespace verge::connectors {
namespace {

constexpr std::size_t kTrustBytesMax = 1U << 20U;
constexpr std::size_t kFingerprintDigits = 64;

/// "" when it is not given.
std::string given_text(const Json& options, const char* name) {
  const Json* const found = find_member(options, {name});
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::vector<pipeline::OptionInfo> camera_trust_options() {
  return {
      {"ca", "text",
       "rtsps, https: PEM file of who may sign the camera's certificate, relative to the pipeline file; without it: "
       "the system's authorities.",
       nullptr},
      {"fingerprint", "text",
       "rtsps, https: only the certificate with this SHA-256, sha256:…; `verge camera check` shows it.", nullptr},
      {"insecure", "flag", "rtsps, https: anybody may answer; pictures and password can be stolen.", false}};
}

Result<std::string> read_fingerprint(std::string_view text) {
  std::string digits;
  for (const char c : text.starts_with("sha256:") ? text.substr(7) : text) {
    if (c != ':') digits += static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
  }
  const bool is_hex = digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (is_hex && digits.size() == kFingerprintDigits) return digits;
  return Error{ErrorCode::invalid_argument,
               fmt::format("fingerprint is \"{}\"; give sha256: and 64 hexadecimal digits", text)};
}

Result<CameraTrust> read_camera_trust(const Json& options, const std::filesystem::path& folder) {
  CameraTrust trust;
  const std::string ca = given_text(options, "ca"), fingerprint = given_text(options, "fingerprint");
  trust.is_insecure = options.value("insecure", false);
  if (int(!ca.empty()) + int(!fingerprint.empty()) + int(trust.is_insecure) > 1) {
    return Error{ErrorCode::invalid_argument, "ca, fingerprint and insecure exclude each other; give one"};
  }
  if (!ca.empty()) {
    VERGE_TRY(trust.ca_pem, read_file(folder / ca, kTrustBytesMax));
  }
  if (!fingerprint.empty()) {
    VERGE_TRY(trust.fingerprint, read_fingerprint(fingerprint));
  }
  return trust;
}

Result<TlsPointer> make_camera_tls(const CameraTrust& trust) {
  if (trust.is_insecure || !trust.fingerprint.empty()) return make_unjudged_tls();
  TlsOptions options;
  options.trust_pem = trust.ca_pem;
  VERGE_TRY(auto made, TlsContext::make_client(options));
  return TlsPointer(std::move(made));
}

}  // namespace verge::connectors
