#include "connectors/microphone/socket_microphone.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "connectors/microphone/pcm_pieces.h"
#include "connectors/microphone/rtp_reader.h"

namespace verge::connectors {
namespace {

using Way = SocketSoundOptions::Way;

constexpr int kSocketWaitMs = 100;
constexpr std::size_t kReadBytes = 16U << 10U;
constexpr std::size_t kDatagramBytes = 64U << 10U;
constexpr int kReceiveBufferBytes = 1 << 20;  // Ten seconds of a voice; the kernel may give less.

class Socket {
 public:
  Socket() = default;
  explicit Socket(int number) : number_(number) {}
  ~Socket() {
    if (number_ >= 0) close(number_);
  }
  Socket(Socket&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

  /// Whether `events` came; asked again and again while has_to_end() is false.
  bool wait(short events) const {
    pollfd one{number_, events, 0};
    return poll(&one, 1, kSocketWaitMs) > 0;
  }

 private:
  int number_ = -1;
};

struct AddressList {
  addrinfo* first = nullptr;
  AddressList() = default;
  AddressList(AddressList&& other) noexcept : first(std::exchange(other.first, nullptr)) {}
  AddressList& operator=(AddressList&& other) noexcept {
    std::swap(first, other.first);
    return *this;
  }
  ~AddressList() {
    if (first != nullptr) freeaddrinfo(first);
  }
};

bool is_listening(Way way) { return way != Way::tcp_connect; }
bool is_datagram(Way way) { return way == Way::udp || way == Way::rtp; }

Error socket_error(std::string_view doing, int code) {
  return Error{ErrorCode::unavailable, fmt::format("{}: {}", doing, std::strerror(code))};
}

Result<AddressList> addresses_of(const SocketSoundOptions& options) {
  addrinfo hints{};
  hints.ai_socktype = is_datagram(options.way) ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (is_listening(options.way) ? AI_NUMERICHOST | AI_PASSIVE : 0);
  AddressList list;
  const bool is_here = is_listening(options.way) && options.host == "localhost";
  const std::string host = is_here ? "127.0.0.1" : options.host;
  const int code = getaddrinfo(host.c_str(), std::to_string(options.port).c_str(), &hints, &list.first);
  if (code == 0) return list;
  if (is_listening(options.way)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("\"{}\" is no address to listen at; give 127.0.0.1, or another of this machine", host)};
  }
  return Error{ErrorCode::unavailable, fmt::format("find {}: {}", host, gai_strerror(code))};
}

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    return ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24U == 127;
  }
  return address.sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

class SocketLink final : public SoundLink {
 public:
  explicit SocketLink(SocketSoundOptions options) : options_(std::move(options)) {}

  Status watch(SoundWatch& watch) override {
    if (options_.way == Way::tcp_connect) {
      VERGE_TRY(const Socket sender, connect_to(watch));
      return hear_stream(watch, sender);
    }
    // Stays open between senders, so that the next one need not be lucky.
    if (!listener_.is_open()) {
      VERGE_TRY(listener_, listen_here());
    }
    if (is_datagram(options_.way)) return hear_datagrams(watch);
    VERGE_TRY(const Socket sender, accept_one(watch));
    return sender.is_open() ? hear_stream(watch, sender) : Status(Done{});
  }

 private:
  Result<Socket> connect_to(SoundWatch& watch) const {
    VERGE_TRY(const AddressList list, addresses_of(options_));
    int code = 0;
    for (const addrinfo* at = list.first; at != nullptr; at = at->ai_next) {
      Socket opened(socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (!opened.is_open()) return socket_error("open a socket", errno);
      code = connect(opened.number(), at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
      while (code == EINPROGRESS) {
        if (watch.has_to_end()) break;
        if (!opened.wait(POLLOUT)) continue;
        socklen_t bytes = sizeof code;
        getsockopt(opened.number(), SOL_SOCKET, SO_ERROR, &code, &bytes);
      }
      if (code == 0) return opened;
    }
    if (watch.has_to_end()) {
      VERGE_CHECK(silence_error(watch));
    }
    return socket_error("connect", code);
  }

  Result<Socket> listen_here() const {
    VERGE_TRY(const AddressList list, addresses_of(options_));
    const addrinfo& address = *list.first;
    const bool is_udp = is_datagram(options_.way);
    Socket opened(socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!opened.is_open()) return socket_error("open a socket", errno);
    const int on = 1;
    if (!is_udp) setsockopt(opened.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_udp) setsockopt(opened.number(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
    if (bind(opened.number(), address.ai_addr, address.ai_addrlen) != 0) return socket_error("listen", errno);
    if (!is_udp && listen(opened.number(), 1) != 0) return socket_error("listen", errno);
    return opened;
  }

  /// Closed when it has to end without an error.
  Result<Socket> accept_one(SoundWatch& watch) {
    while (!watch.has_to_end()) {
      if (!listener_.wait(POLLIN)) continue;
      Socket sender(accept4(listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!sender.is_open()) continue;
      if (options_.token.empty() || knows_token(watch, sender)) return sender;
      watch.counters().broken.add();
      // Whoever reaches the port can make this happen: less and less is said.
      const std::uint64_t count = ++strangers_;
      if ((count & (count - 1)) == 0) {
        log_warning("microphone", "a sender without the right token was closed", {{"count", count}});
      }
    }
    VERGE_CHECK(silence_error(watch));
    return Socket();
  }

  /// Byte by byte: what follows the line is sound.
  bool knows_token(SoundWatch& watch, const Socket& sender) const {
    const std::int64_t end_us = watch.monotonic_us() + std::int64_t{kTokenWait_s} * 1'000'000;
    std::string line;
    while (!watch.is_stopping() && watch.monotonic_us() < end_us && line.size() <= kTokenBytesMax) {
      char letter = 0;
      const auto count = recv(sender.number(), &letter, 1, 0);
      if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return false;
      if (count < 0) {
        sender.wait(POLLIN);
        continue;
      }
      if (letter == '\n') {
        watch.hear();
        return equal_constant_time(trimmed(line, "\r"), options_.token);
      }
      line.push_back(letter);
    }
    return false;
  }

  Status hear_stream(SoundWatch& watch, const Socket& sender) const {
    VERGE_CHECK(begin(watch));
    PcmPieces pieces(options_.shape, options_.channel);
    std::array<char, kReadBytes> bytes;
    while (!watch.has_to_end()) {
      if (!sender.wait(POLLIN)) continue;
      const auto count = recv(sender.number(), bytes.data(), bytes.size(), 0);
      if (count == 0) return Done{};
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count < 0) return socket_error("read", errno);
      std::size_t clipped = 0;
      const auto& mono = pieces.put({bytes.data(), static_cast<std::size_t>(count)}, clipped);
      watch.put(mono, clipped, watch.monotonic_us());
    }
    return silence_error(watch);
  }

  Status hear_datagrams(SoundWatch& watch) {
    VERGE_CHECK(begin(watch));
    RtpOrder order(options_.shape.rate_hz);
    datagram_.resize(kDatagramBytes);
    while (!watch.has_to_end()) {
      if (!listener_.wait(POLLIN)) continue;
      const auto count = recv(listener_.number(), datagram_.data(), datagram_.size(), 0);
      if (count < 0) continue;
      VERGE_CHECK(take(watch, {datagram_.data(), static_cast<std::size_t>(count)}, order));
    }
    return silence_error(watch);
  }

  Status take(SoundWatch& watch, std::string_view datagram, RtpOrder& order) {
    if (options_.way == Way::udp) return put_frames(watch, datagram);
    const auto packet = read_rtp(datagram);
    const std::size_t frames = packet ? packet->payload.size() / options_.shape.frame_bytes() : 0;
    if (!packet || frames == 0) {
      watch.counters().broken.add();
      return Done{};
    }
    const auto judged = order.judge(*packet, static_cast<std::uint32_t>(frames), watch.monotonic_us());
    switch (judged.verdict) {
      case RtpOrder::Verdict::late:
        watch.counters().repeated.add(frames);
        return Done{};
      case RtpOrder::Verdict::refused:
        watch.counters().broken.add();
        return Done{};
      case RtpOrder::Verdict::begins:
        if (std::exchange(has_heard_, true)) VERGE_CHECK(begin(watch));
        break;
      case RtpOrder::Verdict::next:
        if (judged.missing > 0) watch.miss(judged.missing);
        break;
    }
    return put_frames(watch, packet->payload);
  }

  Status put_frames(SoundWatch& watch, std::string_view bytes) {
    if (bytes.empty() || bytes.size() % options_.shape.frame_bytes() != 0) {
      watch.counters().broken.add();
      return Done{};
    }
    mono_.clear();
    const std::size_t clipped = pipeline::append_mono(bytes, options_.shape, options_.channel, mono_);
    watch.put(mono_, clipped, watch.monotonic_us());
    return Done{};
  }

  Status begin(SoundWatch& watch) const {
    return watch.begin(options_.shape.rate_hz,
                       sound_note(pipeline::name_of(options_.shape.format), options_.shape.channels));
  }

  const SocketSoundOptions options_;
  Socket listener_;
  bool has_heard_ = false;
  std::uint64_t strangers_ = 0;
  std::vector<char> datagram_;
  std::vector<float> mono_;
};

}  // namespace

Status check_socket_sound(const SocketSoundOptions& options) {
  const auto mistake = [](std::string what) { return Error{ErrorCode::invalid_argument, std::move(what)}; };
  VERGE_CHECK(pipeline::check_shape(options.shape));
  VERGE_CHECK(pipeline::check_channel(options.channel, options.shape.channels));
  const bool is_line = std::ranges::all_of(options.token, [](char letter) { return letter > ' ' && letter < 127; });
  const bool fits = options.token.size() >= kTokenBytesMin && options.token.size() <= kTokenBytesMax;
  if (!options.token.empty() && !(is_line && fits)) {
    return mistake(fmt::format("the token must be {} to {} letters, digits or signs, without a space", kTokenBytesMin,
                               kTokenBytesMax));
  }
  if (!options.token.empty() && options.way != Way::tcp_listen) return mistake("token is about listen: true of tcp://");
  if (!is_listening(options.way)) return Done{};
  VERGE_TRY(const AddressList list, addresses_of(options));
  if (is_loopback(*list.first->ai_addr)) return Done{};
  if (is_datagram(options.way)) {
    return mistake(
        fmt::format("a datagram cannot prove who sent it, so {} cannot listen to others than this machine; "
                    "give 127.0.0.1, or use rtsp://, or tcp:// with listen and token",
                    options.host));
  }
  if (options.token.empty()) {
    return mistake(
        fmt::format("who listens at {} is reached by others than this machine; give a token, which the "
                    "sender sends as its first line, or listen at 127.0.0.1",
                    options.host));
  }
  return Done{};
}

std::unique_ptr<SoundLink> make_socket_link(SocketSoundOptions options) {
  return std::make_unique<SocketLink>(std::move(options));
}

}  // namespace verge::connectors
