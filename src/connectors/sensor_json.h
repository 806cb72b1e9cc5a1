// connectors/sensor_json.h -- a reading of several sensors as JSON: {"time_us": 1700000000000000, "values":
// {"temperature": 20.5}}.
//
// A missing value is null. Rows that were scored carry "score", "threshold" and "alarm" too.
// Threads: pure functions; a SensorRowReader is used by one thread at a time.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::connectors {

std::string row_to_text(const pipeline::SensorRow& row, std::int64_t time_us);

/// Reads rows and shares the list of channels between those that have the same.
class SensorRowReader {
 public:
  struct Reading {
    std::shared_ptr<const pipeline::SensorRow> row;
    std::int64_t time_us = 0;  ///< 0 when the text does not say.
  };
  /// Channels are sorted by name. Errors: invalid_argument; limit for more than 1,024 values.
  Result<Reading> read(std::string_view text);

 private:
  std::shared_ptr<const std::vector<std::string>> channels_;
};

}  // namespace verge::connectors
