// The sockets of onvif_search.h.
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/http_client.h"
#include "connectors/camera/onvif_search.h"

namespace verge::connectors::onvif {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kGroup = "239.255.255.250";
constexpr std::uint16_t kPort = 3702;
constexpr milliseconds kRepeatAfter{500};
constexpr std::size_t kDatagramBytesMax = 65'536;
constexpr milliseconds kPostTimeout{5'000};

Error system_error(std::string_view doing) {
  return Error{ErrorCode::unavailable, fmt::format("find cameras: {}: {}", doing, std::strerror(errno))};
}

/// A UDP socket that sends to the group on one interface; nothing beyond the local network.
class ProbeSocket {
 public:
  static Result<ProbeSocket> open(const Interface& on) {
    ProbeSocket opened(on.name, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (opened.file_ < 0) return system_error("make a socket");
    sockaddr_in own{};
    own.sin_family = AF_INET;
    inet_pton(AF_INET, on.address.c_str(), &own.sin_addr);
    const unsigned char hops = 1;
    const bool is_set =
        bind(opened.file_, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0 &&
        setsockopt(opened.file_, IPPROTO_IP, IP_MULTICAST_IF, &own.sin_addr, sizeof own.sin_addr) == 0 &&
        setsockopt(opened.file_, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops) == 0;
    if (!is_set) return system_error(fmt::format("use {} ({})", on.name, on.address));
    return opened;
  }
  ProbeSocket(ProbeSocket&& other) noexcept : interface_(std::move(other.interface_)), file_(other.file_) {
    other.file_ = -1;
  }
  ProbeSocket& operator=(ProbeSocket&&) = delete;
  ~ProbeSocket() {
    if (file_ >= 0) close(file_);
  }

  int file() const { return file_; }

  Status send(std::string_view question) const {
    sockaddr_in group{};
    group.sin_family = AF_INET;
    group.sin_port = htons(kPort);
    inet_pton(AF_INET, kGroup, &group.sin_addr);
    const ssize_t sent =
        sendto(file_, question.data(), question.size(), 0, reinterpret_cast<const sockaddr*>(&group), sizeof group);
    if (sent == static_cast<ssize_t>(question.size())) return Done{};
    return system_error(fmt::format("send the probe on {}", interface_));
  }

  /// All that is there.
  void read(std::vector<Answer>& answers) const {
    std::string text(kDatagramBytesMax, '\0');
    while (answers.size() < kCamerasMax) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const ssize_t count = recvfrom(file_, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (count < 0) return;
      char address[INET_ADDRSTRLEN] = {};
      inet_ntop(AF_INET, &from.sin_addr, address, sizeof address);
      answers.push_back({interface_, address, text.substr(0, static_cast<std::size_t>(count))});
    }
  }

 private:
  ProbeSocket(std::string interface, int file) : interface_(std::move(interface)), file_(file) {}

  std::string interface_;
  int file_;
};

class SystemNetwork final : public Network {
 public:
  SystemNetwork(std::string trust_pem, std::function<bool()> is_cancelled)
      : trust_pem_(std::move(trust_pem)), is_cancelled_(std::move(is_cancelled)) {}

  Result<std::vector<Interface>> interfaces(bool with_loopback) const override {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return system_error("list the interfaces");
    std::vector<Interface> found;
    for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
      const bool is_loopback = (one->ifa_flags & IFF_LOOPBACK) != 0;
      const bool is_usable = one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
                             (one->ifa_flags & IFF_UP) != 0 && (is_loopback || (one->ifa_flags & IFF_MULTICAST) != 0);
      if (!is_usable || (is_loopback && !with_loopback)) continue;
      char address[INET_ADDRSTRLEN] = {};
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, address, sizeof address);
      found.push_back({one->ifa_name, address});
    }
    freeifaddrs(list);
    return found;
  }

  Result<std::vector<Answer>> ask_all(const std::vector<Interface>& on, std::string_view question,
                                      milliseconds wait) override {
    std::vector<ProbeSocket> sockets;
    Status last = Error{ErrorCode::not_found, "find cameras: no interface was named"};
    for (const Interface& interface : on) {
      auto opened = ProbeSocket::open(interface);
      last = opened ? opened->send(question) : Status(opened.error());
      if (last) sockets.push_back(*std::move(opened));
    }
    if (sockets.empty()) return last.error();
    const auto begin = steady_clock::now();
    std::vector<Answer> answers;
    collect(sockets, begin + std::min(kRepeatAfter, wait), answers);
    if (wait > kRepeatAfter) {
      for (const ProbeSocket& socket : sockets) (void)socket.send(question);  // It was sent once.
    }
    collect(sockets, begin + wait, answers);
    return answers;
  }

  Result<std::string> post(const std::string& address, const std::string& soap) override {
    HttpCall call;
    call.method = "POST";
    call.url = address;
    call.headers.set("Content-Type", "application/soap+xml; charset=utf-8");
    call.body = soap;
    call.trust_pem = trust_pem_;
    call.is_cancelled = is_cancelled_;
    call.timeout = kPostTimeout;
    call.body_bytes_max = kAnswerBytesMax;
    VERGE_TRY(HttpResponse response, fetch(call));
    const bool has_words = response.status == 200 || response.status == 400 || response.status == 500;
    if (has_words && !response.body.empty()) return std::move(response.body);  // Refusals come as 400 or 500.
    if (response.status == 401) {
      return Error{ErrorCode::invalid_argument, "ask camera: it refuses (401); check user, password and its clock"};
    }
    return Error{ErrorCode::unavailable,
                 fmt::format("ask camera: {} answers with status {}", address, response.status)};
  }

 private:
  static void collect(const std::vector<ProbeSocket>& sockets, steady_clock::time_point end,
                      std::vector<Answer>& answers) {
    std::vector<pollfd> waits;
    for (const ProbeSocket& socket : sockets) waits.push_back({socket.file(), POLLIN, 0});
    while (answers.size() < kCamerasMax) {
      const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now()).count();
      if (left <= 0 || (poll(waits.data(), waits.size(), static_cast<int>(left)) < 0 && errno != EINTR)) return;
      for (const ProbeSocket& socket : sockets) socket.read(answers);
    }
  }

  const std::string trust_pem_;
  const std::function<bool()> is_cancelled_;
};

}  // namespace

std::unique_ptr<Network> make_network(std::string trust_pem, std::function<bool()> is_cancelled) {
  return std::make_unique<SystemNetwork>(std::move(trust_pem), std::move(is_cancelled));
}

}  // namespace verge::connectors::onvif
