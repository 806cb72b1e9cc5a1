// hub/history/event_row.h -- one message of the log as a row of history.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "hub/message_record.h"
#include "storage/append_log.h"

namespace verge::hub {

struct EventRow {
  std::string device, module;
  std::string epoch;          ///< Of the outbox, or "log-<partition>" for a plain device.
  std::int64_t sequence = 0;  ///< With the three above the row's key; for a plain device the log's offset.
  std::int64_t received_us = 0, captured_us = 0;
  std::string family, type, stream, severity, rule;
  double score = 0;
  std::string json;  ///< The event as the page sees it, with received_us.
};

/// An event keeps its members, but device and module are those that the connection proved. Anything else becomes
/// {"type": "message", "properties": {…}, "body": …}: JSON as it is, text as text, other bytes as base64.
EventRow event_row(const MessageRecord& message, std::uint32_t partition, const storage::LogRecord& record);

}  // namespace verge::hub
