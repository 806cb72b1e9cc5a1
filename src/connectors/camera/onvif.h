// connectors/camera/onvif.h -- what to ask an ONVIF camera, and what its answers mean; no sockets.
//
// Finding a camera and its stream takes six steps, whose texts this makes and reads: probe() to 239.255.255.250:3702
// over UDP; then by HTTP POST (application/soap+xml) get_system_date() and get_capabilities() to the device's address,
// get_profiles() and get_stream_uri() to its media address. onvif_search.h takes them.
//
// Source: WS-Discovery (April 2005), ONVIF Core and Media Service specifications 21.12, WS-Security UsernameToken
// Profile 1.0. Not yet seen on hardware: the tests' exchanges follow the specifications' examples.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::connectors::onvif {

inline constexpr std::size_t kAnswerBytesMax = 1U << 20U;
inline constexpr std::size_t kItemsMax = 64;  ///< Profiles or addresses that are read of one answer.

/// A device that answered the probe.
struct Found {
  std::string endpoint;                ///< "urn:uuid:…", the same whatever its address.
  std::vector<std::string> addresses;  ///< Of its device service, http or https.
  std::string name, hardware;          ///< From its scopes, percent-decoded; empty when it does not say.
};

/// Empty user: the request carries no login.
struct Login {
  std::string user, password;
};
/// Makes a login good for one request; the camera's clock must be within some minutes of `created_us`.
struct Freshness {
  std::int64_t created_us = 0;  ///< Wall clock.
  std::string nonce;            ///< 16 random bytes.
};

struct Profile {
  std::string token, name, encoding;  ///< encoding: "H264", "H265", "JPEG"
  int width = 0, height = 0;          ///< Pixels.
  double fps = 0;
};

/// message_id: a UUID of its own for each probe.
std::string probe(std::string_view message_id);
/// Errors: corrupt; not_found when it answers another probe or is no camera.
Result<Found> read_probe_match(std::string_view answer, std::string_view message_id);

/// Asked without login: a camera's clock is often wrong, and a login must bear its time.
std::string get_system_date();
/// The camera's clock, microseconds since the Unix epoch. Errors: as read_media_address.
Result<std::int64_t> read_system_date(std::string_view answer);

std::string get_capabilities(const Login& login, const Freshness& fresh);
/// The address of its media service. Errors: corrupt; invalid_argument when the camera refuses; not_found.
Result<std::string> read_media_address(std::string_view answer);

std::string get_profiles(const Login& login, const Freshness& fresh);
/// In the camera's order, at least one. Errors: as read_media_address.
Result<std::vector<Profile>> read_profiles(std::string_view answer);

/// Asks for RTSP over unicast.
std::string get_stream_uri(std::string_view profile_token, const Login& login, const Freshness& fresh);
/// "rtsp://…" without user and password. Errors: as read_media_address.
Result<std::string> read_stream_uri(std::string_view answer);

/// Base64 of SHA-1 of nonce, created and password.
std::string password_digest(std::string_view nonce, std::string_view created, std::string_view password);

}  // namespace verge::connectors::onvif
