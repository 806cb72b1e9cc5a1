#include "cli/people.h"

#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <termios.h>
#include <unistd.h>

#include "base/bytes.h"

namespace verge::cli {
namespace {

std::string person_target(const std::string& user) { return "/api/v1/people/" + percent_encode(user); }

/// The terminal does not show what is typed while this lives.
class HiddenTyping {
 public:
  HiddenTyping() {
    is_changed_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
    if (!is_changed_) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    hidden.c_lflag |= ECHONL;
    is_changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
  }
  ~HiddenTyping() {
    if (is_changed_) (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenTyping(const HiddenTyping&) = delete;
  HiddenTyping& operator=(const HiddenTyping&) = delete;

 private:
  termios before_{};
  bool is_changed_ = false;
};

Result<std::string> type_password(const std::string& question) {
  fmt::print(stderr, "{}: ", question);
  const HiddenTyping hidden;
  return read_password_line(std::cin, "what was typed");
}

}  // namespace

Result<std::string> read_password_line(std::istream& input, const std::string& source) {
  std::string line;
  for (char c = 0; input.get(c) && c != '\n';) {
    line += c;
    if (line.size() > kPasswordBytesMax) {
      return Error{
          ErrorCode::invalid_argument,
          fmt::format("read the password: the first line of {} has more than {} bytes", source, kPasswordBytesMax)};
    }
  }
  if (line.ends_with('\r')) line.pop_back();
  if (!line.empty()) return line;
  return Error{ErrorCode::invalid_argument, fmt::format("read the password: the first line of {} is empty", source)};
}

Result<std::string> ask_password(const std::string& user, const std::filesystem::path& file) {
  if (file.empty() && ::isatty(STDIN_FILENO) == 1) {
    VERGE_TRY(std::string first, type_password(fmt::format("Password for {}", user)));
    VERGE_TRY(const std::string second, type_password("The same again"));
    if (first == second) return first;
    return Error{ErrorCode::invalid_argument, "read the password: the two are different; try again"};
  }
  if (file.empty() || file == "-") return read_password_line(std::cin, "standard input");
  std::ifstream input(file);
  if (!input) {
    return Error{ErrorCode::not_found, fmt::format("read the password: \"{}\" cannot be opened", file.string())};
  }
  return read_password_line(input, fmt::format("\"{}\"", file.string()));
}

Result<Json> list_hub_people(const HubClient& hub) {
  VERGE_TRY(const Json answer, hub.get("/api/v1/people"));
  return answer.value("people", Json::array());
}

Result<Json> add_hub_person(const HubClient& hub, const std::string& user, const std::string& role,
                            const std::string& password) {
  const auto known = hub.get(person_target(user));
  if (known) {
    return Error{ErrorCode::conflict,
                 fmt::format("add \"{}\": there is somebody of that name, with the role {}; remove him first, or take "
                             "another name",
                             user, known->value("role", "none"))};
  }
  if (known.error().code != ErrorCode::not_found) return known.error();
  return hub.call("PUT", person_target(user), {{"role", role}, {"password", password}});
}

Result<Json> remove_hub_person(const HubClient& hub, const std::string& user) {
  VERGE_CHECK(hub.call("DELETE", person_target(user), nullptr));
  return Json{{"removed", user}};
}

}  // namespace verge::cli
