#include "connectors/camera/onvif_camera.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "base/bytes.h"
#include "connectors/camera/tls_tunnel.h"
#include "connectors/secret_url.h"

namespace verge::connectors {
namespace {

constexpr std::string_view kDevicePath = "/onvif/device_service";

/// Where a URL's host and port end in what follows its user.
std::size_t end_of_place(std::string_view rest) { return std::min(rest.find_first_of("/?#"), rest.size()); }

/// ":554" of "192.0.2.7:554" and "[2001:db8::1]:554"; empty without one.
std::string_view port_of(std::string_view place) {
  const auto begin = place.find(':', place.starts_with('[') ? std::min(place.find(']'), place.size()) : 0);
  return begin == std::string_view::npos ? std::string_view() : place.substr(begin);
}

/// Passes on, and notes whether pictures came.
class NotingWatch final : public CameraWatch {
 public:
  explicit NotingWatch(CameraWatch& inner) : inner_(inner) {}
  bool has_to_end() const override { return inner_.has_to_end(); }
  bool is_stopping() const override { return inner_.is_stopping(); }
  void hear() override { inner_.hear(); }
  Arrival now() const override { return inner_.now(); }
  void show(std::shared_ptr<pipeline::Frame> frame, const Arrival& arrival) override {
    inner_.show(std::move(frame), arrival);
  }
  CameraCounters& counters() override { return inner_.counters(); }
  CameraRecorder* recorder() override { return inner_.recorder(); }
  void note_codec(const char* name) override { inner_.note_codec(name); }
  void note_picture(bool is_key, const Arrival& arrival) override {
    has_come_ = true;
    inner_.note_picture(is_key, arrival);
  }
  bool has_come() const { return has_come_; }

 private:
  CameraWatch& inner_;
  bool has_come_ = false;
};

class OnvifLink final : public CameraLink {
 public:
  OnvifLink(OnvifOptions options, OnvifWorld world) : options_(std::move(options)), world_(std::move(world)) {}

  Status prepare() override { return world_.make_stream({})->prepare(); }

  Status watch(CameraWatch& watch) override {
    if (!stream_) {
      Status asked = ask(watch);
      if (watch.is_stopping()) return Done{};
      VERGE_CHECK(asked);
    }
    NotingWatch noting(watch);
    Status ended = stream_->watch(noting);
    const std::int64_t now_us = watch.now().monotonic_us;
    if (noting.has_come()) {
      failing_since_us_.reset();
    } else if (!failing_since_us_) {
      failing_since_us_ = now_us;
    } else if (now_us - *failing_since_us_ >= kAskAgain_s * 1'000'000) {
      failing_since_us_.reset();
      stream_.reset();
    }
    return ended;
  }

 private:
  Status ask(CameraWatch& watch) {
    const auto network = world_.make_network([&watch] { return watch.has_to_end(); });
    const auto choose = [this](const std::vector<onvif::Profile>& profiles) {
      return choose_profile(profiles, options_.address.profile, options_.use);
    };
    VERGE_TRY(const onvif::Stream found,
              onvif::ask_for_stream(*network, options_.address.device, choose, options_.address.login, *world_.clock));
    watch.hear();
    RtspOptions stream = options_.stream;
    stream.url = stream_url(found.uri, options_.address);
    stream.is_udp = stream.is_udp && !is_tls_url(stream.url);
    auto link = world_.make_stream(std::move(stream));
    VERGE_CHECK(link->prepare());
    stream_ = std::move(link);
    return Done{};
  }

  const OnvifOptions options_;
  const OnvifWorld world_;
  std::unique_ptr<CameraLink> stream_;            ///< Null until the camera has named it.
  std::optional<std::int64_t> failing_since_us_;  ///< Monotonic.
};

}  // namespace

Result<OnvifAddress> read_onvif_address(std::string_view url) {
  const UrlParts parts = split_url(url);
  const std::size_t end = end_of_place(parts.rest);
  OnvifAddress address;
  address.device = fmt::format("http://{}{}", parts.rest.substr(0, end), kDevicePath);
  std::string_view path = parts.rest.substr(end);
  path = path.substr(0, path.find_first_of("?#"));
  if (path.starts_with('/')) path.remove_prefix(1);
  VERGE_TRY(address.profile, percent_decode(path));
  if (!parts.has_user) return address;
  address.user = parts.user;
  const auto colon = std::min(parts.user.find(':'), parts.user.size());
  auto user = percent_decode(parts.user.substr(0, colon));
  auto password = percent_decode(parts.user.substr(std::min(colon + 1, parts.user.size())));
  if (!user || !password) {  // Their own messages would tell the password.
    return Error{ErrorCode::invalid_argument,
                 "user or password hold a % without two hexadecimal digits; write %25 for a %"};
  }
  address.login = {*std::move(user), *std::move(password)};
  return address;
}

Result<onvif::Profile> choose_profile(const std::vector<onvif::Profile>& profiles, std::string_view wanted,
                                      OnvifUse use) {
  if (profiles.empty()) return Error{ErrorCode::invalid_argument, "ask camera: it has no media profiles"};
  if (!wanted.empty()) {
    for (const auto member : {&onvif::Profile::token, &onvif::Profile::name}) {
      const auto at = std::ranges::find(profiles, wanted, member);
      if (at != profiles.end()) return *at;
    }
    std::vector<std::string> known;
    for (const onvif::Profile& profile : profiles) known.push_back(profile.token);
    return Error{ErrorCode::invalid_argument,
                 fmt::format("ask camera: it has no profile \"{}\"; it has: {}", wanted, fmt::join(known, ", "))};
  }
  // Equal sizes, and sizes that it does not tell: the first, which cameras make their main stream.
  const auto pixels = [](const onvif::Profile& profile) { return std::int64_t{profile.width} * profile.height; };
  const onvif::Profile* chosen = &*std::ranges::max_element(profiles, {}, pixels);
  if (use == OnvifUse::kept) return *chosen;
  for (const onvif::Profile& profile : profiles) {
    if (profile.width >= kAnalysedWidthMin && pixels(profile) < pixels(*chosen)) chosen = &profile;
  }
  return *chosen;
}

std::string stream_url(std::string_view uri, const OnvifAddress& address) {
  const UrlParts named = split_url(uri);
  const std::size_t end = end_of_place(named.rest);
  const std::string_view device = split_url(address.device).rest;
  const std::string_view place = device.substr(0, end_of_place(device));
  const std::string_view host = place.substr(0, place.size() - port_of(place).size());
  return fmt::format("{}://{}{}{}{}{}", named.scheme, address.user, address.user.empty() ? "" : "@", host,
                     port_of(named.rest.substr(0, end)), named.rest.substr(end));
}

OnvifWorld onvif_world(const Clock& clock) {
  return {&clock, [](std::function<bool()> is_cancelled) { return onvif::make_network({}, std::move(is_cancelled)); },
          make_rtsp_link};
}

std::unique_ptr<CameraLink> make_onvif_link(OnvifOptions options, OnvifWorld world) {
  return std::make_unique<OnvifLink>(std::move(options), std::move(world));
}

}  // namespace verge::connectors
