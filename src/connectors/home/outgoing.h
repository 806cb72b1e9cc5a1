// connectors/home/outgoing.h -- what waits for the broker: states, of which only the newest counts, and messages.
//
// A state is retained by the broker, so a slow or absent broker costs nothing but the values in between. Messages
// ("a person came") are sent once and in order; when there are too many, or they are too old to act on, the oldest go
// and are counted. Threads: by one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

namespace verge::connectors {

struct OutgoingLimits {
  std::size_t states_max = 4'096;                ///< Topics; further ones are refused.
  std::size_t state_bytes_max = 64U << 20U;      ///< Of all states together; what would exceed them is refused.
  std::size_t messages_max = 1'000;              ///< Then the oldest goes.
  std::size_t message_bytes_max = 8U << 20U;     ///< Of all messages together.
  std::int64_t message_age_us_max = 60'000'000;  ///< A message that waited longer is no news.
};

class Outgoing {
 public:
  struct Publication {
    std::string topic, payload;
    bool is_retained = false;
  };

  explicit Outgoing(OutgoingLimits limits = {}) : limits_(limits) {}

  /// False when it was refused. An empty payload makes the broker and this forget the topic.
  bool set_state(const std::string& topic, std::string payload);
  void add_message(std::string topic, std::string payload, std::int64_t now_us);
  /// The next to send; states and messages take turns.
  std::optional<Publication> take(std::int64_t now_us);
  /// A new connection: the broker may have forgotten what it retained.
  void renew();

  bool is_empty() const { return due_.empty() && messages_.empty(); }
  std::size_t message_count() const { return messages_.size(); }
  std::uint64_t dropped_count() const { return dropped_; }

 private:
  struct State {
    std::string payload;
    bool is_due = false;
  };
  struct Message {
    std::string topic, payload;
    std::int64_t since_us = 0;
  };
  std::optional<Publication> take_state();
  std::optional<Publication> take_message(std::int64_t now_us);
  void drop_oldest();
  void make_due(const std::string& topic, State& state);

  const OutgoingLimits limits_;
  std::unordered_map<std::string, State> states_;
  std::deque<std::string> due_;  ///< Topics, in the order of their changes.
  std::deque<Message> messages_;
  std::size_t state_bytes_ = 0, message_bytes_ = 0;
  std::uint64_t dropped_ = 0;
  bool is_message_next_ = false;
};

}  // namespace verge::connectors
