#include "connectors/module_kinds.h"

#include <fmt/format.h>

#include "base/bounded_queue.h"
#include "base/json.h"
#include "base/log.h"
#include "connectors/sensor_json.h"

namespace verge::connectors {
namespace {

using pipeline::Context;
using pipeline::Packet;
using pipeline::Sink;
using pipeline::Source;
using ModulePointer = std::shared_ptr<ModuleClient>;

constexpr std::size_t kMessagesMax = 1024;  // Waiting rows of one source; then the oldest goes.
constexpr std::size_t kMessageBytesMax = 64U << 10U;

Status check_module(const ModulePointer& module, std::string_view what) {
  if (module) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("{} needs an agent: run this as a module, or use the sinks stdout and file", what)};
}

class RouterSink final : public Sink {
 public:
  RouterSink(ModulePointer module, std::string output) : module_(std::move(module)), output_(std::move(output)) {}
  Status open() override { return check_module(module_, "sink router"); }
  Status write(const Packet& packet) override {
    if (const auto event = pipeline::payload_as<contract::Event>(packet)) module_->send_event(output_, *event);
    return Done{};
  }

 private:
  ModulePointer module_;
  std::string output_;
};

class MqttSink final : public Sink {
 public:
  MqttSink(ModulePointer module, std::string topic, std::string events_topic)
      : module_(std::move(module)), topic_(std::move(topic)), events_topic_(std::move(events_topic)) {}
  Status open() override { return check_module(module_, "sink mqtt"); }
  Status write(const Packet& packet) override {
    if (const auto row = pipeline::payload_as<pipeline::SensorRow>(packet)) {
      module_->publish(topic_, row_to_text(*row, packet.captured_us), 0);
    } else if (const auto event = pipeline::payload_as<contract::Event>(packet); event && !events_topic_.empty()) {
      module_->publish(events_topic_, to_text(contract::to_json(*event)), 1);
    }
    return Done{};
  }

 private:
  ModulePointer module_;
  std::string topic_, events_topic_;
};

class MqttSource final : public Source {
 public:
  MqttSource(ModulePointer module, std::string topic, const Context& context)
      : module_(std::move(module)),
        topic_(std::move(topic)),
        clock_(context.clock == nullptr ? system_clock() : *context.clock) {}
  ~MqttSource() override {
    if (subscription_ != 0) module_->unsubscribe(subscription_);
  }

  Status open() override {
    VERGE_CHECK(check_module(module_, "source mqtt"));
    if (subscription_ != 0) return Done{};
    // The handler may outlive this source by one message, so the queue is shared.
    subscription_ = module_->subscribe(topic_, [queue = queue_](std::string_view, std::string_view payload) {
      if (payload.size() <= kMessageBytesMax) queue->push(std::string(payload));
    });
    return Done{};
  }

  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    while (!should_stop()) {
      const auto text = queue_->pop_within(std::chrono::milliseconds(200));
      if (text) take(*text, emit);
    }
    return Done{};
  }

 private:
  void take(const std::string& text, const pipeline::Emit& emit) {
    auto reading = reader_.read(text);
    if (!reading) {
      const std::uint64_t count = ++refused_;
      if ((count & (count - 1)) == 0) log_error("mqtt", reading.error(), {{"topic", topic_}, {"refused", count}});
      return;
    }
    Packet packet;
    packet.captured_us = reading->time_us != 0 ? reading->time_us : clock_.now_us();
    packet.monotonic_us = clock_.monotonic_us();
    packet.payload = std::move(reading->row);
    emit(std::move(packet));
  }

  ModulePointer module_;
  std::string topic_;
  const Clock& clock_;
  std::shared_ptr<BoundedQueue<std::string>> queue_ =
      std::make_shared<BoundedQueue<std::string>>(kMessagesMax, WhenFull::drop_oldest);
  SensorRowReader reader_;
  std::uint64_t subscription_ = 0, refused_ = 0;
};

}  // namespace

pipeline::Kind<Sink> router_kind(ModulePointer module) {
  return {.name = "router",
          .where = "connectors/module_kinds.h",
          .summary = "Sends events to the device's router, which keeps them until the hub has them.",
          .options = {{"output", "text", "The output's name, as routes of the manifest use it.", "events"}},
          .make = [module = std::move(module)](const Json& options, const Context&) -> Result<std::unique_ptr<Sink>> {
            return std::unique_ptr<Sink>(std::make_unique<RouterSink>(module, options["output"].get<std::string>()));
          }};
}

pipeline::Kind<Source> mqtt_source_kind(ModulePointer module) {
  return {.name = "mqtt",
          .where = "connectors/module_kinds.h",
          .summary = "Sensor values from a plain MQTT topic on the device, as JSON.",
          .options = {{"topic", "text", "The topic; + and # stand for levels.", nullptr, true}},
          .make = [module = std::move(module)](const Json& options,
                                               const Context& context) -> Result<std::unique_ptr<Source>> {
            return std::unique_ptr<Source>(
                std::make_unique<MqttSource>(module, options["topic"].get<std::string>(), context));
          }};
}

pipeline::Kind<Sink> mqtt_sink_kind(ModulePointer module) {
  return {.name = "mqtt",
          .where = "connectors/module_kinds.h",
          .summary = "Publishes sensor values, and events if wanted, on plain MQTT topics of the device.",
          .options = {{"topic", "text", "For sensor values.", nullptr, true},
                      {"events_topic", "text", "For events; empty: none.", ""}},
          .make = [module = std::move(module)](const Json& options, const Context&) -> Result<std::unique_ptr<Sink>> {
            return std::unique_ptr<Sink>(std::make_unique<MqttSink>(module, options["topic"].get<std::string>(),
                                                                    options["events_topic"].get<std::string>()));
          }};
}

}  // namespace verge::connectors
