// connectors/microphone/mqtt_microphone.h -- raw samples as messages on a plain MQTT topic of the device.
//
// Each message holds whole frames, at most kSoundMessageBytesMax. MQTT does not number them: a message that was lost on
// the way shows as a hole of the stream's clock. At most kSoundMessagesMax wait; then the oldest goes, and the hole is
// measured at once. Threads: as SoundLink.
#pragma once

#include <memory>
#include <string>

#include "connectors/microphone/live_microphone.h"
#include "connectors/module_client.h"

namespace verge::connectors {

inline constexpr std::size_t kSoundMessageBytesMax = 256U << 10U;
inline constexpr std::size_t kSoundMessagesMax = 64;

/// What the link needs of a ModuleClient, so that tests run without a router. Threads: from any; the handler too.
class TopicReader {
 public:
  virtual ~TopicReader() = default;
  virtual std::uint64_t subscribe(std::string topic, ModuleClient::OnMessage on_message) = 0;
  virtual void unsubscribe(std::uint64_t id) = 0;
};
/// module: not null.
std::shared_ptr<TopicReader> topics_of(std::shared_ptr<ModuleClient> module);

struct MqttSoundOptions {
  std::string topic;
  pipeline::SoundShape shape{};
  pipeline::Channel channel = 0;
};

/// topics: null outside an agent; then prepare() says so.
std::unique_ptr<SoundLink> make_mqtt_link(MqttSoundOptions options, std::shared_ptr<TopicReader> topics);

}  // namespace verge::connectors
