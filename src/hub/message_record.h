// hub/message_record.h -- one message of a device or module, as bytes in the message log.
//
// Layout: byte 1 (version) | u32 little-endian length of the header | header (JSON) | body as sent.
// Header: {"device", "module"?, "generation", "auth", "epoch"?, "seq"?, "properties": [[name, value], ...]}.
// When it was received is the log's own stamp. A record of version 0 is a probe: it says nothing.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "contract/topics.h"

namespace verge::hub {

struct MessageRecord {
  contract::Identity sender;
  std::string generation_id;   ///< Of the identity when it connected (stamp iothub-connection-auth-generation-id).
  std::string auth_method;     ///< JSON text (stamp iothub-connection-auth-method).
  std::string epoch;           ///< Of the sender's outbox; empty for a plain device.
  std::uint64_t sequence = 0;  ///< Counts up within the epoch; meaningless without one.
  std::vector<std::pair<std::string, std::string>> properties;  ///< Wire names ("$.ct"), without epoch and sequence.
  std::string body;
};

/// Where in the header the sender stands; made once per connection, since it is the same for each message.
std::string record_prefix(const contract::Identity& sender, std::string_view generation_id,
                          std::string_view auth_method);

/// The bytes for the log. Cost: one allocation and a copy of the body; the body is not looked at.
///
/// prefix      from record_prefix
/// epoch       empty for none
/// properties  in their order
std::string encode_record(std::string_view prefix, std::string_view epoch, std::uint64_t sequence,
                          const std::vector<std::pair<std::string, std::string>>& properties, std::string_view body);
/// A record that readers skip: shows whether the log accepts writes.
std::string probe_record();
bool is_probe(std::string_view bytes);

/// Errors: corrupt.
Result<MessageRecord> decode_record(std::string_view bytes);

/// Appends `text` with quotes and escapes; invalid UTF-8 is replaced.
void append_json_string(std::string& target, std::string_view text);

}  // namespace verge::hub
