// base/http.h -- HTTP messages as values, shared by server and client.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "base/net.h"
#include "base/result.h"

namespace verge {

/// Header fields; look-up ignores case, order of insertion is kept.
class HttpHeaders {
 public:
  void set(std::string_view name, std::string_view value);
  void add(std::string_view name, std::string_view value);
  /// Empty when absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
  std::string method{};  ///< Upper case.
  std::string target{};  ///< As sent: path and query, still encoded.
  std::string path{};    ///< Before '?', still percent-encoded; decode a segment after splitting.
  /// Decoded, here + means a blank; the last of equal keys counts.
  std::map<std::string, std::string, std::less<>> query{};
  HttpHeaders headers{};
  std::string body{};
  std::filesystem::path body_file{};  ///< Set instead of body when the server spooled it; removed after the answer.
  Peer peer{};
  bool is_tls = false;

  /// Path segments, each percent-decoded; "/a/b%2Fc/" gives {"a", "b/c"}.
  std::vector<std::string> segments() const;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers{};
  std::string body{};
  std::optional<std::filesystem::path> file{};  ///< Sent instead of body; Range requests are answered.
};

/// Fills target, path and query. Takes the origin form ("/path?query"), "*", and the absolute form
/// ("http://host/path", which loses its host). Errors: invalid_argument on a broken % escape, a control
/// character or another form.
Status set_target(HttpRequest& request, std::string_view target);

/// The standard reason phrase of a status: "Not Found"; "Status" for an unknown one.
std::string_view reason_phrase(int status);

/// True for texts that differ at most in the case of A-Z.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// 200 unless stated, Content-Type application/json; charset=utf-8.
HttpResponse json_response(const Json& body, int status = 200);
HttpResponse text_response(std::string_view text, int status = 200);

}  // namespace verge
