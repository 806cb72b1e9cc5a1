#include "hub/live/live.h"

#include <fmt/core.h>

#include "base/json.h"
#include "hub/live/frame.h"

namespace verge::hub {
namespace {

constexpr std::chrono::milliseconds kMethodTimeout{10'000};

std::string text_of(const Json& object, std::string_view key) {
  auto text = string_member(object, key);
  return text ? *std::move(text) : std::string();
}

}  // namespace

Live::Live(Loop& loop, CallMethod call, WriteAudit audit, ListDevices list, LiveLimits limits)
    : loop_(loop), call_(std::move(call)), audit_(std::move(audit)), list_(std::move(list)), limits_(limits) {}

Live::~Live() {
  *alive_ = false;
  loop_.cancel(devices_timer_);
  for (const auto& [key, stream] : streams_) loop_.cancel(stream.timer);
  close();
}

void Live::close() {
  for (const auto& [page, owned] : pages_) owned->socket->close();
  for (const auto& [device, sockets] : uplinks_) {
    for (const auto& socket : sockets) socket->close();
  }
  for (const auto& [key, stream] : streams_) loop_.cancel(stream.timer);
  pages_.clear();
  uplinks_.clear();
  streams_.clear();
}

void Live::add_page(std::shared_ptr<WebSocket> socket, const std::string& who) {
  if (pages_.size() >= limits_.pages_max) return socket->close();
  auto owned = std::make_unique<Page>();
  Page* page = owned.get();
  page->socket = socket;
  page->who = who;
  pages_[page] = std::move(owned);
  socket->start({[this, page](std::string_view message, bool is_binary) {
                   if (!is_binary) page_message(*page, message);
                 },
                 [this, page](const Error&) { page_closed(page); }});
}

void Live::close_pages_of(const std::string& who) {
  std::vector<Page*> gone;
  for (const auto& [page, owned] : pages_) {
    if (owned->who == who) gone.push_back(page);
  }
  for (Page* page : gone) {
    const std::shared_ptr<WebSocket> socket = page->socket;
    socket->close();
    page_closed(page);  // Nothing when closing has told it.
  }
}

void Live::page_closed(Page* page) {
  const auto entry = pages_.extract(page);
  if (!entry) return;
  const std::set<Key> streams = page->streams;
  for (const auto& key : streams) end(*page, key);
}

/// {"watch": [...]}, {"live": {...}} or {"unlive": {...}}; anything else is not understood and ignored.
void Live::page_message(Page& page, std::string_view text) {
  const auto message = parse_json(text);
  if (!message || !message->is_object()) return;
  if (const Json* topics = find_member(*message, {"watch"})) page_watch(page, *topics);
  for (const std::string_view verb : {"live", "unlive"}) {
    const Json* target = find_member(*message, {verb});
    if (target == nullptr || !target->is_object()) continue;
    const Key key{text_of(*target, "device"), text_of(*target, "module"), text_of(*target, "stream")};
    if (verb == "live") {
      begin(page, key);
    } else {
      end(page, key);
    }
  }
}

void Live::page_watch(Page& page, const Json& topics) {
  if (!topics.is_array()) return;
  page.wants_events = page.wants_devices = false;
  for (const Json& topic : topics) {
    page.wants_events |= topic == "events";
    page.wants_devices |= topic == "devices";
  }
}

void Live::begin(Page& page, const Key& key) {
  if (page.streams.size() >= limits_.streams_per_page_max || !page.streams.insert(key).second) return;
  audit_(page.who, fmt::format("live begin {}/{}/{}", key.device, key.module, key.stream));
  Stream& stream = streams_[key];
  stream.watchers.insert(&page);
  count_streams();
  if (stream.watchers.size() > 1) return send_state(page, key, stream);
  set_state(key, "starting", {});
  ask_to_start(key);
  streams_[key].timer = loop_.every(limits_.renew_period, [this, key] { ask_to_start(key); });
}

void Live::count_streams() const {
  if (streams_gauge_ != nullptr) streams_gauge_->set(static_cast<double>(streams_.size()));
}

void Live::end(Page& page, const Key& key) {
  if (page.streams.erase(key) == 0) return;
  audit_(page.who, fmt::format("live end {}/{}/{}", key.device, key.module, key.stream));
  const auto found = streams_.find(key);
  if (found == streams_.end()) return;
  found->second.watchers.erase(&page);
  if (!found->second.watchers.empty()) return;
  loop_.cancel(found->second.timer);
  streams_.erase(found);
  count_streams();
  MethodCall call{{key.device, key.module}, "live.stop", to_text({{"stream", key.stream}}), kMethodTimeout, {}};
  call_(call, [](const Result<MethodAnswer>&) {});  // Without an answer it ends by itself after `granted`.
}

void Live::ask_to_start(const Key& key) {
  MethodCall call{{key.device, key.module},
                  "live.start",
                  to_text({{"stream", key.stream}, {"seconds", limits_.granted.count()}}),
                  kMethodTimeout,
                  {}};
  call_(call, [this, key, alive = alive_](const Result<MethodAnswer>& answer) {
    if (!*alive) return;
    if (!answer) return set_state(key, "unavailable", answer.error().message);
    if (answer->status < 300) return;
    const auto said = parse_json(answer->payload);
    const std::string reason = said && said->is_object() ? text_of(*said, "message") : std::string();
    set_state(key, "unavailable",
              reason.empty() ? fmt::format("the module answered {} to live.start", answer->status) : reason);
  });
}

void Live::set_state(const Key& key, const std::string& state, const std::string& reason) {
  const auto found = streams_.find(key);
  if (found == streams_.end() || (found->second.state == state && found->second.reason == reason)) return;
  found->second.state = state;
  found->second.reason = reason;
  for (Page* page : found->second.watchers) send_state(*page, key, found->second);
}

void Live::send_state(Page& page, const Key& key, const Stream& stream) {
  Json state{{"device", key.device}, {"module", key.module}, {"stream", key.stream}, {"state", stream.state}};
  if (!stream.reason.empty()) state["reason"] = stream.reason;
  send_news(page, to_text({{"live", std::move(state)}}));
}

/// News are few and small; a page that lets megabytes of them lie is not there any more.
void Live::send_news(Page& page, const std::string& text) {
  if (page.socket->unsent_bytes() <= limits_.page_news_bytes_max) return page.socket->send_text(text);
  loop_.post([this, alive = alive_, page = &page] {
    if (!*alive || !pages_.contains(page)) return;
    page->socket->close();
    page_closed(page);
  });
}

void Live::add_uplink(std::shared_ptr<WebSocket> socket, const std::string& device) {
  auto& sockets = uplinks_[device];
  if (sockets.size() >= limits_.uplinks_per_device_max) return socket->close();
  sockets.insert(socket);
  const std::weak_ptr<WebSocket> weak = socket;
  socket->start({[this, device](std::string_view message, bool is_binary) {
                   if (is_binary) frame(device, message);
                 },
                 [this, device, weak](const Error&) {
                   const auto found = uplinks_.find(device);
                   if (found == uplinks_.end()) return;
                   found->second.erase(weak.lock());
                   if (found->second.empty()) uplinks_.erase(found);
                 }});
}

void Live::frame(const std::string& device, std::string_view message) {
  if (message.size() > limits_.frame_bytes_max) return;
  auto parsed = parse_frame(message);
  if (!parsed) return;
  const Key key{device, text_of(parsed->header, "module"), text_of(parsed->header, "stream")};
  const auto found = streams_.find(key);
  if (found == streams_.end()) return;  // Nobody looks any more.
  parsed->header["device"] = device;
  const std::string bytes = frame_bytes(parsed->header, parsed->payload);
  set_state(key, "running", {});
  for (Page* page : found->second.watchers) {
    if (page->socket->unsent_bytes() > limits_.page_unsent_bytes_max) {
      ++dropped_count_;
    } else {
      page->socket->send_binary(bytes);
    }
  }
}

void Live::tell_events(const std::vector<std::string>& events) {
  for (const auto& [page, owned] : pages_) {
    if (!page->wants_events) continue;
    for (const auto& event : events) send_news(*page, "{\"event\":" + event + "}");
  }
}

void Live::tell_devices_changed() {
  if (devices_timer_ != 0) return;
  devices_timer_ = loop_.after(limits_.devices_pause, [this] {
    devices_timer_ = 0;
    bool is_wanted = false;
    for (const auto& [page, owned] : pages_) is_wanted |= page->wants_devices;
    if (!is_wanted) return;
    list_([this, alive = alive_](const std::string& devices) {
      if (!*alive) return;
      for (const auto& [page, owned] : pages_) {
        if (page->wants_devices) send_news(*page, "{\"devices\":" + devices + "}");
      }
    });
  });
}

}  // namespace verge::hub
