// base/certificates.h -- a small certificate authority: makes keys and X.509 certificates as PEM text.
//
// Keys are ECDSA P-256. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge {

struct KeyAndCertificate {
  std::string key_pem{};          ///< PKCS #8, unencrypted: store with mode 0600.
  std::string certificate_pem{};  ///< The certificate alone; append the issuer's for a chain.
};

struct CertificateRequest {
  std::string common_name{};
  std::vector<std::string> dns_names{};  ///< Subject alternative names; modern clients ignore the common name.
  std::vector<std::string> ip_addresses{};
  int days = 365;
  bool is_authority = false;
  bool for_client = false;  ///< Adds clientAuth beside serverAuth.
};

/// A self-signed authority (basicConstraints CA, keyCertSign), valid `days` from an hour ago.
Result<KeyAndCertificate> make_authority(std::string_view common_name, int days = 3650);
/// A certificate signed by `issuer`. Errors: corrupt when the issuer's PEM cannot be read.
Result<KeyAndCertificate> make_certificate(const KeyAndCertificate& issuer, const CertificateRequest& request);
/// Seconds since the Unix epoch at which the certificate ends. Errors: corrupt.
Result<std::int64_t> certificate_end_s(std::string_view certificate_pem);
/// Lower-case hex SHA-256 of the DER form: what Azure calls the thumbprint. Errors: corrupt.
Result<std::string> certificate_thumbprint(std::string_view certificate_pem);

}  // namespace verge
