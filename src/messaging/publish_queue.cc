#include "messaging/publish_queue.h"

#include <algorithm>
#include <utility>

#include "messaging/packets.h"

namespace verge::messaging {
namespace {

constexpr std::size_t kWindowMax = 32'768;
constexpr char kRepeated = 0x08;  // The DUP flag of the fixed header.

PublishQueueLimits within_packet_ids(PublishQueueLimits limits) {
  limits.window = std::clamp<std::size_t>(limits.window, 1, kWindowMax);
  limits.waiting_max = std::min<std::size_t>(limits.waiting_max, PublishQueue::kPacketIdMax - kWindowMax);
  return limits;
}

Error full(std::string_view what, std::size_t limit) {
  return Error{ErrorCode::limit,
               "publish: " + std::string(what) + " (the limit is " + std::to_string(limit) + "); try again later"};
}

}  // namespace

PublishQueue::PublishQueue(const PublishQueueLimits& limits) : limits_(within_packet_ids(limits)) {}

Status PublishQueue::push(std::string_view topic, std::string_view payload, OnDone done, bool is_retained) {
  VERGE_CHECK(check_topic(topic));
  const std::size_t packet_bytes = publish_bytes(topic.size(), payload.size());
  if (packet_bytes > limits_.packet_bytes_max) {
    return Error{ErrorCode::limit, "publish " + std::to_string(payload.size()) + " bytes: the packet would exceed " +
                                       std::to_string(limits_.packet_bytes_max) + " bytes; send less at a time"};
  }
  if (waiting_count() >= limits_.waiting_max) return full("too many messages wait", limits_.waiting_max);
  if (held_bytes_ + packet_bytes > limits_.bytes_max) return full("too many bytes wait", limits_.bytes_max);

  const std::uint64_t sequence = front_sequence_ + items_.size();
  PublishPacket packet;
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = 1;
  packet.retain = is_retained;
  packet.packet_id = static_cast<std::uint16_t>(sequence % kPacketIdMax + 1);
  Item item;
  item.packet.reserve(packet_bytes);
  append_publish(item.packet, packet);
  item.done = std::move(done);
  items_.push(std::move(item));
  held_bytes_ += packet_bytes;
  return Done{};
}

void PublishQueue::take(std::string& out) {
  while (sent_count_ < items_.size() && sent_count_ < limits_.window) {
    Item& item = items_[sent_count_];
    const bool is_repeated = sent_count_ < ever_sent_count_;
    ++sent_count_;
    ever_sent_count_ = std::max(ever_sent_count_, sent_count_);
    if (item.is_acknowledged) continue;
    if (is_repeated) item.packet[0] = static_cast<char>(item.packet[0] | kRepeated);
    out.append(item.packet);
    if (limits_.repeats) continue;
    held_bytes_ -= item.packet.size();
    std::string().swap(item.packet);
  }
}

PublishQueue::OnDone PublishQueue::acknowledge(std::uint16_t packet_id) {
  if (packet_id == 0 || packet_id > kPacketIdMax) return {};
  const std::uint64_t front = front_sequence_ % kPacketIdMax;
  const std::size_t index = (packet_id - 1U + kPacketIdMax - front) % kPacketIdMax;
  if (index >= sent_count_ || items_[index].is_acknowledged) return {};
  items_[index].is_acknowledged = true;
  ++acknowledged_count_;
  OnDone done = std::move(items_[index].done);
  drop_acknowledged_front();
  return done;
}

void PublishQueue::drop_acknowledged_front() {
  while (!items_.empty() && items_.front().is_acknowledged) {
    held_bytes_ -= items_.front().packet.size();
    items_.pop();
    ++front_sequence_;
    --sent_count_;
    --ever_sent_count_;
    --acknowledged_count_;
  }
}

std::vector<PublishQueue::OnDone> PublishQueue::clear() {
  std::vector<OnDone> unfinished;
  for (std::size_t index = 0; index < items_.size(); ++index) {
    if (items_[index].done) unfinished.push_back(std::move(items_[index].done));
  }
  front_sequence_ += items_.size();
  items_.clear();
  sent_count_ = ever_sent_count_ = acknowledged_count_ = held_bytes_ = 0;
  return unfinished;
}

}  // namespace verge::messaging
