#include "connectors/home/broker_link.h"

#include <atomic>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "messaging/client.h"

namespace verge::connectors {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kGoodbye{50};              // DISCONNECT leaves in the loop's next turns.
constexpr milliseconds kGoodbyeToTheSlow{1'100};  // What net.h gives a connection that is closed, and a little.

}  // namespace

struct BrokerLink::Impl {
  Impl(BrokerLinkOptions options_used, const Clock& clock_used, Metrics& metrics, Handlers handlers_used)
      : options(std::move(options_used)),
        clock(clock_used),
        handlers(std::move(handlers_used)),
        queue(options.limits),
        sent(metrics.counter("verge_broker_sent_total", "Publishes that the broker acknowledged.", labels())),
        dropped(metrics.counter("verge_broker_dropped_total", "Messages and states left out: too many, old or large.",
                                labels())),
        connected(metrics.gauge("verge_broker_connected", "1 while the broker is connected.", labels())) {}

  MetricLabels labels() const { return {{"broker", options.broker.shown}}; }

  // ---- on the loop

  void make_client() {
    messaging::ClientOptions settings;
    settings.connect.host = options.broker.host;
    settings.connect.port = options.broker.port;
    settings.connect.tls = options.tls;
    settings.client_id = options.client_id;
    settings.username = options.broker.user;
    settings.clean_session = true;
    settings.will = messaging::LastWill{options.available, "offline", true};
    settings.keep_alive_s = 30;
    settings.inflight_max = options.in_flight_max;
    settings.packet_bytes_max = options.packet_bytes_max;
    settings.retry_delay_min = options.retry_delay_min;
    settings.retry_delay_max = options.retry_delay_max;
    messaging::Client::Handlers on;
    if (!options.broker.user.empty()) {
      on.password = [this](std::function<void(Result<std::string>)> give) { give(options.broker.password); };
    }
    on.connected = [this](bool) { on_connected(); };
    on.disconnected = [this](const Error& reason) { on_disconnected(reason); };
    on.message = [this](std::string_view topic, std::string_view payload, std::uint8_t) {
      if (handlers.heard) handlers.heard(topic, payload);
    };
    client.emplace(loop, std::move(settings), std::move(on));
    if (!options.filter.empty()) client->subscribe(options.filter, 1);
    client->start();
    loop.every(milliseconds(1'000), [this] {
      if (handlers.tick) handlers.tick();
    });
  }

  void on_connected() {
    log_info("broker", "connected", {{"broker", options.broker.shown}});
    connected.set(1);
    {
      const std::lock_guard lock(mutex);
      problem.reset();
      is_up = true;
      queue.renew();
      (void)queue.set_state(options.available, "online");
    }
    pump();
  }

  void on_disconnected(const Error& reason) {
    Error told = Error(reason).within(fmt::format("connect to broker {}", options.broker.shown));
    connected.set(0);
    const std::lock_guard lock(mutex);
    is_up = false;
    if (!problem || problem->message != told.message) log_warning("broker", told.message);
    problem = std::move(told);
    changed.notify_all();
  }

  std::optional<Outgoing::Publication> take() {
    const std::lock_guard lock(mutex);
    if (!is_up || in_flight >= options.in_flight_max) return std::nullopt;
    auto next = queue.take(clock.monotonic_us());
    if (next) ++in_flight;
    note_dropped();
    return next;
  }

  void pump() {
    pump_is_posted = false;
    while (auto next = take()) {
      const auto done = [this](const Status& status) { finish(static_cast<bool>(status)); };
      auto status = client->publish(next->topic, next->payload, 1, done, next->is_retained);
      if (status) continue;
      log_error("broker", status.error(), {{"topic", next->topic}});
      dropped.add();
      finish(false);
    }
  }

  void finish(bool is_sent) {
    if (is_sent) sent.add();
    {
      const std::lock_guard lock(mutex);
      --in_flight;
      changed.notify_all();
    }
    wake();
  }

  /// A broker that did not take all that waited still learns that we go: by a last word behind what is on its way, or
  /// by the will when it does not even read that.
  void say_goodbye(bool has_sent_all) {
    if (!has_sent_all) (void)client->publish(options.available, "offline", 0, {}, true);
    client.reset();
    loop.after(has_sent_all ? kGoodbye : kGoodbyeToTheSlow, [this] { loop.stop(); });
  }

  // ---- from any thread

  void wake() {
    if (!pump_is_posted.exchange(true)) loop.post([this] { pump(); });
  }

  /// Under the lock.
  void note_dropped() {
    dropped.add(queue.dropped_count() - dropped_told);
    dropped_told = queue.dropped_count();
  }

  template <class Change>
  void change(Change apply) {
    {
      const std::lock_guard lock(mutex);
      apply(queue);
      note_dropped();
    }
    wake();
  }

  const BrokerLinkOptions options;
  const Clock& clock;
  const Handlers handlers;
  mutable std::mutex mutex;  ///< Of the next six.
  std::condition_variable changed;
  Outgoing queue;
  std::optional<Error> problem;
  std::size_t in_flight = 0;
  std::uint64_t dropped_told = 0;
  bool is_up = false;
  Counter& sent;
  Counter& dropped;
  Gauge& connected;
  std::atomic<bool> pump_is_posted{false};
  Loop loop;
  std::optional<messaging::Client> client;  ///< Only on the loop.
  std::thread thread;
};

BrokerLink::BrokerLink(BrokerLinkOptions options, const Clock& clock, Metrics& metrics, Handlers handlers)
    : impl_(std::make_unique<Impl>(std::move(options), clock, metrics, std::move(handlers))) {}

BrokerLink::~BrokerLink() { stop(); }

void BrokerLink::start() {
  impl_->loop.post([impl = impl_.get()] { impl->make_client(); });
  impl_->thread = std::thread([impl = impl_.get()] { impl->loop.run(); });
}

void BrokerLink::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->change([this](Outgoing& queue) {
    if (impl_->is_up) (void)queue.set_state(impl_->options.available, "offline");
  });
  bool has_sent_all = false;
  {
    std::unique_lock lock(impl_->mutex);
    const auto is_done = [this] { return !impl_->is_up || (impl_->queue.is_empty() && impl_->in_flight == 0); };
    has_sent_all = impl_->changed.wait_for(lock, impl_->options.stop_max, is_done);
    impl_->is_up = false;
  }
  impl_->loop.post([impl = impl_.get(), has_sent_all] { impl->say_goodbye(has_sent_all); });
  impl_->thread.join();
  impl_->connected.set(0);
}

void BrokerLink::set_state(const std::string& topic, std::string payload) {
  impl_->change([&](Outgoing& queue) { (void)queue.set_state(topic, std::move(payload)); });
}

void BrokerLink::send(std::string topic, std::string payload) {
  const std::int64_t now_us = impl_->clock.monotonic_us();
  impl_->change([&](Outgoing& queue) { queue.add_message(std::move(topic), std::move(payload), now_us); });
}

bool BrokerLink::is_connected() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->is_up;
}

Status BrokerLink::state() const {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->is_up || !impl_->problem) return Done{};
  return *impl_->problem;
}

}  // namespace verge::connectors
