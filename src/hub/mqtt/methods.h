// hub/mqtt/methods.h -- direct methods: one request to a connected device or module, one answer or none.
//
// Threads: everything on the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/loop.h"
#include "base/result.h"
#include "contract/topics.h"
#include "messaging/endpoint.h"

namespace verge::hub {

struct MethodCall {
  contract::Identity who;
  std::string name;     ///< 1 to 128 characters.
  std::string payload;  ///< JSON text or empty, at most 128 KiB.
  std::chrono::milliseconds response_timeout{30'000};
  std::chrono::milliseconds connect_timeout{0};  ///< How long to wait for it to connect first.
};

struct MethodAnswer {
  int status = 0;
  std::string payload;  ///< JSON text or empty, as the device sent it.
};

inline constexpr std::size_t kMethodBytesMax = 128U << 10U;

class Methods {
 public:
  using OnAnswer = std::function<void(Result<MethodAnswer>)>;
  /// find: the open session of an identity that listens to methods, or null.
  Methods(Loop& loop, std::function<messaging::SessionPointer(const contract::Identity&)> find);
  ~Methods();

  /// `done` is called once. Errors: not_found (not connected), timeout (no answer), limit (too many calls at once, or
  /// the payload is too large), invalid_argument (name).
  void call(const MethodCall& call, OnAnswer done);
  /// What a device published as an answer; one that nobody waits for is dropped.
  void answered(const contract::Identity& who, std::string_view request_id, int status, std::string_view payload);
  /// Its calls end with not_found.
  void disconnected(const contract::Identity& who);
  /// Ends all calls with unavailable.
  void close();
  /// Somebody may wait for it.
  void listens(const contract::Identity& who);

 private:
  struct Pending {
    MethodCall call;
    OnAnswer done;
    Loop::TimerId timer = 0;
    bool is_sent = false;
  };
  void send(const std::string& request_id, Pending& pending, const messaging::SessionPointer& session);
  void finish(std::string request_id, Result<MethodAnswer> answer);

  static constexpr std::size_t kPendingMax = 10'000;
  Loop& loop_;
  std::function<messaging::SessionPointer(const contract::Identity&)> find_;
  std::unordered_map<std::string, Pending> pending_;  ///< By request id.
  std::uint64_t last_id_ = 0;
};

}  // namespace verge::hub
