// hub/rest/router.h -- from a request to its handler: pattern, proof, thread, audit.
//
// A pattern is a path whose segments may be {name} (captured, decoded); a last segment * captures the rest.
// Threads: everything on the loop's thread; handlers run where their route says and answer from there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "base/http_server.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "hub/rest/access.h"
#include "hub/sessions/audit.h"
#include "hub/sessions/people.h"

namespace verge::hub {

struct Call {
  HttpRequest request;
  std::vector<std::string> parameters;  ///< What the pattern captured, in order.
  Caller caller;
  std::string cookie;  ///< The session token of a person.
};

/// Which of its own things a device or module may reach by this route; parameters[0] is the device, [1] the module.
enum class Own : std::uint8_t {
  nothing,
  device,     ///< The device itself, or its $edgeAgent.
  identity,   ///< The named identity itself, or its device.
  any,        ///< Any module of the device.
  everybody,  ///< Any device or module; what it may see does not depend on the path.
};

struct Need {
  Permissions policy = 0;  ///< All of these; 0: policies may not call.
  Role role = Role::none;  ///< At least; none: people may not call.
  Own own = Own::nothing;
  bool is_open = false;    ///< Needs no proof.
  bool is_audited = true;  ///< Changes are; GET and HEAD never.
};

/// The worker that runs a handler.
enum class Where : std::uint8_t {
  loop,     ///< Must not block; may answer later.
  control,  ///< Reads and writes identities and twins, one call after the other.
  slow,     ///< Hashes, long queries, files.
};

struct Route {
  std::string method, pattern;
  Need need;
  Where where = Where::control;
  std::function<void(const std::shared_ptr<const Call>&, Respond)> handle;
};

/// A handler that has its answer at once.
std::function<void(const std::shared_ptr<const Call>&, Respond)> answering(
    std::function<HttpResponse(const Call&)> answer);

class Router {
 public:
  struct Parts {
    Workers& control;
    Workers& slow;
    const Access& access;
    const People& people;
    Audit& audit;
    Metrics& metrics;
  };
  explicit Router(const Parts& parts);

  void add(Route route);
  /// Answers what no pattern fits (the page's files).
  void set_fallback(std::function<HttpResponse(const HttpRequest&)> answer) { fallback_ = std::move(answer); }
  void handle(HttpRequest request, Respond respond);
  /// Who sent this head; nobody when there is no proof. Errors: invalid_argument when the proof is bad.
  Result<Caller> caller_of(const HttpRequest& request) const;
  /// May the caller use the route that fits this head? For bodies that are not to be taken from strangers.
  bool is_allowed(const HttpRequest& head) const;

 private:
  struct Compiled {
    Route route;
    std::vector<std::string> segments;
  };
  const Compiled* find(const HttpRequest& request, std::vector<std::string>& parameters, bool& path_is_known) const;
  void run(const Compiled& compiled, std::shared_ptr<Call> call, Respond respond);
  Respond watched(const Compiled& compiled, const Call& call, Respond respond);

  Parts parts_;
  std::vector<Compiled> routes_;
  std::function<HttpResponse(const HttpRequest&)> fallback_;
  Histogram& duration_;
};

/// The cookie of a session. "verge_session"
extern const std::string_view kSessionCookie;
/// One cookie of the request; empty when absent.
std::string cookie_of(const HttpRequest& request, std::string_view name);

/// The error in the form of the path: Azure's, the image store's, or ours.
HttpResponse error_answer(const HttpRequest& request, int status, const Error& error);
inline HttpResponse error_answer(const HttpRequest& request, const Error& error) {
  return error_answer(request, http_status_of(error.code), error);
}
/// {"Message": "ErrorCode:<name>;<text>", "ExceptionMessage": "Tracking ID:…"}
HttpResponse azure_error(int status, std::string_view name, std::string_view text);

}  // namespace verge::hub
