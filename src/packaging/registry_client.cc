#include "packaging/registry_client.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "base/http_client.h"
#include "base/json.h"

namespace verge::packaging {
namespace {

constexpr std::uint64_t report_bytes = 1U << 20U;
constexpr int redirects_max = 3;

const std::string accepted_manifests = fmt::format("{}, {}, {}, {}", media_types::manifest, media_types::index,
                                                   media_types::docker_manifest, media_types::docker_index);

bool is_worth_retrying(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout;
}

/// key="value" of a WWW-Authenticate header.
std::string challenge_value(std::string_view challenge, std::string_view key) {
  const auto start = challenge.find(fmt::format("{}=\"", key));
  if (start == std::string_view::npos) return {};
  const auto value = challenge.substr(start + key.size() + 2);
  return std::string(value.substr(0, value.find('"')));
}

std::string encoded(const RegistryCredential& credential) {
  return "Basic " + to_base64(credential.user + ":" + credential.password);
}

/// A Location may be absolute, or a path on the same registry.
std::string absolute_url(const std::string& registry, std::string_view location) {
  if (location.find("://") != std::string_view::npos) return std::string(location);
  return registry + std::string(location);
}

bool is_redirect(const HttpResponse& response) {
  return response.status >= 301 && response.status <= 308 && response.status != 304 && response.headers.has("Location");
}

}  // namespace

struct RegistryClient::Request {
  std::string method = "GET", path = {}, doing = {};  ///< `path` may be a whole address.
  HttpHeaders headers = {};
  std::string body = {};
  std::filesystem::path upload_file = {};
  std::function<bool(std::string_view)> sink = {};
  std::size_t body_bytes_max = document_bytes_max;
};

void RegistryClient::report(const Descriptor& blob, std::uint64_t bytes_done) const {
  if (options_.progress) options_.progress(blob, bytes_done);
}

/// One call, a second one with a credential when the registry asks who we are.
Result<HttpResponse> RegistryClient::send_once(const Request& request) {
  std::string target = absolute_url(options_.url, request.path);
  bool was_asked = false;
  for (int redirects = 0;;) {
    HttpCall call;
    call.method = request.method;
    call.url = target;
    call.headers = request.headers;
    // Other hosts (a registry may send us to a file store) never see the credential.
    if (!authorization_.empty() && call.url.starts_with(options_.url + "/"))
      call.headers.set("Authorization", authorization_);
    call.body = request.body;
    call.upload_file = request.upload_file;
    call.trust_pem = options_.trust_pem;
    call.certificate_pem = options_.certificate_pem;
    call.key_pem = options_.key_pem;
    call.timeout = options_.request_timeout;
    call.body_bytes_max = request.body_bytes_max;
    call.sink = request.sink;
    call.is_cancelled = options_.is_cancelled;
    VERGE_TRY(auto response, fetch(call));
    if (is_redirect(response) && ++redirects <= redirects_max) {
      target = absolute_url(options_.url, response.headers.get("Location"));
      continue;
    }
    if (response.status != 401 || was_asked) return response;
    was_asked = true;
    VERGE_TRY(const bool is_answered, answer_challenge(response));
    if (!is_answered) return response;
  }
}

Result<HttpResponse> RegistryClient::send(const Request& request) {
  auto delay = options_.retry_delay;
  for (int attempt = 1;; ++attempt, delay *= 2) {
    auto response = send_once(request);
    // 404 is an answer here (HEAD asks whether something is there), all other refusals are errors.
    if (response && response->status != 404) response = require_success(std::move(response), request.doing);
    const bool is_cancelled = options_.is_cancelled && options_.is_cancelled();
    if (response || !is_worth_retrying(response.error()) || attempt >= options_.attempts_max || is_cancelled)
      return response;
    std::this_thread::sleep_for(delay);
  }
}

Result<bool> RegistryClient::answer_challenge(const HttpResponse& response) {
  if (!options_.credential) return false;
  VERGE_TRY(const auto credential, options_.credential());
  const auto challenge = std::string(response.headers.get("WWW-Authenticate"));
  if (!credential.token.empty()) {
    authorization_ = "Bearer " + credential.token;
  } else if (challenge.starts_with("Bearer")) {
    VERGE_TRY(authorization_, fetch_token(challenge, credential));
  } else {
    authorization_ = encoded(credential);
  }
  return true;
}

Result<std::string> RegistryClient::fetch_token(std::string_view challenge, const RegistryCredential& credential) {
  HttpCall call;
  call.url = fmt::format("{}?service={}&scope={}", challenge_value(challenge, "realm"),
                         percent_encode(challenge_value(challenge, "service")),
                         percent_encode(challenge_value(challenge, "scope")));
  // A password goes out by TLS or to this machine only, whatever address a registry names.
  const bool is_safe = call.url.starts_with("https://") || call.url.starts_with(options_.url + "/");
  if (!is_safe)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("the registry wants a token from \"{}\", which is not https", call.url)};
  call.trust_pem = options_.trust_pem;
  if (!credential.user.empty()) call.headers.set("Authorization", encoded(credential));
  call.body_bytes_max = document_bytes_max;
  VERGE_TRY(const auto response, require_success(fetch(call), "fetch a registry token"));
  VERGE_TRY(const auto json, parse_json(response.body));
  VERGE_TRY(auto token, string_member(json, "token"));
  if (token.empty()) {
    VERGE_TRY(token, string_member(json, "access_token"));
  }
  return "Bearer " + token;
}

Status RegistryClient::push_blob(const BlobStore& store, const Descriptor& blob, const std::string& repository) {
  const auto doing = fmt::format("push blob {} to {}", blob.digest, repository);
  if (!store.has(blob.digest)) return Error{ErrorCode::not_found, doing + ": it is not in the store"};
  const auto blobs = fmt::format("/v2/{}/blobs/", repository);
  VERGE_TRY(const auto present, send({.method = "HEAD", .path = blobs + blob.digest, .doing = doing}));
  if (present.status != 404) {
    report(blob, blob.size_bytes);
    return Done{};
  }
  VERGE_TRY(const auto begun, send({.method = "POST", .path = blobs + "uploads/", .doing = doing}));
  auto location = std::string(begun.headers.get("Location"));
  if (begun.status == 404 || location.empty())
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{}: the registry takes no uploads (status {})", doing, begun.status)};
  location +=
      (location.find('?') == std::string::npos ? "?" : "&") + std::string("digest=") + percent_encode(blob.digest);
  Request upload{
      .method = "PUT", .path = std::move(location), .doing = doing, .upload_file = store.path_of(blob.digest)};
  upload.headers.set("Content-Type", "application/octet-stream");
  VERGE_CHECK(send(upload));
  report(blob, blob.size_bytes);
  return Done{};
}

Result<std::string> RegistryClient::push(const BlobStore& store, std::string_view manifest_digest,
                                         const std::string& repository, const std::string& tag) {
  VERGE_TRY(const auto text, store.read(manifest_digest));
  VERGE_TRY(const auto manifest, parse_manifest(text));
  std::set<std::string> pushed;
  for (const auto& layer : manifest.layers)
    if (pushed.insert(layer.digest).second) VERGE_CHECK(push_blob(store, layer, repository));
  VERGE_CHECK(push_blob(store, manifest.config, repository));
  const auto doing = fmt::format("push {}:{}", repository, tag);
  Request request{
      .method = "PUT", .path = fmt::format("/v2/{}/manifests/{}", repository, tag), .doing = doing, .body = text};
  request.headers.set("Content-Type", manifest.media_type);
  VERGE_TRY(const auto response, send(request));
  if (response.status == 404) return Error{ErrorCode::not_found, doing + ": the registry does not know the repository"};
  return std::string(manifest_digest);
}

Result<RegistryClient::FetchedManifest> RegistryClient::fetch_manifest(const std::string& repository,
                                                                       const std::string& version) {
  const auto doing = fmt::format("fetch the manifest of {}{}{}", repository, is_digest(version) ? "@" : ":", version);
  Request request{.path = fmt::format("/v2/{}/manifests/{}", repository, version), .doing = doing};
  request.headers.set("Accept", accepted_manifests);
  VERGE_TRY(auto response, send(request));
  if (response.status == 404)
    return Error{ErrorCode::not_found, fmt::format("{}: the registry {} does not have it", doing, options_.url)};
  FetchedManifest fetched{
      {std::string(response.headers.get("Content-Type")), sha256_digest(response.body), response.body.size(), {}, {}},
      {}};
  auto& type = fetched.descriptor.media_type;
  type = type.substr(0, type.find(';'));
  if (is_digest(version) && fetched.descriptor.digest != version)
    return Error{ErrorCode::corrupt, fmt::format("{}: what came is {}", doing, fetched.descriptor.digest)};
  fetched.text = std::move(response.body);
  return fetched;
}

Result<Descriptor> RegistryClient::resolve(const std::string& repository, const std::string& version) {
  VERGE_TRY(const auto fetched, fetch_manifest(repository, version));
  return fetched.descriptor;
}

Result<std::uint64_t> RegistryClient::pull_blob_once(BlobStore& store, const Descriptor& blob,
                                                     const std::string& repository) {
  VERGE_TRY(auto writer, store.resume(blob.digest, blob.size_bytes));
  const auto begun_at = writer.size_bytes();
  if (begun_at < blob.size_bytes) {
    Request request{.path = fmt::format("/v2/{}/blobs/{}", repository, blob.digest),
                    .doing = fmt::format("fetch blob {} of {}", blob.digest, repository)};
    if (begun_at > 0) request.headers.set("Range", fmt::format("bytes={}-", begun_at));
    Status written = Done{};
    std::uint64_t reported = begun_at;
    request.sink = [&](std::string_view piece) {
      written = writer.write(piece);
      if (writer.size_bytes() - reported >= report_bytes) report(blob, reported = writer.size_bytes());
      return static_cast<bool>(written);
    };
    VERGE_TRY(const auto response, require_success(send_once(request), request.doing));
    if (begun_at > 0 && response.status != 206) {
      writer.discard();
      return Error{ErrorCode::unavailable, "the registry does not answer ranges; starting the blob over"};
    }
    VERGE_CHECK(written);
  }
  if (writer.size_bytes() < blob.size_bytes)
    return Error{ErrorCode::unavailable,
                 fmt::format("blob {} ended after {} of {} bytes", blob.digest, writer.size_bytes(), blob.size_bytes)};
  VERGE_CHECK(writer.finish(blob.digest));
  report(blob, blob.size_bytes);
  return blob.size_bytes - begun_at;
}

Result<std::uint64_t> RegistryClient::pull_blob(BlobStore& store, const Descriptor& blob,
                                                const std::string& repository) {
  if (store.has(blob.digest)) {
    report(blob, blob.size_bytes);
    return std::uint64_t{0};
  }
  if (blob.size_bytes > options_.blob_bytes_max)
    return Error{ErrorCode::limit, fmt::format("blob {} has {} bytes, at most {} are fetched", blob.digest,
                                               blob.size_bytes, options_.blob_bytes_max)};
  auto delay = options_.retry_delay;
  for (int attempt = 1;; ++attempt, delay *= 2) {
    auto fetched = pull_blob_once(store, blob, repository);
    const bool is_cancelled = options_.is_cancelled && options_.is_cancelled();
    // A damaged partial file was thrown away by then: one fresh attempt is worth it.
    const bool is_retried = !fetched && (is_worth_retrying(fetched.error()) ||
                                         (fetched.error().code == ErrorCode::corrupt && attempt == 1));
    if (!is_retried || attempt >= options_.attempts_max || is_cancelled) return fetched;
    std::this_thread::sleep_for(delay);
  }
}

Result<PulledImage> RegistryClient::pull(BlobStore& store, const std::string& repository, const std::string& version,
                                         const Platform& platform) {
  VERGE_TRY(auto fetched, fetch_manifest(repository, version));
  if (fetched.descriptor.media_type == media_types::index ||
      fetched.descriptor.media_type == media_types::docker_index) {
    VERGE_TRY(const auto index, parse_index(fetched.text));
    const auto* found = find_platform(index, platform);
    if (!found)
      return Error{ErrorCode::not_found, fmt::format("{}:{} has no image for {}/{}", repository, version, platform.os,
                                                     platform.architecture)};
    VERGE_TRY(fetched, fetch_manifest(repository, found->digest));
  }
  VERGE_TRY(const auto manifest, parse_manifest(fetched.text));
  PulledImage image;
  std::vector<Descriptor> blobs = manifest.layers;
  blobs.push_back(manifest.config);
  for (const auto& blob : blobs) {
    VERGE_TRY(const auto bytes, pull_blob(store, blob, repository));
    image.fetched_bytes += bytes;
  }
  // The manifest last: it is in the store only when all it names is.
  VERGE_TRY(image.manifest, store.add(fetched.text, fetched.descriptor.media_type));
  return image;
}

}  // namespace verge::packaging
