// hub/home.h -- the hub's folder: its certificate authority, policies, first password and connection file.
//
// Made at first start, read at every later one; keys and passwords have mode 0600. One hub at a time holds a folder.
//
//   certificates/root-key.pem root.pem        the authority (the key may be taken offline; only rotation needs it)
//   certificates/issuing-key.pem issuing.pem  signs what the hub presents
//   certificates/server-key.pem server.pem    the server's chain; renewed 30 days before its end
//   policies.json  first-password  connection.json  ca.pem (= root.pem)
//   hub.db  history.db  images/  messages/  received.json
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/certificates.h"
#include "base/net.h"
#include "base/result.h"
#include "base/time.h"
#include "hub/rest/access.h"

namespace verge::hub {

class Home {
 public:
  /// names: host names and addresses by which clients reach the hub; they go into the server's certificate.
  /// Errors: conflict (another hub holds the folder), unavailable (cannot write), corrupt (a file is broken; named).
  static Result<std::unique_ptr<Home>> open(const std::filesystem::path& folder, std::vector<std::string> names,
                                            const Clock& clock);
  ~Home();
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  const std::vector<Policy>& policies() const { return policies_; }
  const std::string& ca_pem() const { return root_.certificate_pem; }
  TlsOptions server_tls() const;
  /// Makes a new server certificate when the present one ends within 30 days, or lacks a name. True when it did.
  Result<bool> renew_server_certificate();

  /// Makes and stores the first password. Errors: unavailable.
  Result<std::string> make_first_password() const;
  void remove_first_password() const;

  struct Addresses {
    std::string host;
    std::uint16_t mqtt_port = 0, https_port = 0, http_port = 0;
  };
  Status write_connection_file(const Addresses& addresses) const;

 private:
  Home(std::filesystem::path folder, std::vector<std::string> names, const Clock& clock);
  Status lock();
  Status load_authority();
  Status load_policies();
  Status load_server_certificate();
  Status make_server_certificate();
  Result<KeyAndCertificate> load_or_make(const std::string& name,
                                         const std::function<Result<KeyAndCertificate>()>& make) const;

  const std::filesystem::path folder_;
  const std::vector<std::string> names_;
  const Clock& clock_;
  int lock_file_ = -1;
  KeyAndCertificate root_, issuing_, server_;
  std::vector<Policy> policies_;
};

}  // namespace verge::hub
