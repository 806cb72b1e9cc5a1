// agent/router/topic_tree.h -- who wants which plain topic: subscriptions as a tree of topic levels.
//
// Source: OASIS MQTT 3.1.1 §4.7. Threads: one at a time. Bound: the endpoint limits subscriptions per client.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace verge::agent {

class TopicTree {
 public:
  TopicTree();
  ~TopicTree();
  /// filter: valid per §4.7 (see is_plain_filter). Subscribing again replaces the QoS.
  void subscribe(const std::string& client, std::string_view filter, std::uint8_t qos);
  void unsubscribe(const std::string& client, std::string_view filter);
  void remove(const std::string& client);
  /// Each client once, with the highest QoS of its matching filters.
  std::map<std::string, std::uint8_t> match(std::string_view topic) const;
  std::size_t subscription_count() const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

/// A filter of plain topics: + and # only as whole levels, # last; not below $, devices/ or verge/.
bool is_plain_filter(std::string_view filter);
/// A topic that modules may use among themselves: no wildcard, not below $, devices/ or verge/.
bool is_plain_topic(std::string_view topic);

}  // namespace verge::agent
