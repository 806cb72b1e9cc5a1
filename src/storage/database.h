// storage/database.h -- SQLite behind a small typed wrapper; the only part that knows the database.
//
// WAL mode, synchronous=FULL, foreign keys on, busy time-out 5 s.
// Threads: a Database may be used from any thread; calls wait for each other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace verge::storage {

/// A parameter or a column.
using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string>;

class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
  /// NULL reads as 0 or "". Asking for a column that is not there is a bug (assertion).
  std::int64_t integer(std::size_t column) const;
  double real(std::size_t column) const;
  std::string text(std::size_t column) const;
  bool is_null(std::size_t column) const;

 private:
  std::vector<Value> values_;
};

/// One step of a schema, applied once, in order, each in its own transaction.
struct Migration {
  std::string name;
  std::string sql;
};

class Database {
 public:
  /// Opens or creates, then applies the migrations that are new. ":memory:" gives a private one.
  /// Errors: corrupt, unavailable, conflict when the file was made by a newer program.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path,
                                                const std::vector<Migration>& migrations);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs one statement; returns the number of changed rows. Errors: conflict on a violated constraint, unavailable
  /// when the disk is full, invalid_argument for bad SQL.
  Result<std::int64_t> execute(std::string_view sql, const std::vector<Value>& parameters = {});
  Result<std::vector<Row>> query(std::string_view sql, const std::vector<Value>& parameters = {});
  /// The first row, if any.
  Result<std::optional<Row>> query_one(std::string_view sql, const std::vector<Value>& parameters = {});
  /// All or nothing: rolls back when `body` returns an error. Not nested.
  Status transaction(const std::function<Status()>& body);
  /// A copy that is consistent while others write (SQLite's backup).
  Status backup_to(const std::filesystem::path& path);

 private:
  struct Impl;
  class Call;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::storage
