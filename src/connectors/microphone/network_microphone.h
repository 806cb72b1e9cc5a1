// connectors/microphone/network_microphone.h -- the sound of a network camera (RTSP) or of an internet stream (HTTP).
//
// Source: RFC 2326; FFmpeg's demultiplexers and decoders (AAC, PCM, G.711, Opus, MP3, Vorbis, FLAC and more) do the
// protocols, basic and digest authentication among them. Only the sound is asked for. rtsps and https go through a
// tunnel that judges the certificate (camera/tls_tunnel.h). Packets that were lost on the way show as holes in the
// stream's own time stamps. Threads: as SoundLink.
#pragma once

#include <memory>
#include <string>

#include "connectors/camera/camera_trust.h"
#include "connectors/microphone/live_microphone.h"

namespace verge::connectors {

struct NetworkSoundOptions {
  std::string url;  ///< A secret.
  pipeline::Channel channel = 0;
  bool is_udp = false;  ///< RTSP: sound over UDP instead of the connection.
  CameraTrust trust{};  ///< For rtsps and https.
};

std::unique_ptr<SoundLink> make_network_link(NetworkSoundOptions options);

}  // namespace verge::connectors
