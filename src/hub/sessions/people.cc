#include "hub/sessions/people.h"

#include <algorithm>
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge::hub {
namespace {

constexpr std::size_t kSessionTokenBytes = 32;
constexpr std::size_t kPasswordCharactersMax = 1024;  // scrypt's first step reads all of it.

Error wrong() { return Error{ErrorCode::invalid_argument, "the user or the password is wrong"}; }

/// So that an unknown user costs as much time as a known one.
const std::string& nobodys_hash() {
  static const std::string hash = hash_password(to_hex(random_bytes(kSessionTokenBytes)));
  return hash;
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
  VERGE_CHECK(check_new_password(password));
  VERGE_CHECK(database_.execute("INSERT INTO people (user, password, role) VALUES (?,?,?)",
                                {user, hash_password(password), std::string(name_of(role))}));
  return Done{};
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

Result<Person> People::check_password(const std::string& user, std::string_view password, const std::string& address) {
  if (is_closed_for(user_key(user)) || is_closed_for(address_key(address))) {
    return Error{ErrorCode::limit, "too many failed logins: try again in five minutes"};
  }
  VERGE_TRY(const auto row, database_.query_one("SELECT password, role FROM people WHERE user = ?", {user}));
  const bool fits =
      password.size() <= kPasswordCharactersMax && verify_password(password, row ? row->text(0) : nobodys_hash());
  if (row && fits) return Person{user, role_from_name(row->text(1))};
  note_failure(user_key(user));
  note_failure(address_key(address));
  return wrong();
}

Result<People::LoggedIn> People::log_in(const std::string& user, std::string_view password,
                                        const std::string& address) {
  VERGE_TRY(const auto person, check_password(user, password, address));
  forget_ended_sessions();
  LoggedIn logged_in{person, to_hex(random_bytes(kSessionTokenBytes))};
  const std::string hash = to_hex(sha256(logged_in.token));
  const std::int64_t ends_us = clock_.now_us() + limits_.session_age_us_max;
  VERGE_CHECK(
      database_.execute("INSERT INTO sessions (token_hash, user, ends_us) VALUES (?,?,?)", {hash, user, ends_us}));
  sessions_.with([&](auto& sessions) { sessions[hash] = {person, ends_us}; });
  return logged_in;
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
  VERGE_CHECK(database_.execute("UPDATE people SET password = ? WHERE user = ?", {hash_password(new_password), user}));
  const std::string kept = to_hex(sha256(kept_token));
  sessions_.with([&](auto& sessions) {
    std::erase_if(sessions, [&](const auto& item) { return item.second.person.user == user && item.first != kept; });
  });
  VERGE_CHECK(database_.execute("DELETE FROM sessions WHERE user = ? AND token_hash <> ?", {user, kept}));
  return Done{};
}

}  // namespace verge::hub
