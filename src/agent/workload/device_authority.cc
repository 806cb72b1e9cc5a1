#include "agent/workload/device_authority.h"

#include "base/bytes.h"
#include "base/disk.h"

namespace verge::agent {
namespace {
constexpr int kRouterDays = 90;  // Renewed at every start and daily, so that it never comes near its end.
}

Result<KeyAndCertificate> device_authority(const Settings& settings) {
  const auto key_path = settings.state_folder() / "device-ca.key";
  const auto certificate_path = settings.state_folder() / "device-ca.pem";
  const auto key = read_file(key_path, 1U << 20U);
  const auto certificate = read_file(certificate_path, 1U << 20U);
  if (key && certificate) return KeyAndCertificate{*key, *certificate};
  VERGE_TRY(const auto made, make_authority("Verge device CA " + settings.device));
  // The certificate first: a crash between the two makes both anew.
  VERGE_CHECK(write_file(certificate_path, made.certificate_pem));
  VERGE_CHECK(write_file(key_path, made.key_pem, 0600));
  return made;
}

Result<TlsPointer> router_tls(const KeyAndCertificate& authority, const Settings& settings) {
  CertificateRequest wanted;
  wanted.common_name = settings.gateway_host.substr(0, 64);
  wanted.dns_names = {settings.gateway_host, "localhost"};
  wanted.ip_addresses = {settings.network.gateway, "127.0.0.1"};
  wanted.days = kRouterDays;
  VERGE_TRY(const auto made, make_certificate(authority, wanted));
  TlsOptions options;
  options.certificate_chain_pem = made.certificate_pem + authority.certificate_pem;
  options.key_pem = made.key_pem;
  return TlsContext::make_server(options);
}

Result<std::string> device_secret(const Settings& settings) {
  const auto path = settings.state_folder() / "secret";
  if (auto text = read_file(path, 1024)) {
    auto secret = from_hex(*text);
    if (secret && secret->size() >= 32) return secret;
  }
  const std::string secret = random_bytes(32);
  VERGE_CHECK(write_file(path, to_hex(secret), 0600));
  return secret;
}

}  // namespace verge::agent
