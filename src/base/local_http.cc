#include "base/local_http.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/http_answer.h"

namespace verge {
namespace {

using LocalClock = std::chrono::steady_clock;

class LocalSocket {
 public:
  explicit LocalSocket(LocalClock::time_point deadline) : deadline_(deadline) {}
  ~LocalSocket() {
    if (handle_ >= 0) close(handle_);
  }
  LocalSocket(const LocalSocket&) = delete;
  LocalSocket& operator=(const LocalSocket&) = delete;

  Status connect_to(const std::filesystem::path& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::string& text = path.native();
    if (text.size() >= sizeof name.sun_path) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("socket {}: its path is longer than {} bytes", text, sizeof name.sun_path - 1)};
    }
    std::copy(text.begin(), text.end(), name.sun_path);
    handle_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // A unix socket connects at once, or not: there is nothing to wait for.
    if (handle_ < 0 || connect(handle_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
      return Error{ErrorCode::unavailable, fmt::format("socket {}: {}", text, std::strerror(errno))};
    }
    return Done{};
  }

  Status send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = send(handle_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else {
        VERGE_CHECK(wait_after_error(POLLOUT));
      }
    }
    return Done{};
  }

  /// Empty at the end of the stream.
  Result<std::string_view> receive() {
    for (;;) {
      const auto got = recv(handle_, buffer_.data(), buffer_.size(), 0);
      if (got >= 0) return std::string_view(buffer_.data(), static_cast<std::size_t>(got));
      VERGE_CHECK(wait_after_error(POLLIN));
    }
  }

 private:
  Status wait_after_error(short events) const {
    if (errno == EINTR) return Done{};
    if (errno != EAGAIN && errno != EWOULDBLOCK) return Error{ErrorCode::unavailable, std::strerror(errno)};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - LocalClock::now()).count();
    if (left <= 0) return Error{ErrorCode::timeout, "no answer in time"};
    pollfd wanted{handle_, events, 0};
    if (poll(&wanted, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000))) < 0 && errno != EINTR) {
      return Error{ErrorCode::unavailable, std::strerror(errno)};
    }
    return Done{};
  }

  const LocalClock::time_point deadline_;
  int handle_ = -1;
  std::array<char, 16'384> buffer_{};
};

struct LocalAddress {
  std::string_view host, target;
};

Result<LocalAddress> split_local(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto slash = url.find('/', kScheme.size());
  if (!url.starts_with(kScheme) || slash == std::string_view::npos || url.find_first_of(" \r\n") != url.npos) {
    return Error{ErrorCode::invalid_argument, "the address must be http://NAME/PATH"};
  }
  return LocalAddress{url.substr(kScheme.size(), slash - kScheme.size()), url.substr(slash)};
}

Result<std::string> request_text(const HttpCall& call) {
  VERGE_TRY(const auto address, split_local(call.url));
  std::string text =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", call.method, address.target, address.host);
  for (const auto& [name, value] : call.headers.all()) text += fmt::format("{}: {}\r\n", name, value);
  if (!call.body.empty() || call.method != "GET") text += fmt::format("Content-Length: {}\r\n", call.body.size());
  return text + "\r\n" + call.body;
}

Result<HttpResponse> exchange_local(const HttpCall& call) {
  if (call.unix_socket.empty() || call.sink || call.is_cancelled || !call.upload_file.empty() ||
      call.follow_redirects) {
    return Error{ErrorCode::invalid_argument, "only plain calls over a unix socket are possible here"};
  }
  VERGE_TRY(const auto request, request_text(call));
  const auto timeout = call.timeout.count() > 0 ? call.timeout : std::chrono::milliseconds(std::chrono::hours(24));
  LocalSocket socket(LocalClock::now() + timeout);
  VERGE_CHECK(socket.connect_to(call.unix_socket));
  VERGE_CHECK(socket.send_all(request));
  HttpAnswerReader reader({.body_bytes_max = call.body_bytes_max}, call.method == "HEAD");
  while (!reader.is_done()) {
    VERGE_TRY(const auto bytes, socket.receive());
    if (bytes.empty()) {
      VERGE_CHECK(reader.end());
    } else {
      VERGE_CHECK(reader.put(bytes));
    }
  }
  return std::move(reader.response());
}

}  // namespace

Result<HttpResponse> fetch_local(const HttpCall& call) {
  auto response = exchange_local(call);
  if (response) return response;
  return std::move(response).error().within(fmt::format("{} {}", call.method, call.url.substr(0, call.url.find('?'))));
}

}  // namespace verge
