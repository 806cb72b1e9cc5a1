#include "agent/workload/workload_api.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time.h"

namespace verge::agent {
namespace {

constexpr int kCertificateDays = 90;
constexpr std::size_t kTagBytes = 32;

std::string key_stream_xor(const std::string& key, const std::string& vector, std::string text) {
  for (std::size_t block = 0; block * 32 < text.size(); ++block) {
    const std::string mask = hmac_sha256(key, fmt::format("stream:{}:", block) + vector);
    for (std::size_t i = 0; i < 32 && block * 32 + i < text.size(); ++i) {
      text[block * 32 + i] = static_cast<char>(text[block * 32 + i] ^ mask[i]);
    }
  }
  return text;
}

std::string tag_of(const std::string& key, const std::string& vector, const std::string& body) {
  return hmac_sha256(key, fmt::format("tag:{}:", vector.size()) + vector + body);
}

HttpResponse refusal(int status, std::string_view message) { return json_response(Json{{"message", message}}, status); }
HttpResponse refusal(const Error& error) { return refusal(http_status_of(error.code), error.message); }

Result<std::string> bytes_member(const Json& body, std::string_view key) {
  VERGE_TRY(const std::string text, string_member(body, key));
  auto bytes = from_base64(text);
  if (!bytes) return std::move(bytes).error().within(fmt::format("member \"{}\"", key));
  return bytes;
}

}  // namespace

struct WorkloadApi::Impl {
  struct Server {
    ModuleIdentity identity;
    std::unique_ptr<HttpServer> http;
  };

  Impl(Loop& l, std::filesystem::path f, KeyAndCertificate a, std::string s)
      : loop(l), folder(std::move(f)), authority(std::move(a)), secret(std::move(s)) {}

  Loop& loop;
  const std::filesystem::path folder;
  const KeyAndCertificate authority;
  const std::string secret;
  std::map<std::string, Server> servers;

  std::filesystem::path socket_of(const std::string& module) const { return folder / module / "workload.sock"; }

  Status open(const std::string& module, Server& server) {
    const auto own = folder / module;
    std::error_code failed;
    std::filesystem::create_directories(own, failed);
    // A module may run as any user: it passes through the folder, and may connect, but not list or write.
    for (const auto& path : {folder, own}) chmod(path.c_str(), 0711);
    HttpServer::Handlers handlers;
    handlers.request = [this, module](HttpRequest request, const Respond& respond) {
      respond(answer(module, request));
    };
    server.http = std::make_unique<HttpServer>(loop, handlers);
    auto listening = server.http->listen_unix(socket_of(module), 0666);
    if (!listening)
      return std::move(listening).error().within(fmt::format("open the workload socket of module {}", module));
    return Done{};
  }

  HttpResponse answer(const std::string& module, const HttpRequest& request) const {
    const auto path = request.segments();
    if (request.method == "GET" && path.size() == 1) {
      if (path[0] == "trust-bundle" || path[0] == "manifest-trust-bundle") {
        return json_response(Json{{"certificate", authority.certificate_pem}});
      }
      if (path[0] == "modules") return json_response(list_modules());
    }
    if (request.method != "POST" || path.size() < 4 || path[0] != "modules") {
      return refusal(404, fmt::format("there is no {} {}", request.method, request.path));
    }
    if (path[1] != module) {
      log_warning("workload", "a module asked in the name of another", {{"module", module}, {"asked", path[1]}});
      return refusal(403, "a module can only ask for itself");
    }
    const auto body = parse_json(request.body.empty() ? "{}" : request.body);
    if (!body) return refusal(body.error());
    if (!body->is_object()) return refusal(400, "the body must be a JSON object");
    // /modules/M/certificate/identity has no generation; the others are /modules/M/genid/G/…
    if (path.size() == 4 && path[2] == "certificate" && path[3] == "identity") return certificate(module, *body, true);
    if (path[2] != "genid" || path.size() < 5) return refusal(404, fmt::format("there is no {}", request.path));
    if (path.size() == 5 && path[4] == "sign") return sign(module, *body);
    if (path.size() == 5 && path[4] == "encrypt") return encrypt(module, *body);
    if (path.size() == 5 && path[4] == "decrypt") return decrypt(module, *body);
    if (path.size() == 6 && path[4] == "certificate" && path[5] == "server") return certificate(module, *body, false);
    return refusal(404, fmt::format("there is no {}", request.path));
  }

  Json list_modules() const {
    Json list = Json::array();
    for (const auto& [name, server] : servers) list.push_back({{"name", name}});
    return {{"modules", list}};
  }

  HttpResponse sign(const std::string& module, const Json& body) const {
    const auto data = bytes_member(body, "data");
    if (!data) return refusal(data.error());
    const auto key = from_base64(servers.at(module).identity.primary_key);
    if (!key || key->empty()) return refusal(500, "this module's identity has no symmetric key");
    return json_response(Json{{"digest", to_base64(hmac_sha256(*key, *data))}});
  }

  std::string key_of(const std::string& module) const { return hmac_sha256(secret, "module:" + module); }

  HttpResponse encrypt(const std::string& module, const Json& body) const {
    const auto plain = bytes_member(body, "plaintext");
    if (!plain) return refusal(plain.error());
    const auto vector = bytes_member(body, "initializationVector");
    if (!vector) return refusal(vector.error());
    return json_response(Json{{"ciphertext", to_base64(seal(key_of(module), *vector, *plain))}});
  }

  HttpResponse decrypt(const std::string& module, const Json& body) const {
    const auto sealed = bytes_member(body, "ciphertext");
    if (!sealed) return refusal(sealed.error());
    const auto vector = bytes_member(body, "initializationVector");
    if (!vector) return refusal(vector.error());
    const auto plain = unseal(key_of(module), *vector, *sealed);
    if (!plain) return refusal(plain.error());
    return json_response(Json{{"plaintext", to_base64(*plain)}});
  }

  HttpResponse certificate(const std::string& module, const Json& body, bool for_client) const {
    const auto name = string_member(body, "commonName", module);
    if (!name) return refusal(name.error());
    CertificateRequest wanted;
    wanted.common_name = *name;
    wanted.dns_names = {*name};
    if (*name != module) wanted.dns_names.push_back(module);
    wanted.days = kCertificateDays;
    wanted.for_client = for_client;
    const auto made = make_certificate(authority, wanted);
    if (!made) return refusal(made.error());
    const auto end_s = certificate_end_s(made->certificate_pem);
    if (!end_s) return refusal(end_s.error());
    return json_response(Json{{"privateKey", {{"type", "key"}, {"bytes", made->key_pem}}},
                              {"certificate", made->certificate_pem + authority.certificate_pem},
                              {"expiration", to_iso8601(*end_s * 1'000'000)}},
                         201);
  }
};

WorkloadApi::WorkloadApi(Loop& loop, std::filesystem::path folder, KeyAndCertificate device_authority,
                         std::string secret)
    : impl_(std::make_unique<Impl>(loop, std::move(folder), std::move(device_authority), std::move(secret))) {}
WorkloadApi::~WorkloadApi() = default;

Status WorkloadApi::serve(const ModuleIdentities& modules) {
  for (auto server = impl_->servers.begin(); server != impl_->servers.end();) {
    if (modules.count(server->first) != 0) {
      ++server;
      continue;
    }
    std::error_code failed;
    std::filesystem::remove_all(impl_->folder / server->first, failed);
    server = impl_->servers.erase(server);
  }
  Status first_error = Done{};
  for (const auto& [name, identity] : modules) {
    const auto known = impl_->servers.find(name);
    if (known != impl_->servers.end()) {
      known->second.identity = identity;
      continue;
    }
    Impl::Server& server = impl_->servers[name];
    server.identity = identity;
    if (auto opened = impl_->open(name, server); !opened) {
      impl_->servers.erase(name);
      if (first_error) first_error = std::move(opened);
    }
  }
  return first_error;
}

std::filesystem::path WorkloadApi::socket_of(const std::string& module) const { return impl_->socket_of(module); }

std::string seal(const std::string& key, const std::string& vector, const std::string& plain) {
  const std::string body = key_stream_xor(key, vector, plain);
  return body + tag_of(key, vector, body);
}

Result<std::string> unseal(const std::string& key, const std::string& vector, const std::string& sealed) {
  if (sealed.size() < kTagBytes) return Error{ErrorCode::corrupt, "decrypt: the ciphertext is shorter than its tag"};
  const std::string body = sealed.substr(0, sealed.size() - kTagBytes);
  if (!equal_constant_time(tag_of(key, vector, body), std::string_view(sealed).substr(body.size()))) {
    return Error{ErrorCode::corrupt, "decrypt: the ciphertext was not made for this module and vector"};
  }
  return key_stream_xor(key, vector, body);
}

}  // namespace verge::agent
