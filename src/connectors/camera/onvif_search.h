// connectors/camera/onvif_search.h -- finds ONVIF cameras in the local network and asks them for their streams.
//
// A probe leaves on the interfaces that the caller names, twice, because UDP loses; whoever answers within the wait is
// found. Streams are asked for only at an address whose host is the one that answered: else any device in the network
// could have a login sent elsewhere. Not yet seen on hardware: tested with recorded exchanges and a responder that were
// written from the specifications.
//
// Source: as onvif.h. Threads: calls block; one at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "connectors/camera/onvif.h"

namespace verge::connectors::onvif {

inline constexpr std::size_t kCamerasMax = 256;  ///< Of one search; further answers are not read.

/// An IPv4 interface that is up and takes multicast.
struct Interface {
  std::string name, address;
};
struct Answer {
  std::string interface;  ///< Name.
  std::string from;       ///< Address, without port.
  std::string text;
};

/// What a search needs of the world.
class Network {
 public:
  virtual ~Network() = default;
  /// But for the loopback, which is in the list only if asked for.
  virtual Result<std::vector<Interface>> interfaces(bool with_loopback) const = 0;
  /// Sends `question` to 239.255.255.250:3702 on each and collects what comes back. Errors: unavailable when it could
  /// be sent on none.
  virtual Result<std::vector<Answer>> ask_all(const std::vector<Interface>& on, std::string_view question,
                                              std::chrono::milliseconds wait) = 0;
  /// The body of the answer, whatever its status. Errors: unavailable, timeout, limit.
  virtual Result<std::string> post(const std::string& address, const std::string& soap) = 0;
};
/// trust_pem     who may sign the certificate of a camera that is asked by https; empty: the system's authorities
/// is_cancelled  asked about once a second: whether to give a post up (unavailable); null: never
std::unique_ptr<Network> make_network(std::string trust_pem, std::function<bool()> is_cancelled = {});

struct Stream {
  Profile profile;
  std::string uri;    ///< "rtsp://…", without login; empty with an error.
  std::string error;  ///< Why there is none.
};
struct Camera {
  Found found;
  std::string interface, from;
  std::vector<Stream> streams;
  std::string error;  ///< Why its streams are not known.
};

/// The interfaces of these names; all that are up when there are no names. Errors: not_found naming those there are.
Result<std::vector<Interface>> choose_interfaces(const Network& network, const std::vector<std::string>& names);

/// Each camera once, by interface and address. Errors: those of Network::ask_all.
Result<std::vector<Camera>> find_cameras(Network& network, const std::vector<Interface>& on,
                                         std::chrono::milliseconds wait);

/// Fills streams, or the camera's error.
void ask_for_streams(Network& network, Camera& camera, const Login& login, const Clock& clock);

/// The stream of one profile, at a device whose address is known.
///
/// device  "http://192.0.2.7/onvif/device_service"
/// choose  one of its profiles, which are in its order
/// Errors: those of `choose`, of Network::post and of its answers.
Result<Stream> ask_for_stream(Network& network, const std::string& device,
                              const std::function<Result<Profile>(const std::vector<Profile>&)>& choose,
                              const Login& login, const Clock& clock);

/// "192.0.2.7" of "http://192.0.2.7:80/onvif", "fe80::1" of "http://[fe80::1]/"; empty when there is none.
std::string_view host_of(std::string_view address);

}  // namespace verge::connectors::onvif
