// hub/sessions/people.h -- who may log in, and who is logged in.
//
// Passwords are kept as scrypt hashes; a cookie's token only as its SHA-256. Ten failures in five minutes, counted per
// user and per address, close the door for the rest of those minutes.
// There is always an administrator: the last one can be neither removed nor given another role.
// Threads: all calls from any thread. log_in(), put() and change_password() hash (about 0.1 s): call them from a
// worker.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "base/time.h"
#include "hub/rest/access.h"
#include "storage/database.h"

namespace verge::hub {

struct PeopleLimits {
  int failures_max = 10;
  std::int64_t failure_window_us = 300'000'000;
  std::int64_t session_age_us_max = 7LL * 86'400'000'000;
  std::size_t sessions_max = 1000;  ///< The oldest go beyond it.
  std::size_t password_characters_min = 10;
  std::size_t tracked_max = 10'000;  ///< Users and addresses with failures that we remember.
};

struct Person {
  std::string user;
  Role role = Role::none;
};

class People {
 public:
  static std::vector<storage::Migration> migrations();
  static Result<std::unique_ptr<People>> open(storage::Database& database, const Clock& clock,
                                              PeopleLimits limits = {});

  bool has_anybody() const;
  /// Errors: conflict (exists), invalid_argument (name, password).
  Status add(const std::string& user, std::string_view password, Role role);
  /// Everybody, by name.
  Result<std::vector<Person>> list() const;
  /// Errors: not_found.
  Result<Person> get(const std::string& user) const;
  /// What is not given stays as it is.
  struct Change {
    std::optional<std::string> password;
    std::optional<Role> role;
  };
  /// Adds the person, or changes him; a new password ends his sessions, a new role counts in them at once. Returns
  /// whether he is new. Errors: invalid_argument (name, password, or somebody new without both); conflict (the last
  /// administrator).
  Result<bool> put(const std::string& user, const Change& change);
  /// Ends his sessions. Errors: not_found; conflict (the last administrator).
  Status remove(const std::string& user);

  struct LoggedIn {
    Person person;
    std::string token;  ///< The cookie's value.
  };
  /// Errors: invalid_argument (wrong user or password; the message does not say which), limit (too many failures).
  Result<LoggedIn> log_in(const std::string& user, std::string_view password, const std::string& address);
  Status log_out(std::string_view token);
  /// Does not touch the disk.
  std::optional<Person> find(std::string_view token) const;
  /// Ends all other sessions of the user. Errors: invalid_argument (old password wrong, new one too short), limit.
  Status change_password(const std::string& user, std::string_view old_password, std::string_view new_password,
                         std::string_view kept_token, const std::string& address);

 private:
  struct Session {
    Person person;
    std::int64_t ends_us = 0;
  };
  using Failures = std::map<std::string, std::deque<std::int64_t>, std::less<>>;

  People(storage::Database& database, const Clock& clock, PeopleLimits limits);
  Status load();
  struct Known {
    Person person;
    std::string password_hash;
  };
  Result<Known> check_password(const std::string& user, std::string_view password, const std::string& address);
  bool is_closed_for(std::string_view key) const;
  void note_failure(const std::string& key);
  Status check_new_password(std::string_view password) const;
  Status check_other_admin(const std::string& user) const;
  /// Of the transaction that changes somebody. Returns whether he is new.
  Result<bool> write_change(const std::string& user, const Change& change, const std::string& password_hash);
  Status begin_session(const Known& known, const std::string& token_hash, std::int64_t ends_us);
  void end_sessions_of(const std::string& user);
  void forget_ended_sessions();

  storage::Database& database_;
  const Clock& clock_;
  const PeopleLimits limits_;
  std::mutex changes_;  ///< People and their sessions change together: nobody who is removed meanwhile is logged in.
  Guarded<std::unordered_map<std::string, Session>> sessions_;  ///< By hash of the token.
  mutable Guarded<Failures> failures_;
};

}  // namespace verge::hub
