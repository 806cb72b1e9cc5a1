#include "hub/images/registry_calls.h"

#include <charconv>
#include <fmt/core.h>
#include <optional>

#include "base/json.h"

namespace verge::hub {
namespace {

constexpr std::uint64_t kStrangersBytesMax = 4096;

HttpResponse refused(int status, std::string_view code, std::string_view message) {
  return json_response({{"errors", {{{"code", std::string(code)}, {"message", std::string(message)}}}}}, status);
}

HttpResponse empty(int status) {
  HttpResponse response;
  response.status = status;
  return response;
}

/// The specification's codes, by what failed.
HttpResponse upload_failed(const Error& error) {
  switch (error.code) {
    case ErrorCode::not_found:
      return refused(404, "BLOB_UPLOAD_UNKNOWN", error.message);
    case ErrorCode::conflict:
      return refused(416, "BLOB_UPLOAD_INVALID", error.message);
    case ErrorCode::corrupt:
      return refused(400, "DIGEST_INVALID", error.message);
    case ErrorCode::limit:
      return refused(413, "SIZE_INVALID", error.message);
    default:
      return refused(http_status_of(error.code), "UNKNOWN", error.message);
  }
}

/// "/v2/team/app/blobs/sha256:…" is repository "team/app", kind "blobs", item "sha256:…".
struct Target {
  std::string repository, kind, item;
};
std::optional<Target> target_of(const std::vector<std::string>& path) {
  for (std::size_t i = path.size(); i-- > 1;) {
    if (path[i] != "blobs" && path[i] != "manifests" && path[i] != "tags") continue;
    Target target;
    for (std::size_t k = 0; k < i; ++k) target.repository += (k == 0 ? "" : "/") + path[k];
    target.kind = path[i];
    for (std::size_t k = i + 1; k < path.size(); ++k) target.item += (k == i + 1 ? "" : "/") + path[k];
    if (is_repository_name(target.repository)) return target;
  }
  return std::nullopt;
}

std::string query_of(const Call& call, std::string_view name) {
  const auto found = call.request.query.find(name);
  return found == call.request.query.end() ? std::string() : found->second;
}

class RegistryCalls {
 public:
  explicit RegistryCalls(ImageStore& images) : images_(images) {}

  HttpResponse answer(const Call& call) const {
    const auto target = target_of(call.parameters);
    if (!target) return refused(404, "NAME_INVALID", "use /v2/<repository>/blobs|manifests|tags/…");
    if (target->kind == "manifests") return manifests(call, *target);
    if (target->kind == "tags") return tags(call, *target);
    if (target->item == "uploads" || target->item.starts_with("uploads/")) return uploads(call, *target);
    return blob(call, *target);
  }

 private:
  HttpResponse blob(const Call& call, const Target& target) const {
    if (call.request.method != "GET" && call.request.method != "HEAD")
      return refused(405, "UNSUPPORTED", "blobs are not removed here");
    const auto path = images_.find_blob(target.repository, target.item);
    if (!path)
      return refused(404, "BLOB_UNKNOWN",
                     fmt::format("repository \"{}\" has no blob {}", target.repository, target.item.substr(0, 100)));
    HttpResponse response;
    response.file = *path;
    response.headers.set("Content-Type", "application/octet-stream");
    response.headers.set("Docker-Content-Digest", target.item);
    response.headers.set("ETag", "\"" + target.item + "\"");
    return response;
  }

  HttpResponse tags(const Call& call, const Target& target) const {
    if (target.item != "list") return refused(404, "NAME_UNKNOWN", "use tags/list");
    auto tags = images_.tags(target.repository);
    if (!tags) return refused(404, "NAME_UNKNOWN", tags.error().message);
    std::size_t count_max = tags->size();
    if (const std::string n = query_of(call, "n"); !n.empty())
      std::from_chars(n.data(), n.data() + n.size(), count_max);
    const std::string last = query_of(call, "last");
    Json list = Json::array();
    for (const auto& tag : *tags) {
      if (tag > last && list.size() < count_max) list.push_back(tag);
    }
    return json_response({{"name", target.repository}, {"tags", std::move(list)}});
  }

  HttpResponse manifests(const Call& call, const Target& target) const {
    if (call.request.method == "PUT") return put_manifest(call, target);
    if (call.request.method != "GET" && call.request.method != "HEAD")
      return refused(405, "UNSUPPORTED", "manifests are not removed here");
    const auto manifest = images_.manifest(target.repository, target.item);
    if (!manifest) return refused(404, "MANIFEST_UNKNOWN", manifest.error().message);
    HttpResponse response;
    response.body = manifest->bytes;
    response.headers.set("Content-Type", manifest->media_type);
    response.headers.set("Docker-Content-Digest", manifest->digest);
    response.headers.set("ETag", "\"" + manifest->digest + "\"");
    return response;
  }

  HttpResponse put_manifest(const Call& call, const Target& target) const {
    const auto digest = images_.put_manifest(target.repository, target.item, call.request.headers.get("Content-Type"),
                                             call.request.body);
    if (!digest) {
      const Error& error = digest.error();
      if (error.code == ErrorCode::not_found) return refused(404, "MANIFEST_BLOB_UNKNOWN", error.message);
      if (error.code == ErrorCode::invalid_argument) return refused(400, "MANIFEST_INVALID", error.message);
      return refused(http_status_of(error.code), "SIZE_INVALID", error.message);
    }
    auto response = empty(201);
    response.headers.set("Location", fmt::format("/v2/{}/manifests/{}", target.repository, *digest));
    response.headers.set("Docker-Content-Digest", *digest);
    return response;
  }

  HttpResponse uploads(const Call& call, const Target& target) const {
    const std::string& method = call.request.method;
    if (method == "POST") return begin(call, target);
    const std::string upload = target.item.size() > 8 ? target.item.substr(8) : std::string();
    if (method == "PATCH") return append(call, target, upload);
    if (method == "PUT") return append_and_finish(call, target, upload);
    if (method == "DELETE") {
      const auto cancelled = images_.cancel_upload(target.repository, upload);
      return cancelled ? empty(204) : upload_failed(cancelled.error());
    }
    const auto bytes = images_.upload_size(target.repository, upload);
    return bytes ? progress(204, target, upload, *bytes) : upload_failed(bytes.error());
  }

  static HttpResponse progress(int status, const Target& target, const std::string& upload, std::uint64_t bytes) {
    auto response = empty(status);
    response.headers.set("Location", fmt::format("/v2/{}/blobs/uploads/{}", target.repository, upload));
    response.headers.set("Range", fmt::format("0-{}", bytes == 0 ? 0 : bytes - 1));
    response.headers.set("Docker-Upload-UUID", upload);
    return response;
  }

  static HttpResponse created(const Target& target, const std::string& digest) {
    auto response = empty(201);
    response.headers.set("Location", fmt::format("/v2/{}/blobs/{}", target.repository, digest));
    response.headers.set("Docker-Content-Digest", digest);
    return response;
  }

  /// A new upload; with ?digest the whole blob is in the body, with ?mount it is elsewhere already.
  HttpResponse begin(const Call& call, const Target& target) const {
    const std::string mount = query_of(call, "mount");
    if (!mount.empty() && images_.mount_blob(target.repository, mount, query_of(call, "from")))
      return created(target, mount);
    const auto upload = images_.begin_upload(target.repository);
    if (!upload) return upload_failed(upload.error());
    if (query_of(call, "digest").empty()) return progress(202, target, *upload, 0);
    return append_and_finish(call, target, *upload);
  }

  HttpResponse append(const Call& call, const Target& target, const std::string& upload) const {
    const auto bytes = take_body(call, target, upload);
    return bytes ? progress(202, target, upload, *bytes) : upload_failed(bytes.error());
  }

  HttpResponse append_and_finish(const Call& call, const Target& target, const std::string& upload) const {
    const std::string digest = query_of(call, "digest");
    if (!is_digest(digest)) return refused(400, "DIGEST_INVALID", "say ?digest=sha256:<64 hex digits>");
    if (const auto bytes = take_body(call, target, upload); !bytes) return upload_failed(bytes.error());
    const auto finished = images_.finish_upload(target.repository, upload, digest);
    return finished ? created(target, digest) : upload_failed(finished.error());
  }

  /// Returns the upload's size afterwards.
  Result<std::uint64_t> take_body(const Call& call, const Target& target, const std::string& upload) const {
    std::error_code error;
    const auto& file = call.request.body_file;
    if (file.empty() || std::filesystem::file_size(file, error) == 0)
      return images_.upload_size(target.repository, upload);
    return images_.append_upload(target.repository, upload, file, start_of(call));
  }

  /// The first number of "Content-Range: 0-1023".
  static std::optional<std::uint64_t> start_of(const Call& call) {
    std::string_view text = call.request.headers.get("Content-Range");
    if (text.starts_with("bytes ")) text.remove_prefix(6);
    std::uint64_t start = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), start);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return start;
  }

  ImageStore& images_;
};

bool is_upload(const HttpRequest& head) {
  return head.path.starts_with("/v2/") && head.path.find("/blobs/uploads") != std::string::npos;
}

}  // namespace

void add_registry_calls(Router& router, ImageStore& images) {
  const auto calls = std::make_shared<const RegistryCalls>(images);
  const Need pull{.policy = kRegistryRead, .role = Role::viewer, .own = Own::everybody};
  const Need push{.policy = kRegistryWrite, .role = Role::admin, .is_audited = false};
  const auto ping = answering([](const Call&) {
    auto response = json_response(Json::object());
    response.headers.set("Docker-Distribution-API-Version", "registry/2.0");
    return response;
  });
  router.add({"GET", "/v2", pull, Where::loop, ping});
  router.add({"GET", "/v2/_catalog", pull, Where::slow, answering([&images](const Call& call) {
                const auto names = images.repositories();
                return names ? json_response({{"repositories", *names}}) : error_answer(call.request, names.error());
              })});
  const auto handle = answering([calls](const Call& call) { return calls->answer(call); });
  router.add({"GET", "/v2/*", pull, Where::slow, handle});
  for (const char* method : {"POST", "PATCH", "DELETE"}) router.add({method, "/v2/*", push, Where::slow, handle});
  Need push_manifest = push;
  push_manifest.is_audited = true;
  router.add({"PUT", "/v2/*", push_manifest, Where::slow, handle});
}

BodyPlan plan_registry_body(const Router& router, const ImageStore& images, const HttpRequest& head) {
  BodyPlan plan;
  if (!router.is_allowed(head)) {
    plan.bytes_max = kStrangersBytesMax;
    return plan;
  }
  plan.bytes_max = images.limits().manifest_bytes_max;
  if (!is_upload(head)) return plan;
  plan.bytes_max = images.limits().blob_bytes_max;
  plan.spool_folder = images.spool_folder();
  return plan;
}

}  // namespace verge::hub
