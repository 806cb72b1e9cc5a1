// connectors/microphone/microphone.h -- source kind `microphone`: sound from whatever its `address` names.
//
//   alsa:NAME, NAME           alsa_microphone.h: a sound card; not yet seen on hardware
//   rtsp://, rtsps://         network_microphone.h: the sound of a network camera
//   http://, https://         network_microphone.h: an internet stream
//   tcp://HOST:PORT           socket_microphone.h: raw samples, from there or (listen) from who connects
//   udp://ADDRESS:PORT        socket_microphone.h: raw samples or RTP
//   mqtt:TOPIC                mqtt_microphone.h: raw samples in messages on the device
//
// All are kept alive by live_microphone.h and emit AudioBlocks of 32 ms at rate_hz. ${NAME} in the address and the
// token is replaced by that environment variable, so that secrets stay out of pipeline files. Metrics:
// microphone_counters.h. A recording is source kind `recording` (audio/recording/recording_source.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "connectors/microphone/live_microphone.h"
#include "connectors/module_client.h"
#include "connectors/secret_url.h"
#include "pipeline/stage.h"

namespace verge::connectors {

enum class MicrophoneSort : std::uint8_t { card, network, tcp, udp, mqtt };

struct MicrophoneAddress {
  MicrophoneSort sort = MicrophoneSort::card;
  std::string name;        ///< The card's, the topic, the host; network: the whole URL, a secret.
  std::uint16_t port = 0;  ///< TCP, UDP.
  std::string shown;       ///< For people: no user, no password, no query.
};
/// With its variables filled in. Errors: invalid_argument: a variable that is not set, another scheme, no host or port.
Result<MicrophoneAddress> read_microphone_address(std::string_view text, const Environment& environment);

/// All that the options of the kind say, with the link to it.
struct MicrophonePlan {
  LiveMicrophoneOptions live{};
  std::unique_ptr<SoundLink> link;
};
/// options: what is absent has its default. module: null outside an agent. Errors: invalid_argument naming the option.
Result<MicrophonePlan> plan_microphone(const Json& options, const std::filesystem::path& folder,
                                       const std::shared_ptr<ModuleClient>& module, const Environment& environment);

/// module  the connection that mqtt: addresses use; null outside an agent
pipeline::Kind<pipeline::Source> microphone_kind(std::shared_ptr<ModuleClient> module,
                                                 Environment environment = process_environment());

}  // namespace verge::connectors
