// hub/live/live.h -- pictures from a device to the pages that look at them, and news to all pages.
//
// While somebody watches a stream, its module is asked every 20 s to push frames for 30 s; after the last watcher left
// it is told to stop. Frames pass through and are never stored; a page that does not keep up loses frames, never gets
// them late. Every begin and end is told to the audit log.
// The hub adds "device" to a frame's header (frame.h).
// Threads: everything on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/websocket.h"
#include "hub/mqtt/methods.h"

namespace verge::hub {

struct LiveLimits {
  std::size_t frame_bytes_max = 4U << 20U;
  std::size_t page_unsent_bytes_max = 1U << 20U;  ///< Above it a page gets no more frames for now.
  std::size_t page_news_bytes_max = 8U << 20U;    ///< Above it a page that does not read is closed.
  std::size_t pages_max = 256;
  std::size_t streams_per_page_max = 64;
  std::size_t uplinks_per_device_max = 16;
  std::chrono::milliseconds renew_period{20'000};
  std::chrono::seconds granted{30};
  std::chrono::milliseconds devices_pause{500};  ///< Between two lists of devices.
};

class Live {
 public:
  using CallMethod = std::function<void(const MethodCall&, Methods::OnAnswer)>;
  using WriteAudit = std::function<void(const std::string& who, const std::string& what)>;
  /// list: makes the JSON text of all devices, now or later, and hands it over on the loop's thread.
  using ListDevices = std::function<void(std::function<void(std::string)>)>;

  Live(Loop& loop, CallMethod call, WriteAudit audit, ListDevices list, LiveLimits limits = {});
  ~Live();

  /// A page's socket; who: the person, for the audit log.
  void add_page(std::shared_ptr<WebSocket> socket, const std::string& who);
  /// Who may no longer look: his pages' sockets close.
  void close_pages_of(const std::string& who);
  /// A device's socket.
  void add_uplink(std::shared_ptr<WebSocket> socket, const std::string& device);
  /// Events that were stored, as JSON texts.
  void tell_events(const std::vector<std::string>& events);
  /// A device's state changed; several changes make one message.
  void tell_devices_changed();
  void close();
  std::size_t page_count() const { return pages_.size(); }
  /// From now on the number of streams that somebody watches stands in `gauge`.
  void show_streams_in(Gauge& gauge) { streams_gauge_ = &gauge; }
  std::uint64_t dropped_count() const { return dropped_count_; }

 private:
  struct Key {
    std::string device, module, stream;
    auto operator<=>(const Key&) const = default;
  };
  struct Page {
    std::shared_ptr<WebSocket> socket;
    std::string who;
    bool wants_events = false, wants_devices = false;
    std::set<Key> streams;
  };
  struct Stream {
    std::set<Page*> watchers;
    std::string state, reason;
    Loop::TimerId timer = 0;
  };

  void page_message(Page& page, std::string_view text);
  void page_watch(Page& page, const Json& topics);
  void begin(Page& page, const Key& key);
  void end(Page& page, const Key& key);
  void count_streams() const;
  void ask_to_start(const Key& key);
  void set_state(const Key& key, const std::string& state, const std::string& reason);
  void send_state(Page& page, const Key& key, const Stream& stream);
  void send_news(Page& page, const std::string& text);
  void page_closed(Page* page);
  void frame(const std::string& device, std::string_view message);

  Loop& loop_;
  CallMethod call_;
  WriteAudit audit_;
  ListDevices list_;
  const LiveLimits limits_;
  std::map<Page*, std::unique_ptr<Page>> pages_;
  std::map<Key, Stream> streams_;
  Gauge* streams_gauge_ = nullptr;
  std::map<std::string, std::set<std::shared_ptr<WebSocket>>> uplinks_;
  Loop::TimerId devices_timer_ = 0;
  std::uint64_t dropped_count_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace verge::hub
