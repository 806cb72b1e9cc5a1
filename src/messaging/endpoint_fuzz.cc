// Clients that send anything must never harm the endpoint; what an owner got it may acknowledge at any time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "messaging/endpoint.h"
#include "messaging/memory_connection.h"
#include "messaging/packets.h"

namespace {

using namespace verge;
using namespace verge::messaging;

Endpoint::Options small_options() {
  Endpoint::Options options;
  options.limits.packet_bytes_max = 4'096;
  options.limits.inflight_max = 3;
  options.limits.delivery_window = 2;
  options.limits.queued_max = 4;
  options.limits.subscriptions_max = 4;
  options.closes_on_refused_subscription = false;
  return options;
}

Endpoint::Handlers make_handlers(std::vector<Acknowledge>& acknowledges) {
  Endpoint::Handlers handlers;
  handlers.authenticate = [](const ConnectRequest& request, auto reply) {
    reply(request.username == "no" ? ConnectCode::bad_credentials : ConnectCode::accepted, request.client_id);
  };
  handlers.may_subscribe = [](const SessionPointer&, std::string_view filter, std::uint8_t) {
    return filter.size() % 5 != 0;
  };
  handlers.subscribed = [](const SessionPointer& session, std::string_view) {
    static_cast<void>(static_cast<bool>(session->deliver("welcome", "x", 1)));
  };
  handlers.publish = [&](const SessionPointer& session, const PublishIn& publish, Acknowledge acknowledge) -> Status {
    if (publish.payload == "close") session->close("as asked");
    if (publish.payload == "error") return Error{ErrorCode::invalid_argument, "as asked"};
    acknowledges.push_back(std::move(acknowledge));
    return Done{};
  };
  return handlers;
}

void run_posted(Loop& loop) {
  for (int turn = 0; turn < 3; ++turn) {
    loop.stop();
    loop.run();
  }
}

std::string connect_packet() {
  ConnectPacket packet;
  packet.client_id = "fuzz";
  std::string bytes;
  append_connect(bytes, packet);
  return bytes;
}

}  // namespace

/// First byte: bit 0 begins with a valid CONNECT, the rest is the size of the pieces that arrive.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] / 2 + 1U;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Loop loop;
  std::vector<Acknowledge> acknowledges;
  Endpoint endpoint(loop, small_options(), make_handlers(acknowledges));
  const auto connection = std::make_shared<MemoryConnection>();
  endpoint.accept(connection);
  if ((data[0] & 1U) != 0) connection->give(connect_packet());
  run_posted(loop);
  while (!rest.empty() && connection->is_open()) {
    connection->give(rest.substr(0, step));
    rest.remove_prefix(std::min(step, rest.size()));
    VERGE_ASSERT(acknowledges.size() <= 4'096);
    if (acknowledges.size() < 3) continue;
    while (!acknowledges.empty()) {
      acknowledges.back()(Done{});
      acknowledges.pop_back();
    }
    run_posted(loop);
    connection->give({});
  }
  if (size % 2 == 0) connection->end();
  run_posted(loop);
  return 0;
}
