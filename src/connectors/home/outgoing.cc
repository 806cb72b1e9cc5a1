#include "connectors/home/outgoing.h"

#include <algorithm>
#include <vector>

namespace verge::connectors {

bool Outgoing::set_state(const std::string& topic, std::string payload) {
  auto at = states_.find(topic);
  const std::size_t old_bytes = at == states_.end() ? 0 : at->second.payload.size();
  const bool is_too_much = state_bytes_ - old_bytes + payload.size() > limits_.state_bytes_max ||
                           (at == states_.end() && states_.size() >= limits_.states_max);
  if (is_too_much) {
    ++dropped_;
    return false;
  }
  if (at == states_.end()) {
    at = states_.try_emplace(topic).first;
  } else if (at->second.payload == payload) {
    return true;
  }
  state_bytes_ += payload.size() - old_bytes;
  at->second.payload = std::move(payload);
  make_due(topic, at->second);
  return true;
}

void Outgoing::make_due(const std::string& topic, State& state) {
  if (!state.is_due) due_.push_back(topic);
  state.is_due = true;
}

void Outgoing::add_message(std::string topic, std::string payload, std::int64_t now_us) {
  message_bytes_ += payload.size();
  messages_.push_back({std::move(topic), std::move(payload), now_us});
  while (messages_.size() > limits_.messages_max || message_bytes_ > limits_.message_bytes_max) drop_oldest();
}

void Outgoing::drop_oldest() {
  message_bytes_ -= messages_.front().payload.size();
  messages_.pop_front();
  ++dropped_;
}

std::optional<Outgoing::Publication> Outgoing::take(std::int64_t now_us) {
  is_message_next_ = !is_message_next_;
  if (is_message_next_) {
    if (auto message = take_message(now_us)) return message;
    return take_state();
  }
  if (auto state = take_state()) return state;
  return take_message(now_us);
}

std::optional<Outgoing::Publication> Outgoing::take_state() {
  if (due_.empty()) return std::nullopt;
  const std::string topic = std::move(due_.front());
  due_.pop_front();
  const auto at = states_.find(topic);
  at->second.is_due = false;
  Publication publication{topic, at->second.payload, true};
  if (publication.payload.empty()) states_.erase(at);
  return publication;
}

std::optional<Outgoing::Publication> Outgoing::take_message(std::int64_t now_us) {
  while (!messages_.empty() && now_us - messages_.front().since_us > limits_.message_age_us_max) drop_oldest();
  if (messages_.empty()) return std::nullopt;
  Message message = std::move(messages_.front());
  message_bytes_ -= message.payload.size();
  messages_.pop_front();
  return Publication{std::move(message.topic), std::move(message.payload), false};
}

void Outgoing::renew() {
  std::vector<std::string> rest;
  for (const auto& [topic, state] : states_) {
    if (!state.is_due) rest.push_back(topic);
  }
  std::ranges::sort(rest);
  for (const std::string& topic : rest) make_due(topic, states_.at(topic));
}

}  // namespace verge::connectors
