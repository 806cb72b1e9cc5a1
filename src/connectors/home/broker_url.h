// connectors/home/broker_url.h -- where a user's MQTT broker is, from a URL whose password stands in the environment.
//
//   mqtt://camera:${MQTT_PASSWORD}@broker.lan:1883      mqtts://broker.lan (TLS)
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "connectors/secret_url.h"

namespace verge::connectors {

struct BrokerUrl {
  std::string host;
  std::uint16_t port = 1883;  ///< 8883 with TLS, unless given.
  bool is_tls = false;
  std::string user, password;  ///< Decoded; secrets.
  std::string shown;           ///< For people and logs.
};

/// Errors: invalid_argument (a variable that is not set, another scheme, no host, a bad port, anything behind it).
Result<BrokerUrl> read_broker_url(std::string_view text, const Environment& environment);

}  // namespace verge::connectors
