#include "agent/router/topic_tree.h"

#include <algorithm>

namespace verge::agent {
namespace {

/// Calls `use(level)` for each level; an empty text has one empty level.
template <class Use>
void for_each_level(std::string_view text, Use&& use) {
  while (true) {
    const auto slash = text.find('/');
    use(text.substr(0, slash));
    if (slash == std::string_view::npos) return;
    text.remove_prefix(slash + 1);
  }
}

bool is_reserved(std::string_view text) {
  return text.starts_with('$') || text == "devices" || text.starts_with("devices/") || text == "verge" ||
         text.starts_with("verge/");
}

}  // namespace

struct TopicTree::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
  std::map<std::string, std::uint8_t> clients;

  bool is_empty() const { return children.empty() && clients.empty(); }

  void collect(std::string_view topic, bool is_end, std::map<std::string, std::uint8_t>& found) const {
    // "a/#" also matches "a" itself.
    if (const auto rest = children.find("#"); rest != children.end()) rest->second->take(found);
    if (is_end) return take(found);
    const auto slash = topic.find('/');
    const auto level = topic.substr(0, slash);
    const bool is_last = slash == std::string_view::npos;
    const auto remaining = is_last ? std::string_view() : topic.substr(slash + 1);
    for (const std::string_view key : {level, std::string_view("+")}) {
      if (const auto child = children.find(key); child != children.end()) {
        child->second->collect(remaining, is_last, found);
      }
    }
  }

  void take(std::map<std::string, std::uint8_t>& found) const {
    for (const auto& [client, qos] : clients) {
      auto& best = found.try_emplace(client, qos).first->second;
      best = std::max(best, qos);
    }
  }

  void remove_client(const std::string& client) {
    clients.erase(client);
    for (auto& [level, child] : children) child->remove_client(client);
    std::erase_if(children, [](const auto& entry) { return entry.second->is_empty(); });
  }

  std::size_t count() const {
    std::size_t total = clients.size();
    for (const auto& [level, child] : children) total += child->count();
    return total;
  }

  void remove_at(std::string_view filter, bool is_end, const std::string& client) {
    if (is_end) {
      clients.erase(client);
      return;
    }
    const auto slash = filter.find('/');
    const bool is_last = slash == std::string_view::npos;
    const auto child = children.find(filter.substr(0, slash));
    if (child == children.end()) return;
    child->second->remove_at(is_last ? std::string_view() : filter.substr(slash + 1), is_last, client);
    if (child->second->is_empty()) children.erase(child);
  }
};

TopicTree::TopicTree() : root_(std::make_unique<Node>()) {}
TopicTree::~TopicTree() = default;

void TopicTree::subscribe(const std::string& client, std::string_view filter, std::uint8_t qos) {
  Node* node = root_.get();
  for_each_level(filter, [&](std::string_view level) {
    auto& child = node->children[std::string(level)];
    if (child == nullptr) child = std::make_unique<Node>();
    node = child.get();
  });
  node->clients[client] = qos;
}

void TopicTree::unsubscribe(const std::string& client, std::string_view filter) {
  root_->remove_at(filter, false, client);
}

void TopicTree::remove(const std::string& client) { root_->remove_client(client); }

std::map<std::string, std::uint8_t> TopicTree::match(std::string_view topic) const {
  std::map<std::string, std::uint8_t> found;
  root_->collect(topic, false, found);
  return found;
}

std::size_t TopicTree::subscription_count() const { return root_->count(); }

bool is_plain_filter(std::string_view filter) {
  if (filter.empty() || is_reserved(filter)) return false;
  bool is_valid = true;
  bool is_over = false;
  for_each_level(filter, [&](std::string_view level) {
    if (is_over) is_valid = false;  // Something behind "#".
    if (level == "#") is_over = true;
    const bool has_wildcard = level.find_first_of("+#") != std::string_view::npos;
    if (has_wildcard && level.size() > 1) is_valid = false;
  });
  return is_valid;
}

bool is_plain_topic(std::string_view topic) {
  return !topic.empty() && !is_reserved(topic) && topic.find_first_of("+#") == std::string_view::npos;
}

}  // namespace verge::agent
