// connectors/camera/onvif_camera.h -- a network camera by its ONVIF address: asks for a stream, then opens it by RTSP.
//
//   onvif://guard:${GATE_PASSWORD}@192.0.2.7/main   the profile of this token or name, for everything
//   onvif://192.0.2.7:8000                          analysed: its smallest stream that is wide enough; kept: its
//   largest
//
// The camera is asked at http://HOST:PORT/onvif/device_service, by the messages of onvif.h, when it is opened and again
// when its stream has shown nothing for kAskAgain_s: cameras give their streams other addresses when they are set up
// anew. User and password are those of the url, for both; they go to its host only: where the camera names another host
// (behind NAT it does not know its own), the url's is put there. Not yet seen on hardware.
// Threads: pure functions; a link as CameraLink.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/camera/onvif_search.h"
#include "connectors/camera/rtsp_camera.h"

namespace verge::connectors {

enum class OnvifUse : std::uint8_t {
  analysed,
  kept,  ///< Clips and recordings are made of it.
};

inline constexpr int kAnalysedWidthMin = 640;  ///< Pixels; detectors want about as many.
inline constexpr std::int64_t kAskAgain_s = 30;

/// What an onvif:// URL says. All of it but `device` and `profile` is secret.
struct OnvifAddress {
  std::string device;   ///< "http://192.0.2.7:8000/onvif/device_service"
  std::string profile;  ///< Empty: none is named.
  std::string user;     ///< "guard:p%40ss", as the URL has it; empty: nobody.
  onvif::Login login;   ///< The same, decoded.
};
/// url: with its variables filled in (camera_url.h). Errors: invalid_argument for a percent that is none.
Result<OnvifAddress> read_onvif_address(std::string_view url);

/// wanted: a token, else a name; empty: chosen by use and size. Errors: invalid_argument naming those there are.
Result<onvif::Profile> choose_profile(const std::vector<onvif::Profile>& profiles, std::string_view wanted,
                                      OnvifUse use);

/// What to open when the camera names `uri`: at the host of `address`, with its user.
std::string stream_url(std::string_view uri, const OnvifAddress& address);

struct OnvifOptions {
  OnvifAddress address;
  OnvifUse use = OnvifUse::analysed;
  RtspOptions stream;  ///< But for the url.
};

/// The outside world of a link; tests give others.
struct OnvifWorld {
  const Clock* clock = nullptr;
  std::function<std::unique_ptr<onvif::Network>(std::function<bool()> is_cancelled)> make_network;
  std::function<std::unique_ptr<CameraLink>(RtspOptions options)> make_stream;
};
OnvifWorld onvif_world(const Clock& clock);

std::unique_ptr<CameraLink> make_onvif_link(OnvifOptions options, OnvifWorld world);

}  // namespace verge::connectors
