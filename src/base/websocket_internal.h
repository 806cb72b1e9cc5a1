// base/websocket_internal.h -- the server's half of opening a WebSocket; private to base.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/websocket.h"

namespace verge {

/// Sec-WebSocket-Accept for a client's Sec-WebSocket-Key (RFC 6455 section 4.2.2).
std::string websocket_accept_key(std::string_view client_key);

/// Takes over a connection after the handshake; `early` came behind the client's head.
std::shared_ptr<WebSocket> make_websocket(Loop& loop, ConnectionPointer connection, bool is_client, std::string early);

}  // namespace verge
