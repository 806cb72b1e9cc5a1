// base/tls_engine.h -- TLS as a filter between bytes and bytes, without sockets; private to base.
//
// The connection reads a lot at once, hands it over, and gets all records' content in one piece:
// small messages cost a decryption each, not a call-back and a system call each.
// Threads: an engine belongs to its loop's thread; contexts may be shared.
#pragma once

#include <memory>
#include <openssl/ssl.h>
#include <string>
#include <string_view>

#include "base/net.h"
#include "base/result.h"

namespace verge {

class OpenSslContext final : public TlsContext {
 public:
  OpenSslContext(SSL_CTX* context, bool is_server) : context_(context), is_server_(is_server) {}
  ~OpenSslContext() override { SSL_CTX_free(context_); }
  OpenSslContext(const OpenSslContext&) = delete;
  OpenSslContext& operator=(const OpenSslContext&) = delete;
  SSL_CTX* get() const { return context_; }
  bool is_server() const { return is_server_; }

 private:
  SSL_CTX* const context_;
  const bool is_server_;
};

class TlsEngine {
 public:
  /// `server_name` (clients only) is what the certificate must be for: a DNS name or an IP address.
  TlsEngine(const TlsContext& context, const std::string& server_name);

  /// A client's first bytes go to `wire`.
  Status begin(std::string& wire);
  /// Takes bytes from the peer; appends their content to `plain` and what must be sent (handshake
  /// steps, alerts; also in case of an error) to `wire`.
  Status feed(std::string_view bytes, std::string& plain, std::string& wire);
  /// Only when is_ready().
  Status encrypt(std::string_view plain, std::string& wire);
  /// Appends the farewell.
  void shut_down(std::string& wire);

  bool is_ready() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  bool is_closed_by_peer() const { return is_closed_by_peer_; }
  /// Of the peer's certificate, whose key it proved to hold; empty without one.
  std::string peer_thumbprint() const;

 private:
  /// What the library's input and output functions reach.
  struct Wire {
    std::string_view input;
    std::string* output = nullptr;
  };
  friend struct WireMethods;

  Status advance_handshake();
  Error failure(std::string_view doing) const;

  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
  Wire wire_;
  bool is_closed_by_peer_ = false;
};

}  // namespace verge
