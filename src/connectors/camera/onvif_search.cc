#include "connectors/camera/onvif_search.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/bytes.h"
#include "connectors/secret_url.h"

namespace verge::connectors::onvif {
namespace {

constexpr std::size_t kNonceBytes = 16;

/// One camera's questions.
class Interview {
 public:
  Interview(Network& network, const Login& login, const Clock& clock, std::string device)
      : network_(network), login_(login), clock_(clock), device_(std::move(device)) {}

  /// Asked for first.
  Result<std::vector<Profile>> profiles() {
    note_clock();
    VERGE_TRY(const std::string capabilities, network_.post(device_, get_capabilities(login_, fresh())));
    VERGE_TRY(const std::string named, read_media_address(capabilities));
    media_ = here(named);
    VERGE_TRY(const std::string answer, network_.post(media_, get_profiles(login_, fresh())));
    return read_profiles(answer);
  }

  Result<std::string> uri_of(const Profile& profile) {
    VERGE_TRY(const std::string answer, network_.post(media_, get_stream_uri(profile.token, login_, fresh())));
    return read_stream_uri(answer);
  }

  Result<std::vector<Stream>> streams() {
    VERGE_TRY(const auto all, profiles());
    std::vector<Stream> streams;
    for (const Profile& profile : all) {
      Stream stream{profile, {}, {}};
      auto uri = uri_of(profile);
      if (uri) stream.uri = *std::move(uri);
      if (!uri) stream.error = uri.error().message;
      streams.push_back(std::move(stream));
    }
    return streams;
  }

 private:
  /// A camera that does not tell its time is believed to have ours.
  void note_clock() {
    const auto answer = network_.post(device_, get_system_date());
    if (!answer) return;
    if (const auto time = read_system_date(*answer)) ahead_us_ = *time - clock_.now_us();
  }

  Freshness fresh() const { return {clock_.now_us() + ahead_us_, random_bytes(kNonceBytes)}; }

  /// A camera behind another address (NAT, a second network) names its own; the login goes only where it answered.
  std::string here(const std::string& address) const {
    if (host_of(address) == host_of(device_)) return address;
    const auto begin = address.find('/', address.find("://") + 3);
    const auto end = device_.find('/', device_.find("://") + 3);
    return device_.substr(0, end) + (begin == std::string::npos ? "/" : address.substr(begin));
  }

  Network& network_;
  const Login& login_;
  const Clock& clock_;
  const std::string device_;
  std::string media_;
  std::int64_t ahead_us_ = 0;
};

}  // namespace

std::string_view host_of(std::string_view address) {
  std::string_view place = split_url(address).rest;
  place = place.substr(0, place.find_first_of("/?#"));
  if (place.starts_with('[')) return place.substr(1, std::min(place.find(']'), place.size()) - 1);
  return place.substr(0, place.find(':'));
}

Result<std::vector<Interface>> choose_interfaces(const Network& network, const std::vector<std::string>& names) {
  VERGE_TRY(const auto all, network.interfaces(!names.empty()));
  if (names.empty()) {
    if (all.empty()) return Error{ErrorCode::not_found, "find cameras: no interface is up and takes multicast"};
    return all;
  }
  std::vector<Interface> chosen;
  std::vector<std::string> known;
  for (const Interface& one : all) known.push_back(one.name);
  for (const std::string& name : names) {
    const auto at = std::ranges::find(all, name, &Interface::name);
    if (at == all.end()) {
      return Error{ErrorCode::not_found,
                   fmt::format("find cameras: no interface \"{}\" is up with an IPv4 address; there "
                               "are: {}",
                               name, fmt::join(known, ", "))};
    }
    chosen.push_back(*at);
  }
  return chosen;
}

Result<std::vector<Camera>> find_cameras(Network& network, const std::vector<Interface>& on,
                                         std::chrono::milliseconds wait) {
  const std::string id = new_uuid();
  VERGE_TRY(const auto answers, network.ask_all(on, probe(id), wait));
  std::vector<Camera> cameras;
  for (const Answer& answer : answers) {
    auto found = read_probe_match(answer.text, id);
    if (!found || cameras.size() >= kCamerasMax) continue;  // Printers answer probes, too.
    const auto is_known = [&](const Camera& camera) {
      return camera.from == answer.from && camera.found.endpoint == found->endpoint;
    };
    if (std::ranges::any_of(cameras, is_known)) continue;
    cameras.push_back({*std::move(found), answer.interface, answer.from, {}, {}});
  }
  std::ranges::sort(cameras, {}, [](const Camera& camera) { return std::pair(camera.interface, camera.from); });
  return cameras;
}

Result<Stream> ask_for_stream(Network& network, const std::string& device,
                              const std::function<Result<Profile>(const std::vector<Profile>&)>& choose,
                              const Login& login, const Clock& clock) {
  Interview interview(network, login, clock, device);
  VERGE_TRY(const auto profiles, interview.profiles());
  VERGE_TRY(const Profile chosen, choose(profiles));
  VERGE_TRY(const std::string uri, interview.uri_of(chosen));
  return Stream{chosen, uri, {}};
}

void ask_for_streams(Network& network, Camera& camera, const Login& login, const Clock& clock) {
  const auto is_where_it_answered = [&](const std::string& address) { return host_of(address) == camera.from; };
  const auto address = std::ranges::find_if(camera.found.addresses, is_where_it_answered);
  if (address == camera.found.addresses.end()) {
    camera.error = fmt::format("it answers from {}, but names {}; no login is sent there", camera.from,
                               fmt::join(camera.found.addresses, ", "));
    return;
  }
  auto streams = Interview(network, login, clock, *address).streams();
  if (streams) camera.streams = *std::move(streams);
  if (!streams) camera.error = streams.error().message;
}

}  // namespace verge::connectors::onvif
