// base/http_session.h -- one client's connection to HttpServer; private to base.
//
// Threads: everything on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "base/http_parser.h"
#include "base/http_response.h"
#include "base/http_server.h"

namespace verge {

class HttpSession;

/// What the sessions of one server share; HttpServer owns it, sessions hold it weakly.
struct HttpServer::Impl {
  Impl(Loop& own_loop, Handlers own_handlers, HttpLimits own_limits)
      : loop(own_loop), handlers(std::move(own_handlers)), limits(own_limits) {}

  Loop& loop;
  const Handlers handlers;
  const HttpLimits limits;
  bool is_closing = false;
  Loop::TimerId sweep_timer = 0;
  std::vector<std::pair<std::unique_ptr<Listener>, bool>> listeners;  // with "speaks TLS"
  std::unordered_map<HttpSession*, std::shared_ptr<HttpSession>> sessions;
};

/// Removes a spooled body when the last of session and handler let go of it.
class SpooledBody;

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  using Server = HttpServer::Impl;

  HttpSession(std::shared_ptr<Server> server, ConnectionPointer connection, bool is_tls);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  void start();
  /// Called about once a second: ends what takes too long.
  void check_time();
  /// Ends between requests, or after the current one.
  void finish();
  void abort();

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t { head, body, answering, sending, gone };

  void take(std::string_view bytes);
  void advance();
  bool step();
  void expect_request();

  void begin_body();
  bool take_body(std::string_view piece);
  bool make_spool_file(const std::filesystem::path& folder);

  void dispatch();
  void answer(HttpResponse response);
  void refuse(int status, std::string_view message);
  void send(OutgoingResponse response);
  void send_file_pieces();
  void answer_is_sent();

  bool wants_websocket() const;
  void upgrade();

  void leave();
  bool is_late() const;

  const std::weak_ptr<Server> server_;
  Loop& loop_;
  const HttpLimits limits_;
  ConnectionPointer connection_;
  const bool is_tls_;

  State state_ = State::head;
  std::string input_;  // the first taken_ bytes are done with
  std::size_t taken_ = 0;
  bool is_advancing_ = false;
  bool has_begun_ = false;  // the request's first byte is here
  bool is_last_ = false;
  std::unique_ptr<HttpRequestParser> parser_;
  HttpRequest head_;  // of the request being answered, without its body

  BodyPlan plan_;
  std::uint64_t body_bytes_ = 0;
  int body_error_ = 0;  // the status to refuse with, when take_body failed
  std::shared_ptr<SpooledBody> spool_;

  OutgoingResponse outgoing_;
  Clock::time_point since_ = Clock::now();  // of the state, or of the last progress in it
  std::size_t unsent_before_ = 0;
  Clock::time_point unsent_since_ = Clock::now();
};

}  // namespace verge
