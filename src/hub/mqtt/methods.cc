#include "hub/mqtt/methods.h"

#include <fmt/core.h>
#include <vector>

namespace verge::hub {
namespace {

constexpr std::size_t kNameCharactersMax = 128;

Status check(const MethodCall& call) {
  if (call.name.empty() || call.name.size() > kNameCharactersMax) {
    return Error{ErrorCode::invalid_argument, "methodName must have 1 to 128 characters"};
  }
  if (call.payload.size() > kMethodBytesMax) {
    return Error{ErrorCode::limit,
                 fmt::format("a method payload of {} bytes; at most {}", call.payload.size(), kMethodBytesMax)};
  }
  return Done{};
}

Error not_online(const contract::Identity& who) {
  return Error{ErrorCode::not_found, fmt::format("\"{}\" is not connected, or takes no methods", who.to_text())};
}

}  // namespace

Methods::Methods(Loop& loop, std::function<messaging::SessionPointer(const contract::Identity&)> find)
    : loop_(loop), find_(std::move(find)) {}

Methods::~Methods() {
  for (const auto& [id, pending] : pending_) loop_.cancel(pending.timer);
}

void Methods::call(const MethodCall& call, OnAnswer done) {
  if (const auto checked = check(call); !checked) return done(checked.error());
  if (pending_.size() >= kPendingMax) {
    return done(Error{ErrorCode::limit, fmt::format("{} method calls wait for answers: retry later", pending_.size())});
  }
  const auto session = find_(call.who);
  if (!session && call.connect_timeout.count() == 0) return done(not_online(call.who));

  const std::string id = std::to_string(++last_id_);
  Pending& pending = pending_[id];
  pending.call = call;
  pending.done = std::move(done);
  if (session) return send(id, pending, session);
  pending.timer = loop_.after(call.connect_timeout, [this, id, who = call.who] { finish(id, not_online(who)); });
}

void Methods::send(const std::string& id, Pending& pending, const messaging::SessionPointer& session) {
  loop_.cancel(pending.timer);
  pending.is_sent = true;
  pending.timer = loop_.after(pending.call.response_timeout, [this, id, who = pending.call.who] {
    finish(id, Error{ErrorCode::timeout, fmt::format("\"{}\" did not answer in time", who.to_text())});
  });
  const auto sent = session->deliver(contract::method_request_topic(pending.call.name, id), pending.call.payload, 0);
  if (!sent) finish(id, sent.error());
}

void Methods::finish(std::string id, Result<MethodAnswer> answer) {
  auto entry = pending_.extract(id);
  if (!entry) return;
  loop_.cancel(entry.mapped().timer);
  entry.mapped().done(std::move(answer));
}

void Methods::answered(const contract::Identity& who, std::string_view request_id, int status,
                       std::string_view payload) {
  const auto found = pending_.find(std::string(request_id));
  if (found == pending_.end() || found->second.call.who != who || !found->second.is_sent) return;
  if (payload.size() > kMethodBytesMax) {
    return finish(found->first, Error{ErrorCode::limit, fmt::format("\"{}\" answered with {} bytes; at most {}",
                                                                    who.to_text(), payload.size(), kMethodBytesMax)});
  }
  finish(found->first, MethodAnswer{status, std::string(payload)});
}

void Methods::disconnected(const contract::Identity& who) {
  std::vector<std::string> ended;
  for (const auto& [id, pending] : pending_) {
    if (pending.is_sent && pending.call.who == who) ended.push_back(id);
  }
  for (auto& id : ended) finish(std::move(id), not_online(who));
}

void Methods::close() {
  std::vector<std::string> all;
  for (const auto& [id, pending] : pending_) all.push_back(id);
  for (auto& id : all) finish(std::move(id), Error{ErrorCode::unavailable, "the hub stops"});
}

void Methods::listens(const contract::Identity& who) {
  std::vector<std::string> waiting;
  for (const auto& [id, pending] : pending_) {
    if (!pending.is_sent && pending.call.who == who) waiting.push_back(id);
  }
  const auto session = find_(who);
  for (const auto& id : waiting) {
    if (const auto found = pending_.find(id); session && found != pending_.end()) send(id, found->second, session);
  }
}

}  // namespace verge::hub
