#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/tls_engine.h"
#include "base/unjudged_tls.h"

namespace verge {
namespace {

using BioPointer = std::unique_ptr<BIO, int (*)(BIO*)>;
using CertificatePointer = std::unique_ptr<X509, void (*)(X509*)>;
using KeyPointer = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;

std::string library_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

Error bad_pem(std::string_view what) {
  return {ErrorCode::corrupt, fmt::format("load {}: {}; expected PEM text", what, library_reason())};
}

BioPointer reader_of(std::string_view text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free};
}

std::vector<CertificatePointer> certificates_in(std::string_view pem) {
  std::vector<CertificatePointer> certificates;
  const auto reader = reader_of(pem);
  while (X509* certificate = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate, &X509_free);
  }
  return certificates;
}

Status load_chain(SSL_CTX* context, std::string_view pem) {
  auto chain = certificates_in(pem);
  if (chain.empty()) return bad_pem("the TLS certificate");
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) return bad_pem("the TLS certificate");
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add0_chain_cert(context, chain[i].get()) != 1) return bad_pem("the TLS certificate chain");
    static_cast<void>(chain[i].release());  // now the context's
  }
  return Done{};
}

/// No terminal prompt for an encrypted key: it is an error.
int no_password(char*, int, int, void*) { return -1; }

Status load_key(SSL_CTX* context, std::string_view pem) {
  const auto reader = reader_of(pem);
  const KeyPointer key(PEM_read_bio_PrivateKey(reader.get(), nullptr, &no_password, nullptr), &EVP_PKEY_free);
  if (key == nullptr) return bad_pem("the TLS key");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return Error{ErrorCode::invalid_argument, "load the TLS key: it does not belong to the certificate"};
  }
  return Done{};
}

Status load_trust(SSL_CTX* context, std::string_view pem) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const auto certificates = certificates_in(pem);
  if (certificates.empty()) return bad_pem("the trusted certificates");
  for (const auto& certificate : certificates) X509_STORE_add_cert(store, certificate.get());
  // Every certificate in the text is trusted as it is, also an intermediate one without its root.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return Done{};
}

std::shared_ptr<OpenSslContext> new_context(bool is_server) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  VERGE_ASSERT(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");  // of TLS 1.2; 1.3 has good ones only
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return std::make_shared<OpenSslContext>(context, is_server);
}

/// Chains are not judged: the hub knows its devices by thumbprint.
int accept_any_certificate(int, X509_STORE_CTX*) { return 1; }

bool is_ip_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, name.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), address.data()) == 1;
}

void demand_name(SSL* ssl, const std::string& name) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  if (is_ip_address(name)) {
    VERGE_ASSERT(X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1);
    return;
  }
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  VERGE_ASSERT(X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size()) == 1);
  SSL_set_tlsext_host_name(ssl, name.c_str());
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::make_server(const TlsOptions& options) {
  const auto context = new_context(true);
  VERGE_CHECK(load_chain(context->get(), options.certificate_chain_pem));
  VERGE_CHECK(load_key(context->get(), options.key_pem));
  SSL_CTX_set_num_tickets(context->get(), 1);
  const std::string_view id = "verge";  // sessions with client certificates need one to resume
  SSL_CTX_set_session_id_context(context->get(), reinterpret_cast<const unsigned char*>(id.data()),
                                 static_cast<unsigned>(id.size()));
  if (options.request_client_certificate) SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, &accept_any_certificate);
  return std::shared_ptr<TlsContext>(context);
}

Result<std::shared_ptr<TlsContext>> TlsContext::make_client(const TlsOptions& options) {
  const auto context = new_context(false);
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  if (options.trust_pem.empty()) {
    SSL_CTX_set_default_verify_paths(context->get());
  } else {
    VERGE_CHECK(load_trust(context->get(), options.trust_pem));
  }
  if (!options.certificate_chain_pem.empty()) {
    VERGE_CHECK(load_chain(context->get(), options.certificate_chain_pem));
    VERGE_CHECK(load_key(context->get(), options.key_pem));
  }
  return std::shared_ptr<TlsContext>(context);
}

Result<TlsPointer> make_unjudged_tls() {
  const auto context = new_context(false);
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_cipher_list(context->get(), "DEFAULT");
  return TlsPointer(context);
}

/// The library reads from and writes to TlsEngine::Wire by these.
struct WireMethods {
  static TlsEngine::Wire& wire_of(BIO* bio) { return *static_cast<TlsEngine::Wire*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* target, int size) {
    BIO_clear_retry_flags(bio);
    std::string_view& input = wire_of(bio).input;
    if (input.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const auto count = std::min(input.size(), static_cast<std::size_t>(size));
    std::memcpy(target, input.data(), count);
    input.remove_prefix(count);
    return static_cast<int>(count);
  }
  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    std::string* output = wire_of(bio).output;
    if (output != nullptr) output->append(bytes, static_cast<std::size_t>(size));
    return size;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* table() {
    static BIO_METHOD* const methods = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
      BIO_meth_set_read(made, &WireMethods::read);
      BIO_meth_set_write(made, &WireMethods::write);
      BIO_meth_set_ctrl(made, &WireMethods::control);
      return made;
    }();
    return methods;
  }
};

TlsEngine::TlsEngine(const TlsContext& context, const std::string& server_name) : ssl_(nullptr, &SSL_free) {
  const auto& library_context = static_cast<const OpenSslContext&>(context);
  ssl_.reset(SSL_new(library_context.get()));
  VERGE_ASSERT(ssl_ != nullptr);
  BIO* bio = BIO_new(WireMethods::table());
  BIO_set_data(bio, &wire_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_read_ahead(ssl_.get(), 1);
  if (library_context.is_server()) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
    demand_name(ssl_.get(), server_name);
  }
}

Status TlsEngine::begin(std::string& wire) {
  wire_ = {{}, &wire};
  return advance_handshake();
}

Status TlsEngine::advance_handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1 || SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Done{};
  return failure("TLS handshake");
}

Status TlsEngine::feed(std::string_view bytes, std::string& plain, std::string& wire) {
  wire_ = {bytes, &wire};
  if (!is_ready()) VERGE_CHECK(advance_handshake());
  if (!is_ready()) return Done{};
  std::array<char, 16384> piece;  // NOLINT: left uninitialised; a record fits
  for (;;) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
    if (got > 0) {
      plain.append(piece.data(), static_cast<std::size_t>(got));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), got);
    if (error == SSL_ERROR_WANT_READ) return Done{};
    if (error != SSL_ERROR_ZERO_RETURN) return failure("read TLS");
    is_closed_by_peer_ = true;
    return Done{};
  }
}

Status TlsEngine::encrypt(std::string_view plain, std::string& wire) {
  wire_ = {{}, &wire};
  while (!plain.empty()) {
    ERR_clear_error();
    const int size = static_cast<int>(std::min<std::size_t>(plain.size(), 1U << 20U));
    const int taken = SSL_write(ssl_.get(), plain.data(), size);
    if (taken <= 0) return failure("write TLS");
    plain.remove_prefix(static_cast<std::size_t>(taken));
  }
  return Done{};
}

void TlsEngine::shut_down(std::string& wire) {
  wire_ = {{}, &wire};
  ERR_clear_error();
  if (is_ready()) SSL_shutdown(ssl_.get());
}

Error TlsEngine::failure(std::string_view doing) const {
  const long verdict = SSL_get_verify_result(ssl_.get());
  const bool is_client = SSL_is_server(ssl_.get()) == 0;
  if (is_client && verdict != X509_V_OK) {
    return {ErrorCode::unavailable,
            fmt::format("{}: the server's certificate is refused: {}", doing, X509_verify_cert_error_string(verdict))};
  }
  return {ErrorCode::unavailable, fmt::format("{}: {}", doing, library_reason())};
}

std::string TlsEngine::peer_thumbprint() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return {};
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return {};
  std::string thumbprint = to_hex(sha256({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}));
  OPENSSL_free(der);
  return thumbprint;
}

}  // namespace verge
