// pipeline/test_parts.h -- small sources, stages and sinks that tests put together; tests only.
//
// Threads: as the interfaces say; what tests read afterwards is guarded.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "pipeline/stage.h"

namespace verge::pipeline::testing {

inline Packet row_packet(float value) {
  auto row = std::make_shared<SensorRow>();
  row->values = {value};
  Packet packet;
  packet.payload = std::shared_ptr<const SensorRow>(std::move(row));
  return packet;
}

inline float value_of(const Packet& packet) {
  const auto row = payload_as<SensorRow>(packet);
  return row ? row->values.front() : -1;
}

/// Makes a kind whose factory is `make(options, context)` and may return any unique_ptr of a Part.
template <class Part, class Make>
Kind<Part> kind_of(std::string name, std::vector<OptionInfo> options, Make make) {
  Kind<Part> kind;
  kind.name = std::move(name);
  kind.where = "pipeline/test_parts.h";
  kind.summary = "For tests.";
  kind.options = std::move(options);
  kind.make = [make](const Json& given, const Context& context) -> Result<std::unique_ptr<Part>> {
    return std::unique_ptr<Part>(make(given, context));
  };
  return kind;
}

/// Emits 0, 1, 2 … count-1 and ends; a live one does not wait.
class CountingSource final : public Source {
 public:
  CountingSource(int count, bool live) : count_(count), live_(live) {}
  Status run(const Emit& emit, const std::function<bool()>& should_stop) override {
    for (int i = 0; i < count_ && !should_stop(); ++i) emit(row_packet(static_cast<float>(i)));
    return Done{};
  }
  bool is_live() const override { return live_; }

 private:
  int count_;
  bool live_;
};

/// What sinks got, and a gate that holds them until open() is called.
class Basket {
 public:
  explicit Basket(bool is_open = true) : is_open_(is_open) {}
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void put(const Packet& packet) {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
    packets_.push_back(packet);
    changed_.notify_all();
  }
  void wait_for_visitor() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return packets_.size() >= count; });
  }
  std::vector<Packet> packets() const {
    const std::lock_guard lock(mutex_);
    return packets_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Packet> packets_;
  std::size_t waiting_ = 0;
  bool is_open_;
};

class BasketSink final : public Sink {
 public:
  explicit BasketSink(std::shared_ptr<Basket> basket) : basket_(std::move(basket)) {}
  Status write(const Packet& packet) override {
    basket_->put(packet);
    return Done{};
  }

 private:
  std::shared_ptr<Basket> basket_;
};

/// Calls a function per packet.
class LambdaStage final : public Stage {
 public:
  using Process = std::function<Status(const Packet&, const Emit&)>;
  explicit LambdaStage(Process process, std::function<void(const Emit&)> close = {})
      : process_(std::move(process)), close_(std::move(close)) {}
  Status process(const Packet& packet, const Emit& emit) override { return process_(packet, emit); }
  Status close(const Emit& emit) override {
    if (close_) close_(emit);
    return Done{};
  }

 private:
  Process process_;
  std::function<void(const Emit&)> close_;
};

}  // namespace verge::pipeline::testing
