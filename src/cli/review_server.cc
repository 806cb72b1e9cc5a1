#include "cli/review_server.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::cli {
namespace {

constexpr std::string_view kChangeHeader = "X-Verge";
constexpr std::size_t kChangeBytesMax = 64U << 10U;
constexpr std::size_t kTokenBytes = 24;

std::string_view content_type(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {{".html", "text/html; charset=utf-8"},
                                                                             {".js", "text/javascript; charset=utf-8"},
                                                                             {".css", "text/css; charset=utf-8"},
                                                                             {".svg", "image/svg+xml"},
                                                                             {".flac", "audio/flac"},
                                                                             {".wav", "audio/wav"},
                                                                             {".mp3", "audio/mpeg"},
                                                                             {".ogg", "audio/ogg"},
                                                                             {".opus", "audio/ogg"}};
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

HttpResponse refusal(int status, const Error& error) {
  return json_response({{"code", name_of(error.code)}, {"message", error.message}}, status);
}

HttpResponse refusal(const Error& error) { return refusal(http_status_of(error.code), error); }

std::string session_in(const HttpRequest& request, std::string_view cookie) {
  std::string_view rest = request.headers.get("Cookie");
  while (!rest.empty()) {
    const auto item = trimmed(rest.substr(0, rest.find(';')));
    rest.remove_prefix(
        std::min(rest.size(), rest.find(';') == std::string_view::npos ? rest.size() : rest.find(';') + 1));
    if (item.size() > cookie.size() && item.starts_with(cookie) && item[cookie.size()] == '=')
      return std::string(item.substr(cookie.size() + 1));
  }
  return {};
}

Json clip_for_page(const audio::Clip& clip) {
  Json json = audio::to_json(clip);
  json["doubt"] = audio::doubt_of(clip);
  json["revision"] = clip.revision;
  json["reviewed"] = clip.is_reviewed;
  for (const char* member : {"digest", "model"}) json.erase(member);
  return json;
}

}  // namespace

struct ReviewServer::Impl {
  Impl(audio::Dataset& dataset_used, const std::vector<PageFile>& files) : dataset(dataset_used) {
    for (const auto& file : files) page["/" + std::string(file.name)] = file.bytes;
  }

  HttpResponse answer(const HttpRequest& request) {
    if (!is_our_host(request))
      return refusal(403, {ErrorCode::invalid_argument, "this address is not ours; open the one that was printed"});
    if (request.path == "/" && request.query.contains("token")) return log_in(request);
    if (!equal_constant_time(session_in(request, cookie_name()), session))
      return refusal(401, {ErrorCode::invalid_argument,
                           "open the address that verge data review printed; it works once, then in that browser. For "
                           "another browser begin the review anew"});
    if (request.method == "GET" || request.method == "HEAD") return read(request);
    if (request.method == "PUT" && request.path == "/api/clip") return change(request);
    return refusal(405, {ErrorCode::invalid_argument, "only GET, and PUT of /api/clip, are known here"});
  }

  bool is_our_host(const HttpRequest& request) const {
    const auto host = request.headers.get("Host");
    return host == fmt::format("127.0.0.1:{}", port) || host == fmt::format("localhost:{}", port);
  }
  /// Browsers share cookies among the ports of a host.
  std::string cookie_name() const { return fmt::format("verge_review_{}", port); }

  HttpResponse log_in(const HttpRequest& request) {
    const std::string& given = request.query.find("token")->second;
    HttpResponse response;
    response.headers.set("Cache-Control", "no-store");
    // A second time, in the browser that has the session already, is a reload and no theft.
    const bool is_known = equal_constant_time(session_in(request, cookie_name()), session);
    if (!is_known && (token.empty() || !equal_constant_time(given, token))) {
      log_warning("review", "a log-in was refused", {{"peer", request.peer.address}});
      return refusal(401, {ErrorCode::invalid_argument,
                           "this address was used, or is not the one that was printed; begin the review anew"});
    }
    if (!is_known) {
      token.clear();
      response.headers.set("Set-Cookie",
                           fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/", cookie_name(), session));
    }
    response.status = 303;
    response.headers.set("Location", "/");
    return response;
  }

  HttpResponse read(const HttpRequest& request) const {
    if (request.path == "/api/clips") return list_clips();
    if (request.path == "/api/clip") return one_clip(request);
    if (request.path == "/api/sound") return sound(request);
    const auto found = page.find(request.path == "/" ? "/review/index.html" : request.path);
    if (found == page.end()) return refusal({ErrorCode::not_found, "there is nothing at this address"});
    HttpResponse response;
    response.headers.set("Content-Type", content_type(found->first));
    response.headers.set("Cache-Control", "no-cache");
    response.headers.set("Content-Security-Policy",
                         "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; frame-ancestors 'none'");
    response.headers.set("X-Content-Type-Options", "nosniff");
    response.headers.set("Referrer-Policy", "no-referrer");
    response.body = std::string(found->second);
    return response;
  }

  /// What a person should look at first, first.
  HttpResponse list_clips() const {
    std::vector<const audio::Clip*> clips;
    for (const auto& clip : dataset.clips()) clips.push_back(&clip);
    std::ranges::stable_sort(clips, [](const auto* a, const auto* b) {
      if (a->is_reviewed != b->is_reviewed) return b->is_reviewed;
      return audio::doubt_of(*a) > audio::doubt_of(*b);
    });
    const std::size_t all = clips.size();
    clips.resize(std::min(all, kClipsListedMax));
    Json list = Json::array();
    for (const auto* clip : clips) list.push_back(clip_for_page(*clip));
    return json_response({{"name", dataset.info().name},
                          {"language", dataset.info().language},
                          {"doubtful_below", audio::kDoubtfulBelow},
                          {"all", all},
                          {"clips", std::move(list)}});
  }

  Result<const audio::Clip*> asked_clip(const HttpRequest& request) const {
    const auto media = request.query.find("media");
    const auto* clip = media == request.query.end() ? nullptr : dataset.find(media->second);
    if (clip == nullptr) return Error{ErrorCode::not_found, "the dataset has no clip of this name"};
    return clip;
  }

  HttpResponse one_clip(const HttpRequest& request) const {
    const auto clip = asked_clip(request);
    return clip ? json_response(clip_for_page(**clip)) : refusal(clip.error());
  }

  HttpResponse sound(const HttpRequest& request) const {
    const auto clip = asked_clip(request);
    if (!clip) return refusal(clip.error());
    HttpResponse response;
    response.headers.set("Content-Type", content_type((*clip)->media));
    response.headers.set("Cache-Control", "private, max-age=3600");
    response.file = dataset.path_of(**clip);
    return response;
  }

  HttpResponse change(const HttpRequest& request) {
    if (!request.headers.has(kChangeHeader))
      return refusal(403, {ErrorCode::invalid_argument, "a change needs the header X-Verge"});
    const auto stored = asked_clip(request);
    if (!stored) return refusal(stored.error());
    const auto changed = changed_clip(**stored, request.body);
    if (!changed) return refusal(changed.error());
    const auto put = dataset.put(*changed);
    if (!put && put.error().code == ErrorCode::conflict) {
      // Whoever was second gets what the first wrote, and keeps what they typed.
      return json_response({{"code", "conflict"}, {"message", put.error().message}, {"clip", clip_for_page(**stored)}},
                           409);
    }
    if (!put) return refusal(put.error());
    return json_response(clip_for_page(*dataset.find(changed->media)));
  }

  static Result<audio::Clip> changed_clip(audio::Clip clip, const std::string& body) {
    VERGE_TRY(const auto json, parse_json(body));
    if (!json.is_object()) return Error{ErrorCode::invalid_argument, "the body must be a JSON object"};
    VERGE_TRY(clip.text, string_member(json, "text", clip.text));
    VERGE_TRY(clip.speaker, string_member(json, "speaker", clip.speaker));
    VERGE_TRY(clip.room, string_member(json, "room", clip.room));
    VERGE_TRY(clip.device, string_member(json, "device", clip.device));
    VERGE_TRY(clip.is_reviewed, bool_member(json, "reviewed", clip.is_reviewed));
    VERGE_TRY(const auto revision, integer_member(json, "revision", -1));
    if (revision < 0) return Error{ErrorCode::invalid_argument, "\"revision\" must be the one that was read"};
    clip.revision = static_cast<std::uint64_t>(revision);
    return clip;
  }

  audio::Dataset& dataset;
  std::map<std::string, std::string_view, std::less<>> page;
  const std::string session = to_hex(random_bytes(kTokenBytes));
  const std::string first_token = to_hex(random_bytes(kTokenBytes));
  std::string token = first_token;  ///< Empty once used.
  std::uint16_t port = 0;
  std::unique_ptr<HttpServer> server;
};

Result<std::unique_ptr<ReviewServer>> ReviewServer::start(Loop& loop, audio::Dataset& dataset,
                                                          std::vector<PageFile> page, std::uint16_t port) {
  auto impl = std::make_unique<Impl>(dataset, page);
  auto* const raw = impl.get();
  HttpServer::Handlers handlers;
  handlers.request = [raw](const HttpRequest& request, const Respond& respond) { respond(raw->answer(request)); };
  handlers.plan_body = [](const HttpRequest&) { return BodyPlan{.bytes_max = kChangeBytesMax}; };
  impl->server = std::make_unique<HttpServer>(loop, std::move(handlers));
  VERGE_TRY(impl->port, impl->server->listen({.port = port, .connections_max = 64}));
  return std::unique_ptr<ReviewServer>(new ReviewServer(std::move(impl)));
}

ReviewServer::ReviewServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ReviewServer::~ReviewServer() = default;
std::uint16_t ReviewServer::port() const { return impl_->port; }
std::string ReviewServer::address() const {
  return fmt::format("http://127.0.0.1:{}/?token={}", impl_->port, impl_->first_token);
}

}  // namespace verge::cli
