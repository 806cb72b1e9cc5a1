#include "cli/home.h"

#include <cstdlib>

#include "base/disk.h"
#include "base/json.h"

namespace verge::cli {
namespace {

std::filesystem::path folder_from(const char* own, const char* standard, const char* below_home) {
  if (const char* value = std::getenv(own); value != nullptr && *value != '\0') return value;
  if (const char* value = std::getenv(standard); value != nullptr && *value != '\0') {
    return std::filesystem::path(value) / "verge";
  }
  const char* user_home = std::getenv("HOME");
  return std::filesystem::path(user_home != nullptr ? user_home : "/root") / below_home / "verge";
}

}  // namespace

Home find_home() {
  // Programs with other working folders get this path, so it is absolute.
  return {std::filesystem::absolute(folder_from("VERGE_HOME", "XDG_DATA_HOME", ".local/share")).lexically_normal()};
}

std::filesystem::path find_cache() { return folder_from("VERGE_CACHE", "XDG_CACHE_HOME", ".cache"); }

Result<HubAddress> load_hub_address(const std::filesystem::path& file) {
  auto text = read_file(file, 1U << 20U);
  if (!text && text.error().code == ErrorCode::not_found) {
    return Error{ErrorCode::not_found,
                 "there is no hub here (" + file.string() +
                     " is missing); start one with `verge up`, or name one with --connection FILE"};
  }
  if (!text) return std::move(text).error();
  auto json = parse_json(*text);
  if (!json) return Error{ErrorCode::corrupt, "read " + file.string() + ": " + json.error().message};

  HubAddress address;
  VERGE_TRY(address.host, string_member(*json, "host", "localhost"));
  VERGE_TRY(const auto mqtt_port, integer_member(*json, "mqtt_port", 8883));
  VERGE_TRY(const auto https_port, integer_member(*json, "https_port", 8443));
  VERGE_TRY(const auto http_port, integer_member(*json, "http_port", 8080));
  address.mqtt_port = static_cast<std::uint16_t>(mqtt_port);
  address.https_port = static_cast<std::uint16_t>(https_port);
  address.http_port = static_cast<std::uint16_t>(http_port);
  VERGE_TRY(address.connection_string, string_member(*json, "connection_string"));
  VERGE_TRY(const auto trust_file, string_member(*json, "ca_pem_file"));
  VERGE_TRY(address.trust_pem, read_file(file.parent_path() / trust_file));
  VERGE_TRY(const auto password_file, string_member(*json, "password_file", "first-password"));
  address.password_file = file.parent_path() / password_file;
  return address;
}

}  // namespace verge::cli
