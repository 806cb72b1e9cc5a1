#include "connectors/microphone/mqtt_microphone.h"

#include <atomic>
#include <fmt/format.h>

#include "base/bounded_queue.h"

namespace verge::connectors {
namespace {

class ModuleTopics final : public TopicReader {
 public:
  explicit ModuleTopics(std::shared_ptr<ModuleClient> module) : module_(std::move(module)) {}
  std::uint64_t subscribe(std::string topic, ModuleClient::OnMessage on_message) override {
    return module_->subscribe(std::move(topic), std::move(on_message));
  }
  void unsubscribe(std::uint64_t id) override { module_->unsubscribe(id); }

 private:
  const std::shared_ptr<ModuleClient> module_;
};

/// Between the router's thread and the source's; the handler may outlive the link by one message.
struct SoundMessages {
  BoundedQueue<std::string> queue{kSoundMessagesMax, WhenFull::drop_oldest};
  std::atomic<std::uint64_t> too_long{0};
};

class MqttLink final : public SoundLink {
 public:
  MqttLink(MqttSoundOptions options, std::shared_ptr<TopicReader> topics)
      : options_(std::move(options)), topics_(std::move(topics)) {}
  ~MqttLink() override {
    if (subscription_ != 0) topics_->unsubscribe(subscription_);
  }

  Status prepare() override {
    if (!topics_)
      return Error{ErrorCode::invalid_argument, "a microphone by MQTT needs an agent: run this as a module"};
    if (subscription_ != 0) return Done{};
    subscription_ = topics_->subscribe(options_.topic, [to = messages_](std::string_view, std::string_view payload) {
      if (payload.size() > kSoundMessageBytesMax) {
        ++to->too_long;
      } else {
        to->queue.push(std::string(payload));
      }
    });
    return Done{};
  }

  Status watch(SoundWatch& watch) override {
    VERGE_CHECK(watch.begin(options_.shape.rate_hz,
                            sound_note(pipeline::name_of(options_.shape.format), options_.shape.channels)));
    while (!watch.has_to_end()) {
      const auto payload = messages_->queue.pop_within(std::chrono::milliseconds(100));
      watch.counters().broken.add(messages_->too_long.exchange(0));
      if (!payload) continue;
      if (payload->empty() || payload->size() % options_.shape.frame_bytes() != 0) {
        watch.counters().broken.add();
        continue;
      }
      if (const auto dropped = messages_->queue.dropped_count(); dropped != dropped_) {
        dropped_ = dropped;
        watch.expect_hole();
      }
      mono_.clear();
      const std::size_t clipped = pipeline::append_mono(*payload, options_.shape, options_.channel, mono_);
      watch.put(mono_, clipped, watch.monotonic_us());
    }
    return silence_error(watch);
  }

 private:
  const MqttSoundOptions options_;
  const std::shared_ptr<TopicReader> topics_;
  const std::shared_ptr<SoundMessages> messages_ = std::make_shared<SoundMessages>();
  std::uint64_t subscription_ = 0, dropped_ = 0;
  std::vector<float> mono_;
};

}  // namespace

std::shared_ptr<TopicReader> topics_of(std::shared_ptr<ModuleClient> module) {
  return std::make_shared<ModuleTopics>(std::move(module));
}

std::unique_ptr<SoundLink> make_mqtt_link(MqttSoundOptions options, std::shared_ptr<TopicReader> topics) {
  return std::make_unique<MqttLink>(std::move(options), std::move(topics));
}

}  // namespace verge::connectors
