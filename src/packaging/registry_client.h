// packaging/registry_client.h -- pushes and pulls images to and from an OCI registry: the hub's image store, or any.
//
// Source: OCI Distribution 1.1; Docker's token protocol for Bearer challenges.
// Threads: blocking; call from worker threads, one client by one thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/result.h"
#include "packaging/blob_store.h"
#include "packaging/oci.h"

namespace verge::packaging {

struct RegistryCredential {
  std::string user, password;  ///< For Basic, or to fetch a token.
  std::string token;           ///< Sent as Bearer as it is, when not empty.
};

struct RegistryOptions {
  std::string url;        ///< "https://hub:8443", "http://127.0.0.1:5000"
  std::string trust_pem;  ///< Empty: the system's bundle.
  std::string certificate_pem, key_pem;
  /// Asked when the registry wants to know who we are; null: anonymous. Errors are passed on.
  std::function<Result<RegistryCredential>()> credential;
  /// Bytes of one blob that are done, of all; called about once a MiB. Also for blobs that were there already.
  std::function<void(const Descriptor& blob, std::uint64_t bytes_done)> progress;
  std::function<bool()> is_cancelled;
  int attempts_max = 4;                        ///< Per request; only after `unavailable` and `timeout`.
  std::chrono::milliseconds retry_delay{500};  ///< Doubles with each attempt.
  std::chrono::milliseconds request_timeout{600'000};
  std::uint64_t blob_bytes_max = std::uint64_t{16} << 30U;
};

struct PulledImage {
  Descriptor manifest;
  std::uint64_t fetched_bytes = 0;  ///< Without what was there or went on from an earlier attempt.
};

class RegistryClient {
 public:
  explicit RegistryClient(RegistryOptions options) : options_(std::move(options)) {}

  /// Uploads what the registry lacks (asked by HEAD), the manifest last, under the tag and its digest. Returns the
  /// manifest's digest: what is to be signed and pinned. Errors: not_found (a blob is not in the store), unavailable,
  /// timeout, invalid_argument (refused; the registry's words), corrupt.
  Result<std::string> push(const BlobStore& store, std::string_view manifest_digest, const std::string& repository,
                           const std::string& tag);
  /// Fetches the manifest of this platform and every blob that the store lacks; a blob that was begun goes on where it
  /// stopped. `version` is a tag or digest. Every blob's digest is checked. Errors: not_found, corrupt, limit,
  /// unavailable.
  Result<PulledImage> pull(BlobStore& store, const std::string& repository, const std::string& version,
                           const Platform& platform = this_platform());
  /// What a tag means now, without fetching the image.
  Result<Descriptor> resolve(const std::string& repository, const std::string& version);

 private:
  struct Request;
  Result<HttpResponse> send(const Request& request);
  Result<HttpResponse> send_once(const Request& request);
  Result<bool> answer_challenge(const HttpResponse& response);
  Result<std::string> fetch_token(std::string_view challenge, const RegistryCredential& credential);
  Status push_blob(const BlobStore& store, const Descriptor& blob, const std::string& repository);
  Result<std::uint64_t> pull_blob(BlobStore& store, const Descriptor& blob, const std::string& repository);
  Result<std::uint64_t> pull_blob_once(BlobStore& store, const Descriptor& blob, const std::string& repository);
  struct FetchedManifest {
    Descriptor descriptor;
    std::string text;
  };
  Result<FetchedManifest> fetch_manifest(const std::string& repository, const std::string& version);
  void report(const Descriptor& blob, std::uint64_t bytes_done) const;

  RegistryOptions options_;
  std::string authorization_;
};

}  // namespace verge::packaging
