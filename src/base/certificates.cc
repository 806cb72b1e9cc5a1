#include "base/certificates.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <memory>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge {
namespace {

using KeyPointer = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using CertificatePointer = std::unique_ptr<X509, void (*)(X509*)>;
using BioPointer = std::unique_ptr<BIO, int (*)(BIO*)>;

constexpr long kDay_s = 86'400;
constexpr long kClockSlack_s = 3'600;  // a device's clock may be a little behind ours

Error library_error(std::string_view doing) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return {ErrorCode::internal, fmt::format("{}: {}", doing, reason == nullptr ? "no reason given" : reason)};
}

std::string text_in(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::string key_to_pem(EVP_PKEY* key) {
  const BioPointer bio(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_in(bio.get());
}

std::string certificate_to_pem(X509* certificate) {
  const BioPointer bio(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509(bio.get(), certificate);
  return text_in(bio.get());
}

int no_password(char*, int, int, void*) { return -1; }

Result<KeyPointer> read_key(std::string_view pem) {
  const BioPointer bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_password, nullptr), &EVP_PKEY_free);
  if (key == nullptr) return Error{ErrorCode::corrupt, "read a key: expected an unencrypted PEM text"};
  return key;
}

Result<CertificatePointer> read_certificate(std::string_view pem) {
  const BioPointer bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  CertificatePointer certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &X509_free);
  if (certificate == nullptr) return Error{ErrorCode::corrupt, "read a certificate: expected a PEM text"};
  return certificate;
}

Status set_subject(X509* certificate, std::string_view common_name) {
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* text = reinterpret_cast<const unsigned char*>(common_name.data());
  const int size = static_cast<int>(common_name.size());
  if (common_name.empty() || X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, size, -1, 0) != 1) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("make a certificate for \"{:.80}\": a common name has 1 to 64 characters", common_name)};
  }
  return Done{};
}

/// A positive random number of 127 bits, as browsers demand.
void set_serial_number(X509* certificate) {
  std::string bytes = random_bytes(16);
  bytes[0] = static_cast<char>((static_cast<unsigned char>(bytes[0]) & 0x7FU) | 0x40U);
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), 16, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

Status add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  if (extension == nullptr) return library_error(fmt::format("make certificate extension \"{}\"", value));
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return Done{};
}

/// Built from objects, not from the library's configuration text: a name with a comma must not
/// become two names.
Status add_names(X509* certificate, const CertificateRequest& request) {
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> owner(names, &GENERAL_NAMES_free);
  for (const auto& dns_name : request.dns_names) {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, dns_name.data(), static_cast<int>(dns_name.size()));
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
  }
  for (const auto& address : request.ip_addresses) {
    ASN1_OCTET_STRING* bytes = a2i_IPADDRESS(address.c_str());
    if (bytes == nullptr) {
      return Error{ErrorCode::invalid_argument, fmt::format("make a certificate: \"{}\" is no IP address", address)};
    }
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
    sk_GENERAL_NAME_push(names, name);
  }
  if (sk_GENERAL_NAME_num(names) == 0) return Done{};
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) != 1) {
    return library_error("add the certificate's names");
  }
  return Done{};
}

Status add_extensions(X509* certificate, X509* issuer, const CertificateRequest& request) {
  VERGE_CHECK(add_extension(certificate, issuer, NID_basic_constraints,
                            request.is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE"));
  VERGE_CHECK(add_extension(certificate, issuer, NID_key_usage,
                            request.is_authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"));
  if (!request.is_authority) {
    VERGE_CHECK(add_extension(certificate, issuer, NID_ext_key_usage,
                              request.for_client ? "serverAuth,clientAuth" : "serverAuth"));
  }
  VERGE_CHECK(add_extension(certificate, issuer, NID_subject_key_identifier, "hash"));
  VERGE_CHECK(add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always"));
  return add_names(certificate, request);
}

/// `issuer` and `issuer_key` null: self-signed.
Result<KeyAndCertificate> make(const CertificateRequest& request, X509* issuer, EVP_PKEY* issuer_key) {
  ERR_clear_error();
  if (request.days < 1 || request.days > 36'500) {
    return Error{ErrorCode::invalid_argument, fmt::format("make a certificate for {} days: 1 to 36500", request.days)};
  }
  const KeyPointer key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const CertificatePointer certificate(X509_new(), &X509_free);
  if (key == nullptr || certificate == nullptr) return library_error("make a key");
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_serial_number(certificate.get());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSlack_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), request.days * kDay_s - kClockSlack_s);
  X509_set_pubkey(certificate.get(), key.get());
  VERGE_CHECK(set_subject(certificate.get(), request.common_name));
  X509* signer = issuer == nullptr ? certificate.get() : issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  VERGE_CHECK(add_extensions(certificate.get(), signer, request));
  if (X509_sign(certificate.get(), issuer_key == nullptr ? key.get() : issuer_key, EVP_sha256()) == 0) {
    return library_error("sign a certificate");
  }
  return KeyAndCertificate{key_to_pem(key.get()), certificate_to_pem(certificate.get())};
}

}  // namespace

Result<KeyAndCertificate> make_authority(std::string_view common_name, int days) {
  CertificateRequest request;
  request.common_name = common_name;
  request.days = days;
  request.is_authority = true;
  return make(request, nullptr, nullptr);
}

Result<KeyAndCertificate> make_certificate(const KeyAndCertificate& issuer, const CertificateRequest& request) {
  VERGE_TRY(const auto certificate, read_certificate(issuer.certificate_pem));
  VERGE_TRY(const auto key, read_key(issuer.key_pem));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Error{ErrorCode::corrupt, "make a certificate: the issuer's key does not belong to its certificate"};
  }
  return make(request, certificate.get(), key.get());
}

Result<std::int64_t> certificate_end_s(std::string_view certificate_pem) {
  VERGE_TRY(const auto certificate, read_certificate(certificate_pem));
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    return Error{ErrorCode::corrupt, "read a certificate: its end is no valid time"};
  }
  return std::int64_t(::timegm(&end));
}

Result<std::string> certificate_thumbprint(std::string_view certificate_pem) {
  VERGE_TRY(const auto certificate, read_certificate(certificate_pem));
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  if (size <= 0) return library_error("encode a certificate");
  std::string thumbprint = to_hex(sha256({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}));
  OPENSSL_free(der);
  return thumbprint;
}

}  // namespace verge
