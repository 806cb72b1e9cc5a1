#include "storage/database.h"

#include <charconv>
#include <fcntl.h>
#include <fmt/core.h>
#include <map>
#include <mutex>
#include <sqlite3.h>
#include <unistd.h>

#include "base/disk.h"

namespace verge::storage {
namespace {

namespace fs = std::filesystem;

constexpr int kBusyTimeoutMs = 5000;
constexpr std::size_t kStatementsKept = 64;
// Pages kept in memory between calls. SQLite alone would fill 2 MB per database over hours, and the kernel has them.
constexpr int kCacheBytesKept = 512 << 10;
constexpr std::string_view kInMemory = ":memory:";

ErrorCode code_of(int result) {
  switch (result & 0xFF) {  // The rest says more, but not what the caller can do.
    case SQLITE_CONSTRAINT:
      return ErrorCode::conflict;
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      return ErrorCode::limit;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::corrupt;
    case SQLITE_ERROR:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
      return ErrorCode::invalid_argument;
    case SQLITE_FULL:  // The disk: not what the caller asked for, but nothing to be done until there is room.
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return ErrorCode::unavailable;
    default:
      return ErrorCode::internal;
  }
}

Error error_of(sqlite3* database, int result, std::string_view doing) {
  // The database's message tells more than the code's, when it is about this call.
  const bool is_fresh = database != nullptr && (sqlite3_errcode(database) & 0xFF) == (result & 0xFF);
  return Error{code_of(result),
               fmt::format("{}: {}", doing, is_fresh ? sqlite3_errmsg(database) : sqlite3_errstr(result))};
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
using Handle = std::unique_ptr<sqlite3, CloseDatabase>;

struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

/// A prepared statement is ready again however its use ends.
class Use {
 public:
  explicit Use(sqlite3_stmt* statement) : statement_(statement) {}
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  sqlite3_stmt* statement_;
};

int bind(sqlite3_stmt* statement, int index, const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(statement, index, *number);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(statement, index, *real);
  if (const auto* text = std::get_if<std::string>(&value)) {
    // The value outlives the step, so nothing is copied.
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  return sqlite3_bind_null(statement, index);
}

Value column_of(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_column_int64(statement, column)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_NULL:
      return nullptr;
    default: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
      const auto count = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
      return bytes == nullptr ? std::string() : std::string(bytes, count);
    }
  }
}

Row row_of(sqlite3_stmt* statement) {
  std::vector<Value> values;
  const int count = sqlite3_column_count(statement);
  for (int column = 0; column < count; ++column) values.push_back(column_of(statement, column));
  return Row(std::move(values));
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n;") == std::string_view::npos; }

/// The file holds keys and secrets: readable by its owner alone from the first moment. SQLite gives its companions the
/// same mode.
Status make_private_file(const fs::path& path) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  const int fd = error ? -1 : ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const std::string why = error ? error.message() : std::error_code(errno, std::generic_category()).message();
    return Error{ErrorCode::unavailable, fmt::format("open the database \"{}\": {}", path.string(), why)};
  }
  ::close(fd);
  return Done{};
}

Result<Handle> open_handle(const fs::path& path) {
  if (path != kInMemory) VERGE_CHECK(make_private_file(path));
  sqlite3* raw = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle handle(raw);
  if (result != SQLITE_OK) return error_of(raw, result, fmt::format("open the database \"{}\"", path.string()));
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  sqlite3_extended_result_codes(raw, 1);
  return handle;
}

}  // namespace

// --- rows ------------------------------------------------------------------------------------

std::int64_t Row::integer(std::size_t column) const {
  VERGE_ASSERT(column < values_.size());
  const Value& value = values_[column];
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  if (const auto* real = std::get_if<double>(&value)) return static_cast<std::int64_t>(*real);
  std::int64_t number = 0;
  if (const auto* text = std::get_if<std::string>(&value)) {
    std::from_chars(text->data(), text->data() + text->size(), number);
  }
  return number;
}

double Row::real(std::size_t column) const {
  VERGE_ASSERT(column < values_.size());
  const Value& value = values_[column];
  if (const auto* real = std::get_if<double>(&value)) return *real;
  double number = static_cast<double>(integer(column));
  if (const auto* text = std::get_if<std::string>(&value)) {
    std::from_chars(text->data(), text->data() + text->size(), number);
  }
  return number;
}

std::string Row::text(std::size_t column) const {
  VERGE_ASSERT(column < values_.size());
  const Value& value = values_[column];
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  return {};
}

bool Row::is_null(std::size_t column) const {
  VERGE_ASSERT(column < values_.size());
  return std::holds_alternative<std::nullptr_t>(values_[column]);
}

// --- the database ----------------------------------------------------------------------------

struct Database::Impl {
  Handle handle;
  std::string name;
  /// Recursive: a transaction holds it while its body calls back in.
  std::recursive_mutex mutex;
  bool is_in_transaction = false;
  std::map<std::string, Statement, std::less<>> statements;

  Status run(const char* sql) {
    const int result = sqlite3_exec(handle.get(), sql, nullptr, nullptr, nullptr);
    return result == SQLITE_OK ? Status(Done{}) : Status(error_of(handle.get(), result, name));
  }

  Result<sqlite3_stmt*> prepared(std::string_view sql) {
    if (const auto found = statements.find(sql); found != statements.end()) return found->second.get();
    sqlite3_stmt* raw = nullptr;
    const char* tail = nullptr;
    const int result = sqlite3_prepare_v3(handle.get(), sql.data(), static_cast<int>(sql.size()),
                                          SQLITE_PREPARE_PERSISTENT, &raw, &tail);
    Statement statement(raw);
    if (result != SQLITE_OK) return error_of(handle.get(), result, fmt::format("run \"{}\"", sql));
    if (raw == nullptr || !is_blank(sql.substr(static_cast<std::size_t>(tail - sql.data())))) {
      return Error{ErrorCode::invalid_argument, fmt::format("run \"{}\": exactly one statement is expected", sql)};
    }
    if (statements.size() >= kStatementsKept) statements.clear();
    statements.emplace(sql, std::move(statement));
    return raw;
  }

  /// Runs one statement and hands out its rows; stops early when `take` says so.
  template <class Take>
  Status step_through(std::string_view sql, const std::vector<Value>& parameters, Take take) {
    VERGE_TRY(sqlite3_stmt * statement, prepared(sql));
    const Use use(statement);
    const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement));
    if (parameters.size() != wanted) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("run \"{}\": it has {} parameter(s), given are {}", sql, wanted, parameters.size())};
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (const int result = bind(statement, static_cast<int>(i + 1), parameters[i]); result != SQLITE_OK) {
        return error_of(handle.get(), result, fmt::format("run \"{}\"", sql));
      }
    }
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
      if (!take(statement)) return Done{};
    }
    if (result == SQLITE_DONE) return Done{};
    return error_of(handle.get(), result, fmt::format("run \"{}\"", sql));
  }

  void trim_cache() {
    int used_bytes = 0;
    int highest_bytes = 0;
    if (sqlite3_db_status(handle.get(), SQLITE_DBSTATUS_CACHE_USED, &used_bytes, &highest_bytes, 0) == SQLITE_OK &&
        used_bytes > kCacheBytesKept) {
      sqlite3_db_release_memory(handle.get());
    }
  }

  void roll_back() {
    // Some errors, such as a full disk, have rolled back already.
    if (sqlite3_get_autocommit(handle.get()) == 0) static_cast<void>(static_cast<bool>(run("ROLLBACK")));
  }

  Status configure() {
    VERGE_CHECK(run("PRAGMA journal_mode=WAL"));
    VERGE_CHECK(run("PRAGMA synchronous=FULL"));
    return run("PRAGMA foreign_keys=ON");
  }
};

namespace {

/// Name and order of what was applied must be the beginning of what this program knows.
Result<std::size_t> applied_count(Database& database, const std::vector<Migration>& migrations) {
  VERGE_TRY(const auto rows, database.query("SELECT name FROM schema_migrations ORDER BY number"));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i < migrations.size() && rows[i].text(0) == migrations[i].name) continue;
    return Error{ErrorCode::conflict, fmt::format("the database has schema step {} \"{}\", which this program does not "
                                                  "know; start the newer program that made it",
                                                  i + 1, rows[i].text(0))};
  }
  return rows.size();
}

}  // namespace

/// One call from outside: alone with the connection; what it read does not stay for good.
class Database::Call {
 public:
  explicit Call(Impl& impl) : lock_(impl.mutex), impl_(impl) {}
  ~Call() {
    if (!impl_.is_in_transaction) impl_.trim_cache();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  const std::lock_guard<std::recursive_mutex> lock_;
  Impl& impl_;
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(const fs::path& path, const std::vector<Migration>& migrations) {
  auto impl = std::make_unique<Impl>();
  impl->name = fmt::format("open the database \"{}\"", path.string());
  VERGE_TRY(impl->handle, open_handle(path));
  VERGE_CHECK(impl->configure());
  VERGE_CHECK(
      impl->run("CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"));
  std::unique_ptr<Database> database(new Database(std::move(impl)));
  VERGE_TRY(const std::size_t known, applied_count(*database, migrations));
  for (std::size_t i = known; i < migrations.size(); ++i) {
    auto applied = database->transaction([&]() -> Status {
      VERGE_CHECK(database->impl_->run(migrations[i].sql.c_str()));
      VERGE_CHECK(database->execute("INSERT INTO schema_migrations VALUES (?, ?)",
                                    {static_cast<std::int64_t>(i + 1), migrations[i].name}));
      return Done{};
    });
    if (!applied) return std::move(applied).error().within(fmt::format("schema step \"{}\"", migrations[i].name));
  }
  database->impl_->name = fmt::format("write to the database \"{}\"", path.string());
  return database;
}

Result<std::int64_t> Database::execute(std::string_view sql, const std::vector<Value>& parameters) {
  const Call call(*impl_);
  const auto before = sqlite3_total_changes64(impl_->handle.get());
  VERGE_CHECK(impl_->step_through(sql, parameters, [](sqlite3_stmt*) { return true; }));
  return std::int64_t{sqlite3_total_changes64(impl_->handle.get()) - before};
}

Result<std::vector<Row>> Database::query(std::string_view sql, const std::vector<Value>& parameters) {
  const Call call(*impl_);
  std::vector<Row> rows;
  VERGE_CHECK(impl_->step_through(sql, parameters, [&](sqlite3_stmt* statement) {
    rows.push_back(row_of(statement));
    return true;
  }));
  return rows;
}

Result<std::optional<Row>> Database::query_one(std::string_view sql, const std::vector<Value>& parameters) {
  const Call call(*impl_);
  std::optional<Row> row;
  VERGE_CHECK(impl_->step_through(sql, parameters, [&](sqlite3_stmt* statement) {
    row = row_of(statement);
    return false;
  }));
  return row;
}

Status Database::transaction(const std::function<Status()>& body) {
  const Call call(*impl_);
  VERGE_ASSERT(!impl_->is_in_transaction);
  VERGE_CHECK(impl_->run("BEGIN IMMEDIATE"));
  impl_->is_in_transaction = true;
  auto status = body();
  if (status) status = impl_->run("COMMIT");
  if (!status) impl_->roll_back();
  impl_->is_in_transaction = false;
  return status;
}

Status Database::backup_to(const fs::path& path) {
  const std::lock_guard lock(impl_->mutex);
  const fs::path unfinished = path.string() + ".new";
  std::error_code error;
  fs::remove(unfinished, error);
  const std::string doing = fmt::format("back up the database to \"{}\"", path.string());
  {
    VERGE_TRY(const auto target, open_handle(unfinished));
    sqlite3_backup* backup = sqlite3_backup_init(target.get(), "main", impl_->handle.get(), "main");
    if (backup == nullptr) return error_of(target.get(), sqlite3_errcode(target.get()), doing);
    const int result = sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    if (result != SQLITE_DONE) return error_of(target.get(), result, doing);
  }
  fs::rename(unfinished, path, error);
  if (error) return Error{ErrorCode::unavailable, fmt::format("{}: {}", doing, error.message())};
  return system_disk().sync_folder(path.parent_path());
}

}  // namespace verge::storage
