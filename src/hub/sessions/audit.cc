#include "hub/sessions/audit.h"

#include <fmt/core.h>

#include "base/log.h"

namespace verge::hub {
namespace {

constexpr std::size_t kTextBytesMax = 1024;
constexpr std::int64_t kTrimEvery = 1000;

std::string bounded(std::string_view text) { return std::string(text.substr(0, kTextBytesMax)); }

}  // namespace

std::vector<storage::Migration> Audit::migrations() {
  return {{"audit.1",
           "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, who TEXT NOT NULL,"
           " what TEXT NOT NULL, outcome TEXT NOT NULL)"}};
}

void Audit::write(std::string_view who, std::string_view what, std::string_view outcome) {
  const auto written = database_.execute("INSERT INTO audit (at_us, who, what, outcome) VALUES (?,?,?,?)",
                                         {clock_.now_us(), bounded(who), bounded(what), bounded(outcome)});
  if (!written) return log_error("hub", written.error().within("write the audit log"), {{"who", who}, {"what", what}});
  const auto newest = database_.query_one("SELECT max(id) FROM audit");
  if (!newest || !*newest || (*newest)->integer(0) % kTrimEvery != 0) return;
  (void)database_.execute("DELETE FROM audit WHERE id <= ?", {(*newest)->integer(0) - lines_max});
}

Result<std::vector<AuditLine>> Audit::newest(std::size_t count) const {
  VERGE_TRY(const auto rows, database_.query("SELECT at_us, who, what, outcome FROM audit ORDER BY id DESC LIMIT ?",
                                             {static_cast<std::int64_t>(count)}));
  std::vector<AuditLine> lines;
  for (const auto& row : rows) lines.push_back({row.integer(0), row.text(1), row.text(2), row.text(3)});
  return lines;
}

}  // namespace verge::hub
