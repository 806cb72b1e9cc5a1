#include "base/http.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/json.h"

namespace verge {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

struct Phrase {
  int status;
  std::string_view text;
};
constexpr std::array<Phrase, 34> kPhrases{{
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {507, "Insufficient Storage"},
}};

Result<std::string> decode_query_text(std::string_view text) {
  std::string blanks(text);
  std::replace(blanks.begin(), blanks.end(), '+', ' ');
  return percent_decode(blanks);
}

Status add_query(HttpRequest& request, std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    VERGE_TRY(auto key, decode_query_text(pair.substr(0, equals)));
    VERGE_TRY(auto value, decode_query_text(pair.substr(std::min(equals + 1, pair.size()))));
    request.query.insert_or_assign(std::move(key), std::move(value));
  }
  return Done{};
}

/// "http://host:1/a?b" becomes "/a?b"; anything else stays.
std::string_view without_origin(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const auto path = target.find_first_of("/?", scheme.size());
    return path == std::string_view::npos ? "/" : target.substr(path);
  }
  return target;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

void HttpHeaders::set(std::string_view name, std::string_view value) {
  std::erase_if(fields_, [&](const auto& field) { return equal_ignoring_case(field.first, name); });
  add(name, value);
}

void HttpHeaders::add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }

std::string_view HttpHeaders::get(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return {};
}

bool HttpHeaders::has(std::string_view name) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const auto& field) { return equal_ignoring_case(field.first, name); });
}

std::vector<std::string> HttpRequest::segments() const {
  std::vector<std::string> segments;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('/'), rest.size());
    if (const auto raw = rest.substr(0, end); !raw.empty()) {
      auto decoded = percent_decode(raw);
      segments.push_back(decoded ? std::move(*decoded) : std::string(raw));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return segments;
}

Status set_target(HttpRequest& request, std::string_view target) {
  const bool has_control = std::any_of(target.begin(), target.end(),
                                       [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
  const std::string_view local = without_origin(target);
  if (has_control || local.empty() || (local[0] != '/' && local[0] != '?' && local != "*")) {
    return Error{ErrorCode::invalid_argument, fmt::format("read the target \"{:.80}\": expected /path?query", target)};
  }
  const auto question = std::min(local.find('?'), local.size());
  request.target = local;
  request.path = question == 0 ? "/" : local.substr(0, question);
  request.query.clear();
  if (const auto decoded = percent_decode(request.path); !decoded) return decoded.error();
  return add_query(request, local.substr(std::min(question + 1, local.size())));
}

std::string_view reason_phrase(int status) {
  const auto found =
      std::find_if(kPhrases.begin(), kPhrases.end(), [&](const Phrase& phrase) { return phrase.status == status; });
  return found == kPhrases.end() ? "Status" : found->text;
}

HttpResponse json_response(const Json& body, int status) {
  HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/json; charset=utf-8");
  response.body = to_text(body);
  return response;
}

HttpResponse text_response(std::string_view text, int status) {
  HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  response.body = text;
  return response;
}

}  // namespace verge
