// cli/people.h -- who may log in to the hub's page: added, listed, removed.
//
// A password comes from a terminal that does not show it, from a file or from standard input; never from the command
// line, where other users of the machine and the shell's history would see it. Threads: calls block.
#pragma once

#include <filesystem>
#include <istream>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/hub_client.h"

namespace verge::cli {

inline constexpr std::size_t kPasswordBytesMax = 1024;

/// The first line, without its end. Errors: invalid_argument when it is empty or longer than a password may be.
Result<std::string> read_password_line(std::istream& input, const std::string& source);
/// file  "-" is standard input; empty: asks twice at the terminal, or, without one, reads a line from standard input.
/// Errors: invalid_argument (two different ones, or none); not_found (the file).
Result<std::string> ask_password(const std::string& user, const std::filesystem::path& file);

/// [{"user", "role"}]
Result<Json> list_hub_people(const HubClient& hub);
/// Errors: conflict when the person is there already; those of the hub.
Result<Json> add_hub_person(const HubClient& hub, const std::string& user, const std::string& role,
                            const std::string& password);
/// {"removed": user}. Errors: not_found; conflict: the last administrator.
Result<Json> remove_hub_person(const HubClient& hub, const std::string& user);

}  // namespace verge::cli
