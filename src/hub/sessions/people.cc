#include "hub/sessions/people.h"

#include <algorithm>
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge::hub {
namespace {

constexpr std::size_t kSessionTokenBytes = 32;
constexpr std::size_t kUserCharactersMax = 64;
constexpr std::size_t kPasswordCharactersMax = 1024;  // scrypt's first step reads all of it.

Error wrong() { return Error{ErrorCode::invalid_argument, "the user or the password is wrong"}; }

/// So that an unknown user costs as much time as a known one.
const std::string& nobodys_hash() {
  static const std::string hash = hash_password(to_hex(random_bytes(kSessionTokenBytes)));
  return hash;
}

Error nobody_called(const std::string& user) {
  return {ErrorCode::not_found, fmt::format("there is nobody called \"{}\"", user)};
}

/// As a name stands in addresses, tables and the audit log.
Status check_user(std::string_view user) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == '@';
  };
  if (!user.empty() && user.size() <= kUserCharactersMax && std::ranges::all_of(user, fits)) return Done{};
  return Error{
      ErrorCode::invalid_argument,
      fmt::format("a person's name has 1 to {} letters of a to z, A to Z, 0 to 9 and . - _ @", kUserCharactersMax)};
}

std::string user_key(std::string_view user) { return "user " + std::string(user); }
std::string address_key(std::string_view address) {
  return "address " + std::string(address.substr(0, address.rfind(':')));  // Without the port.
}

}  // namespace

std::vector<storage::Migration> People::migrations() {
  return {{"people.1",
           "CREATE TABLE people (user TEXT PRIMARY KEY, password TEXT NOT NULL, role TEXT NOT NULL) WITHOUT ROWID"},
          {"people.2",
           "CREATE TABLE sessions (token_hash TEXT PRIMARY KEY, user TEXT NOT NULL, ends_us INTEGER NOT NULL) WITHOUT "
           "ROWID"}};
}

People::People(storage::Database& database, const Clock& clock, PeopleLimits limits)
    : database_(database), clock_(clock), limits_(limits) {}

Result<std::unique_ptr<People>> People::open(storage::Database& database, const Clock& clock, PeopleLimits limits) {
  std::unique_ptr<People> people(new People(database, clock, limits));
  VERGE_CHECK(people->load());
  return people;
}

Status People::load() {
  VERGE_CHECK(database_.execute("DELETE FROM sessions WHERE ends_us <= ?", {clock_.now_us()}));
  VERGE_TRY(
      const auto rows,
      database_.query(
          "SELECT token_hash, sessions.user, role, ends_us FROM sessions JOIN people ON people.user = sessions.user"));
  sessions_.with([&](auto& sessions) {
    for (const auto& row : rows) sessions[row.text(0)] = {{row.text(1), role_from_name(row.text(2))}, row.integer(3)};
  });
  return Done{};
}

bool People::has_anybody() const {
  const auto row = database_.query_one("SELECT 1 FROM people LIMIT 1");
  return row && *row;
}

Status People::check_new_password(std::string_view password) const {
  if (password.size() >= limits_.password_characters_min && password.size() <= kPasswordCharactersMax) return Done{};
  return Error{ErrorCode::invalid_argument, fmt::format("a password needs {} to {} characters",
                                                        limits_.password_characters_min, kPasswordCharactersMax)};
}

Status People::add(const std::string& user, std::string_view password, Role role) {
  VERGE_CHECK(check_user(user));
  VERGE_CHECK(check_new_password(password));
  VERGE_CHECK(database_.execute("INSERT INTO people (user, password, role) VALUES (?,?,?)",
                                {user, hash_password(password), std::string(name_of(role))}));
  return Done{};
}

Result<std::vector<Person>> People::list() const {
  VERGE_TRY(const auto rows, database_.query("SELECT user, role FROM people ORDER BY user"));
  std::vector<Person> people;
  for (const auto& row : rows) people.push_back({row.text(0), role_from_name(row.text(1))});
  return people;
}

Result<Person> People::get(const std::string& user) const {
  VERGE_TRY(const auto row, database_.query_one("SELECT role FROM people WHERE user = ?", {user}));
  if (!row) return nobody_called(user);
  return Person{user, role_from_name(row->text(0))};
}

Status People::check_other_admin(const std::string& user) const {
  VERGE_TRY(const auto other,
            database_.query_one("SELECT 1 FROM people WHERE role = 'admin' AND user <> ? LIMIT 1", {user}));
  if (other) return Done{};
  return Error{ErrorCode::conflict,
               fmt::format("\"{}\" is the only administrator; make somebody else one first", user)};
}

Result<bool> People::write_change(const std::string& user, const Change& change, const std::string& password_hash) {
  VERGE_TRY(const auto row, database_.query_one("SELECT role FROM people WHERE user = ?", {user}));
  if (!row) {
    if (!change.password || !change.role) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("there is no \"{}\" yet; send both, password and role, to add somebody", user)};
    }
    VERGE_CHECK(database_.execute("INSERT INTO people (user, password, role) VALUES (?,?,?)",
                                  {user, password_hash, std::string(name_of(*change.role))}));
    return true;
  }
  if (change.role) {
    if (*change.role != Role::admin && role_from_name(row->text(0)) == Role::admin)
      VERGE_CHECK(check_other_admin(user));
    VERGE_CHECK(
        database_.execute("UPDATE people SET role = ? WHERE user = ?", {std::string(name_of(*change.role)), user}));
  }
  if (change.password) {
    VERGE_CHECK(database_.execute("UPDATE people SET password = ? WHERE user = ?", {password_hash, user}));
    VERGE_CHECK(database_.execute("DELETE FROM sessions WHERE user = ?", {user}));
  }
  return false;
}

Result<bool> People::put(const std::string& user, const Change& change) {
  VERGE_CHECK(check_user(user));
  if (change.password) VERGE_CHECK(check_new_password(*change.password));
  const std::string password_hash = change.password ? hash_password(*change.password) : std::string();
  const std::lock_guard lock(changes_);
  bool is_new = false;
  const auto write = [&]() -> Status {
    VERGE_TRY(is_new, write_change(user, change, password_hash));
    return Done{};
  };
  VERGE_CHECK(database_.transaction(write));
  if (change.password) end_sessions_of(user);
  if (change.role) {
    sessions_.with([&](auto& sessions) {
      for (auto& [hash, session] : sessions) {
        if (session.person.user == user) session.person.role = *change.role;
      }
    });
  }
  return is_new;
}

Status People::remove(const std::string& user) {
  const std::lock_guard lock(changes_);
  const auto erase = [&]() -> Status {
    VERGE_TRY(const auto row, database_.query_one("SELECT role FROM people WHERE user = ?", {user}));
    if (!row) return nobody_called(user);
    if (role_from_name(row->text(0)) == Role::admin) VERGE_CHECK(check_other_admin(user));
    VERGE_CHECK(database_.execute("DELETE FROM sessions WHERE user = ?", {user}));
    VERGE_CHECK(database_.execute("DELETE FROM people WHERE user = ?", {user}));
    return Done{};
  };
  VERGE_CHECK(database_.transaction(erase));
  end_sessions_of(user);
  return Done{};
}

void People::end_sessions_of(const std::string& user) {
  sessions_.with([&](auto& sessions) {
    std::erase_if(sessions, [&](const auto& item) { return item.second.person.user == user; });
  });
}

bool People::is_closed_for(std::string_view key) const {
  const std::int64_t since_us = clock_.now_us() - limits_.failure_window_us;
  return failures_.with([&](Failures& failures) {
    const auto found = failures.find(key);
    if (found == failures.end()) return false;
    auto& times = found->second;
    while (!times.empty() && times.front() <= since_us) times.pop_front();
    const bool is_closed = static_cast<int>(times.size()) >= limits_.failures_max;
    if (times.empty()) failures.erase(found);
    return is_closed;
  });
}

void People::note_failure(const std::string& key) {
  failures_.with([&](Failures& failures) {
    if (failures.size() >= limits_.tracked_max && !failures.contains(key)) failures.erase(failures.begin());
    failures[key].push_back(clock_.now_us());
  });
}

Result<People::Known> People::check_password(const std::string& user, std::string_view password,
                                             const std::string& address) {
  if (is_closed_for(user_key(user)) || is_closed_for(address_key(address))) {
    return Error{ErrorCode::limit, "too many failed logins: try again in five minutes"};
  }
  VERGE_TRY(const auto row, database_.query_one("SELECT password, role FROM people WHERE user = ?", {user}));
  const bool fits =
      password.size() <= kPasswordCharactersMax && verify_password(password, row ? row->text(0) : nobodys_hash());
  if (row && fits) return Known{{user, role_from_name(row->text(1))}, row->text(0)};
  note_failure(user_key(user));
  note_failure(address_key(address));
  return wrong();
}

Result<People::LoggedIn> People::log_in(const std::string& user, std::string_view password,
                                        const std::string& address) {
  VERGE_TRY(const auto known, check_password(user, password, address));
  forget_ended_sessions();
  LoggedIn logged_in{known.person, to_hex(random_bytes(kSessionTokenBytes))};
  VERGE_CHECK(begin_session(known, to_hex(sha256(logged_in.token)), clock_.now_us() + limits_.session_age_us_max));
  return logged_in;
}

/// Checking took a while: whoever was removed, or given another password or role meanwhile, logs in once more.
Status People::begin_session(const Known& known, const std::string& token_hash, std::int64_t ends_us) {
  const std::string& user = known.person.user;
  const std::lock_guard lock(changes_);
  VERGE_TRY(
      const std::int64_t begun,
      database_.execute("INSERT INTO sessions (token_hash, user, ends_us) SELECT ?, user, ? FROM people WHERE "
                        "user = ? AND password = ? AND role = ?",
                        {token_hash, ends_us, user, known.password_hash, std::string(name_of(known.person.role))}));
  if (begun == 0) return wrong();
  sessions_.with([&](auto& sessions) { sessions[token_hash] = {known.person, ends_us}; });
  return Done{};
}

void People::forget_ended_sessions() {
  std::vector<std::string> gone;
  sessions_.with([&](auto& sessions) {
    const std::int64_t now_us = clock_.now_us();
    for (const auto& [hash, session] : sessions) {
      if (session.ends_us <= now_us) gone.push_back(hash);
    }
    if (gone.empty() && sessions.size() >= limits_.sessions_max) {
      gone.push_back(std::min_element(sessions.begin(), sessions.end(), [](const auto& a, const auto& b) {
                       return a.second.ends_us < b.second.ends_us;
                     })->first);
    }
    for (const auto& hash : gone) sessions.erase(hash);
  });
  for (const auto& hash : gone) (void)database_.execute("DELETE FROM sessions WHERE token_hash = ?", {hash});
}

Status People::log_out(std::string_view token) {
  const std::string hash = to_hex(sha256(token));
  sessions_.with([&](auto& sessions) { sessions.erase(hash); });
  VERGE_CHECK(database_.execute("DELETE FROM sessions WHERE token_hash = ?", {hash}));
  return Done{};
}

std::optional<Person> People::find(std::string_view token) const {
  if (token.size() != 2 * kSessionTokenBytes) return std::nullopt;
  const std::string hash = to_hex(sha256(token));
  return sessions_.with([&](const auto& sessions) -> std::optional<Person> {
    const auto found = sessions.find(hash);
    if (found == sessions.end() || found->second.ends_us <= clock_.now_us()) return std::nullopt;
    return found->second.person;
  });
}

Status People::change_password(const std::string& user, std::string_view old_password, std::string_view new_password,
                               std::string_view kept_token, const std::string& address) {
  VERGE_CHECK(check_new_password(new_password));
  VERGE_CHECK(check_password(user, old_password, address));
  const std::string password_hash = hash_password(new_password);
  const std::lock_guard lock(changes_);
  VERGE_CHECK(database_.execute("UPDATE people SET password = ? WHERE user = ?", {password_hash, user}));
  const std::string kept = to_hex(sha256(kept_token));
  sessions_.with([&](auto& sessions) {
    std::erase_if(sessions, [&](const auto& item) { return item.second.person.user == user && item.first != kept; });
  });
  VERGE_CHECK(database_.execute("DELETE FROM sessions WHERE user = ? AND token_hash <> ?", {user, kept}));
  return Done{};
}

}  // namespace verge::hub
