#include "messaging/endpoint.h"

#include <utility>

#include "messaging/endpoint_session.h"

namespace verge::messaging {
namespace {

std::shared_ptr<Inbox<Acknowledgement>> make_acknowledgement_inbox(const std::shared_ptr<EndpointCore>& core) {
  const std::weak_ptr<EndpointCore> weak = core;
  return std::make_shared<Inbox<Acknowledgement>>(core->loop, [weak](std::vector<Acknowledgement>& given) {
    const auto alive = weak.lock();
    if (!alive) return;
    // Runs of one session go together, so that their PUBACKs leave with one send.
    for (std::size_t begin = 0; begin < given.size();) {
      std::size_t end = begin + 1;
      while (end < given.size() && given[end].session == given[begin].session) ++end;
      given[begin].session->apply(given.data() + begin, given.data() + end);
      begin = end;
    }
  });
}

std::shared_ptr<Inbox<Verdict>> make_verdict_inbox(const std::shared_ptr<EndpointCore>& core) {
  const std::weak_ptr<EndpointCore> weak = core;
  return std::make_shared<Inbox<Verdict>>(core->loop, [weak](std::vector<Verdict>& given) {
    const auto alive = weak.lock();
    if (!alive) return;
    for (Verdict& verdict : given) verdict.session->apply(verdict);
  });
}

/// Cuts the first level off.
std::string_view take_level(std::string_view& levels) {
  const std::size_t end = levels.find('/');
  const std::string_view level = levels.substr(0, end);
  levels.remove_prefix(end == std::string_view::npos ? levels.size() : end);
  return level;
}

}  // namespace

struct Endpoint::Impl {
  std::shared_ptr<EndpointCore> core;

  void finish_all(std::string_view reason) const {
    core->is_closed = true;
    std::vector<std::shared_ptr<EndpointSession>> all;
    for (const auto& [key, session] : core->accepted) all.push_back(session);
    for (const auto& session : all) session->finish(false, reason);
  }
};

Endpoint::Endpoint(Loop& loop, Options options, Handlers handlers) : impl_(std::make_shared<Impl>()) {
  VERGE_ASSERT(handlers.authenticate && handlers.publish);
  impl_->core = std::make_shared<EndpointCore>(loop, options, std::move(handlers));
  impl_->core->acknowledgements = make_acknowledgement_inbox(impl_->core);
  impl_->core->verdicts = make_verdict_inbox(impl_->core);
}

Endpoint::~Endpoint() {
  impl_->core->is_silent = true;
  impl_->finish_all("the endpoint is gone");
  impl_->core->acknowledgements->close();
  impl_->core->verdicts->close();
}

void Endpoint::accept(ConnectionPointer connection, std::uint16_t local_port) {
  const auto core = impl_->core;
  if (core->is_closed) {
    connection->close();
    return;
  }
  const auto session = std::make_shared<EndpointSession>(core, std::move(connection), local_port);
  core->accepted.emplace(session.get(), session);
  session->start();
}

SessionPointer Endpoint::find(std::string_view identity) const {
  const auto& by_identity = impl_->core->by_identity;
  const auto found = by_identity.find(identity);
  if (found == by_identity.end() || !found->second->is_open()) return nullptr;
  return found->second->shared_from_this();
}

std::vector<SessionPointer> Endpoint::sessions() const {
  std::vector<SessionPointer> open;
  for (const auto& [key, session] : impl_->core->accepted) {
    if (session->is_open()) open.push_back(session);
  }
  return open;
}

std::size_t Endpoint::session_count() const {
  std::size_t count = 0;
  for (const auto& [key, session] : impl_->core->accepted) count += session->is_open() ? 1 : 0;
  return count;
}

void Endpoint::close() {
  const auto alive = impl_;
  alive->finish_all("the server closes");
}

bool topic_matches(std::string_view filter, std::string_view topic) {
  if (filter.empty() || topic.empty()) return false;
  if (topic.front() == '$' && (filter.front() == '+' || filter.front() == '#')) return false;
  while (true) {
    const std::string_view wanted = take_level(filter);
    if (wanted == "#") return true;
    const std::string_view level = take_level(topic);
    if (wanted != "+" && wanted != level) return false;
    // What is left begins with the slash before the next level, or is empty.
    if (topic.empty()) return filter.empty() || filter == "/#";
    if (filter.empty()) return false;
    filter.remove_prefix(1);
    topic.remove_prefix(1);
  }
}

}  // namespace verge::messaging
