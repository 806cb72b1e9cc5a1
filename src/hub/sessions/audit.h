// hub/sessions/audit.h -- who changed what, and who looked through whose camera.
//
// Threads: all calls from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "storage/database.h"

namespace verge::hub {

struct AuditLine {
  std::int64_t at_us = 0;
  std::string who, what, outcome;
};

class Audit {
 public:
  static constexpr std::int64_t lines_max = 200'000;  ///< The oldest go beyond it.

  static std::vector<storage::Migration> migrations();
  Audit(storage::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

  /// what: "PUT /devices/d", "live begin d/m/s". Failing to write is logged: the act has happened.
  void write(std::string_view who, std::string_view what, std::string_view outcome);
  /// Newest first.
  Result<std::vector<AuditLine>> newest(std::size_t count) const;

 private:
  storage::Database& database_;
  const Clock& clock_;
};

}  // namespace verge::hub
