// agent/upstream/system_twin.h -- follows the twin of $edgeAgent or $edgeHub: desired in, the difference of reported
// out.
//
// Reads the whole twin at each connection, once an hour, and when a patch's version is not the next one. Reports what
// differs from what the hub has, at most once a second.
// Source: wire contract §3.2, §3.3. Threads: everything on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/json.h"
#include "base/loop.h"
#include "base/result.h"

namespace verge::agent {

class SystemTwin {
 public:
  /// The link's calls, see HubLink.
  struct Link {
    std::function<bool()> is_connected;
    std::function<void(std::function<void(Result<Json>)>)> get_twin;
    std::function<void(const Json& patch, std::function<void(Result<std::int64_t>)>)> report;
  };
  using OnDesired = std::function<void(std::int64_t version, const Json& desired)>;

  /// name: for log lines.
  SystemTwin(Loop& loop, std::string name, Link link, OnDesired on_desired);
  ~SystemTwin();

  void connected();
  void desired_patch(std::int64_t version, const Json& patch);
  /// The whole of what should be reported.
  void set_report(Json report);
  /// Sends a patch at once, past the throttle; the last words at shutdown: nothing is reported after them.
  void report_now(const Json& patch, std::function<void()> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::agent
