// agent/router/route_table.h -- the routes of the manifest: where a module's output goes.
//
// Source: wire contract §4.1. A message goes to every target of a matching route, once per target, with the time to
// live of the best (lowest) priority.
// Threads: a plain value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contract/manifest.h"
#include "contract/topics.h"
#include "expression/route.h"

namespace verge::agent {

class RouteTable {
 public:
  struct Match {
    std::string target;  ///< As in OutboxRecord::target.
    std::int64_t time_to_live_s = -1;
    std::uint32_t priority = 0;
  };

  /// All or nothing. Errors: invalid_argument naming the route.
  static Result<RouteTable> make(const contract::RouterConfig& config);
  /// sender: module; output: empty for messages without one.
  std::vector<Match> targets(const std::string& device, const std::string& sender, const std::string& output,
                             const contract::PropertyBag& properties, std::string_view payload) const;
  std::size_t route_count() const { return routes_.size(); }

 private:
  struct Entry {
    expression::Route route;
    std::uint32_t priority = 0;
    std::int64_t time_to_live_s = -1;
  };
  std::vector<Entry> routes_;
};

}  // namespace verge::agent
