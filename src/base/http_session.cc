#include "base/http_session.h"

#include <atomic>
#include <fmt/format.h>
#include <utility>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/websocket_internal.h"

namespace verge {
namespace {

constexpr std::size_t kPipelinedBytesMax = 256U << 10U;  // beyond it the client has to wait
constexpr std::size_t kFilePieceBytes = 256U << 10U;
constexpr std::size_t kUnsentBytesMax = 512U << 10U;

/// True when a comma-separated header field holds `token`.
bool has_token(std::string_view field, std::string_view token) {
  while (!field.empty()) {
    const auto end = std::min(field.find(','), field.size());
    std::string_view item = field.substr(0, end);
    field.remove_prefix(std::min(end + 1, field.size()));
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (equal_ignoring_case(item, token)) return true;
  }
  return false;
}

}  // namespace

class SpooledBody {
 public:
  SpooledBody(std::filesystem::path path, std::unique_ptr<DiskFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  ~SpooledBody() {
    file_.reset();
    std::error_code ignored;  // the handler may have moved it away
    std::filesystem::remove(path_, ignored);
  }
  SpooledBody(const SpooledBody&) = delete;
  SpooledBody& operator=(const SpooledBody&) = delete;

  Status append(std::string_view bytes) {
    VERGE_CHECK(file_->write_at(size_bytes_, bytes));
    size_bytes_ += bytes.size();
    return Done{};
  }
  void end_writing() { file_.reset(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
  std::unique_ptr<DiskFile> file_;
  std::uint64_t size_bytes_ = 0;
};

HttpSession::HttpSession(std::shared_ptr<Server> server, ConnectionPointer connection, bool is_tls)
    : server_(server),
      loop_(server->loop),
      limits_(server->limits),
      connection_(std::move(connection)),
      is_tls_(is_tls) {
  expect_request();
}
HttpSession::~HttpSession() = default;

void HttpSession::start() {
  Connection::Handler stream;
  const auto weak = weak_from_this();
  stream.bytes = [weak](std::string_view bytes) {
    if (const auto self = weak.lock()) self->take(bytes);
  };
  stream.closed = [weak](const Error&) {
    if (const auto self = weak.lock()) self->leave();
  };
  stream.drained = [weak] {
    const auto self = weak.lock();
    if (self != nullptr && self->state_ == State::sending) self->send_file_pieces();
  };
  connection_->start(std::move(stream));
}

// -- reading requests

void HttpSession::take(std::string_view bytes) {
  if (state_ == State::gone) return;
  input_.append(bytes);
  advance();
}

/// Works off the input until it lacks something or a request has to be answered first. An answer
/// given at once comes back here by way of answer(); the flag turns that recursion into this loop.
void HttpSession::advance() {
  if (is_advancing_) return;
  is_advancing_ = true;
  const auto self = shared_from_this();
  while ((state_ == State::head || state_ == State::body) && taken_ < input_.size() && step()) {
  }
  is_advancing_ = false;
  input_.erase(0, taken_);
  taken_ = 0;
  if (state_ != State::gone) connection_->pause_reading(input_.size() > kPipelinedBytesMax);
}

/// False when more input is needed.
bool HttpSession::step() {
  if (!std::exchange(has_begun_, true)) since_ = Clock::now();
  const std::size_t used = parser_->put(std::string_view(input_).substr(taken_));
  taken_ += used;
  using Parsed = HttpRequestParser::State;
  const Parsed parsed = parser_->state();
  if (parsed == Parsed::failed) {
    if (body_error_ == 413) {
      refuse(413, fmt::format("the body is larger than {} bytes", plan_.bytes_max));
    } else if (body_error_ != 0) {
      refuse(body_error_, "the body cannot be stored");
    } else {
      refuse(parser_->error_status(), parser_->error_text());
    }
    return true;
  }
  if (state_ == State::head && parsed != Parsed::head) begin_body();
  if (state_ == State::body && parser_->state() == Parsed::done) dispatch();
  if (used > 0 && state_ == State::body) since_ = Clock::now();
  return used > 0;
}

void HttpSession::expect_request() {
  state_ = State::head;
  has_begun_ = false;
  since_ = Clock::now();
  plan_ = BodyPlan();
  body_bytes_ = 0;
  body_error_ = 0;
  spool_.reset();
  parser_ = std::make_unique<HttpRequestParser>(limits_.header_bytes_max,
                                                [this](std::string_view piece) { return take_body(piece); });
}

// -- the body

void HttpSession::begin_body() {
  HttpRequest& request = parser_->request();
  request.peer = connection_->peer();
  request.is_tls = is_tls_;
  state_ = State::body;
  const auto server = server_.lock();
  if (server == nullptr) return abort();
  if (wants_websocket()) return upgrade();
  if (server->handlers.plan_body) plan_ = server->handlers.plan_body(request);
  if (parser_->content_length().value_or(0) > plan_.bytes_max) {
    return refuse(
        413, fmt::format("the body has {} bytes; at most {} are allowed", *parser_->content_length(), plan_.bytes_max));
  }
  if (parser_->state() == HttpRequestParser::State::done) return;
  if (!plan_.spool_folder.empty() && !make_spool_file(plan_.spool_folder)) return;
  if (equal_ignoring_case(request.headers.get("Expect"), "100-continue")) {
    connection_->send("HTTP/1.1 100 Continue\r\n\r\n");
  }
}

bool HttpSession::make_spool_file(const std::filesystem::path& folder) {
  const auto path = folder / ("body-" + to_hex(random_bytes(12)));
  auto file = system_disk().open(path, true);
  if (!file) {
    log_error("http", file.error());
    refuse(507, "the body cannot be stored");
    return false;
  }
  spool_ = std::make_shared<SpooledBody>(path, std::move(*file));
  return true;
}

bool HttpSession::take_body(std::string_view piece) {
  body_bytes_ += piece.size();
  if (body_bytes_ > plan_.bytes_max) {
    body_error_ = 413;
    return false;
  }
  if (spool_ == nullptr) {
    parser_->request().body.append(piece);
    return true;
  }
  const Status written = spool_->append(piece);
  if (written) return true;
  log_error("http", written.error());
  body_error_ = written.error().code == ErrorCode::limit ? 507 : 500;
  return false;
}

// -- answering

void HttpSession::dispatch() {
  const auto server = server_.lock();
  if (server == nullptr) return abort();
  state_ = State::answering;
  since_ = Clock::now();
  is_last_ = !parser_->is_keep_alive();
  HttpRequest request = std::move(parser_->request());
  if (spool_ != nullptr) {
    spool_->end_writing();
    request.body_file = spool_->path();
  }
  head_ = HttpRequest();
  head_.method = request.method;
  head_.headers = request.headers;
  // The spooled file lives until answered, even when the client leaves earlier.
  const auto is_answered = std::make_shared<std::atomic<bool>>(false);
  const Respond respond = [weak = weak_from_this(), is_answered, spool = spool_, loop = &loop_](HttpResponse response) {
    if (is_answered->exchange(true)) return;
    const auto answer_now = [weak](HttpResponse& ready) {
      if (const auto self = weak.lock()) self->answer(std::move(ready));
    };
    if (loop->is_loop_thread()) return answer_now(response);
    const auto shared = std::make_shared<HttpResponse>(std::move(response));
    loop->post([answer_now, shared] { answer_now(*shared); });
  };
  server->handlers.request(std::move(request), respond);
}

void HttpSession::answer(HttpResponse response) {
  if (state_ != State::answering) return;
  const auto server = server_.lock();
  if (server == nullptr || server->is_closing) is_last_ = true;
  send(prepare_response(head_, std::move(response), !is_last_));
}

/// Answers without the handler; the connection ends, because what follows cannot be understood.
void HttpSession::refuse(int status, std::string_view message) {
  head_ = HttpRequest();
  head_.method = parser_->request().method;
  state_ = State::answering;
  send(prepare_response(head_, error_response(status, message), false));
}

void HttpSession::send(OutgoingResponse response) {
  outgoing_ = std::move(response);
  connection_->send(outgoing_.head);
  connection_->send(outgoing_.body);
  state_ = State::sending;
  unsent_since_ = Clock::now();
  send_file_pieces();
}

/// Keeps the connection's queue short: goes on when it has drained.
void HttpSession::send_file_pieces() {
  while (outgoing_.file.left_bytes() > 0) {
    if (connection_->unsent_bytes() >= kUnsentBytesMax) return;
    const auto piece = outgoing_.file.read(kFilePieceBytes);
    if (!piece) {
      log_error("http", piece.error());
      return abort();
    }
    connection_->send(*piece);
  }
  answer_is_sent();
}

void HttpSession::answer_is_sent() {
  const bool is_last = outgoing_.is_last;
  outgoing_ = OutgoingResponse();
  if (is_last) {
    connection_->close();
    return leave();
  }
  expect_request();
  advance();
}

// -- WebSocket

bool HttpSession::wants_websocket() const {
  const auto server = server_.lock();
  const HttpRequest& request = parser_->request();
  return server->handlers.accept_websocket && server->handlers.websocket && request.method == "GET" &&
         has_token(request.headers.get("Connection"), "upgrade") &&
         has_token(request.headers.get("Upgrade"), "websocket");
}

void HttpSession::upgrade() {
  const auto server = server_.lock();
  const HttpRequest request = std::move(parser_->request());
  const auto key = request.headers.get("Sec-WebSocket-Key");
  if (request.headers.get("Sec-WebSocket-Version") != "13" || key.empty()) {
    return refuse(400, "WebSocket version 13 with a key is needed");
  }
  std::string protocol;
  if (!server->handlers.accept_websocket(request, protocol)) return refuse(403, "the WebSocket is refused");
  std::string head = fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: {}\r\n",
      websocket_accept_key(key));
  if (!protocol.empty()) head += fmt::format("Sec-WebSocket-Protocol: {}\r\n", protocol);
  connection_->send(head + "\r\n");
  auto socket = make_websocket(loop_, connection_, false, input_.substr(taken_));
  leave();
  server->handlers.websocket(request, std::move(socket));
}

// -- ending

void HttpSession::finish() {
  is_last_ = true;
  const bool is_idle = state_ == State::head && !has_begun_;
  if (!is_idle) return;
  connection_->close();
  leave();
}

void HttpSession::abort() {
  if (state_ == State::gone) return;
  connection_->abort();
  leave();
}

void HttpSession::leave() {
  state_ = State::gone;
  const auto self = shared_from_this();
  if (const auto server = server_.lock()) server->sessions.erase(this);
}

bool HttpSession::is_late() const {
  const auto age = Clock::now() - since_;
  switch (state_) {
    case State::head:
      return age > (has_begun_ ? limits_.request : limits_.idle);
    case State::body:
      return age > limits_.request;
    case State::answering:
      return age > limits_.answer;
    case State::sending:
    case State::gone:
      return false;
  }
  return false;
}

void HttpSession::check_time() {
  const std::size_t unsent = connection_->unsent_bytes();
  if (unsent == 0 || unsent != unsent_before_) unsent_since_ = Clock::now();
  unsent_before_ = unsent;
  if (Clock::now() - unsent_since_ > limits_.progress) return abort();
  if (!is_late()) return;
  if (state_ == State::body || (state_ == State::head && has_begun_)) {
    return refuse(408, "the request did not arrive in time");
  }
  connection_->close();
  leave();
}

}  // namespace verge
