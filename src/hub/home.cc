#include "hub/home.h"

#include <algorithm>
#include <fcntl.h>
#include <fmt/core.h>
#include <functional>
#include <sys/file.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "contract/sas.h"

namespace verge::hub {
namespace fs = std::filesystem;
namespace {

constexpr int kRootDays = 3650, kIssuingDays = 1825, kServerDays = 90;
constexpr std::int64_t kRenewBefore_s = 30LL * 86'400;
constexpr unsigned kPrivate = 0600, kPublic = 0644;
// Without letters and digits that look alike.
constexpr std::string_view kPasswordAlphabet = "abcdefghjkmnpqrstuvwxyz23456789";
constexpr std::size_t kPasswordCharacters = 16;

bool is_address(std::string_view name) {
  return name.find(':') != std::string_view::npos || name.find_first_not_of("0123456789.") == std::string_view::npos;
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (!error) return Done{};
  return Error{ErrorCode::unavailable,
               fmt::format("prepare folder \"{}\": {}; choose another with --home", folder.string(), error.message())};
}

/// Alike often: each of 256 byte values is taken modulo 31 only below the largest multiple of it.
std::string random_password() {
  std::string password;
  const std::size_t usable = 256 - 256 % kPasswordAlphabet.size();
  while (password.size() < kPasswordCharacters) {
    for (const char c : random_bytes(kPasswordCharacters)) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < usable && password.size() < kPasswordCharacters)
        password += kPasswordAlphabet[byte % kPasswordAlphabet.size()];
    }
  }
  return password;
}

}  // namespace

Home::Home(fs::path folder, std::vector<std::string> names, const Clock& clock)
    : folder_(std::move(folder)), names_(std::move(names)), clock_(clock) {}

Home::~Home() {
  if (lock_file_ >= 0) ::close(lock_file_);
}

Result<std::unique_ptr<Home>> Home::open(const fs::path& folder, std::vector<std::string> names, const Clock& clock) {
  std::unique_ptr<Home> home(new Home(folder, std::move(names), clock));
  VERGE_CHECK(make_folder(folder));
  VERGE_CHECK(make_folder(folder / "certificates"));
  VERGE_CHECK(home->lock());
  VERGE_CHECK(home->load_authority());
  VERGE_CHECK(home->load_server_certificate());
  VERGE_CHECK(home->load_policies());
  return home;
}

Status Home::lock() {
  const fs::path path = folder_ / "lock";
  lock_file_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, kPrivate);
  if (lock_file_ < 0)
    return Error{ErrorCode::unavailable,
                 fmt::format("open \"{}\": check that the folder may be written", path.string())};
  if (::flock(lock_file_, LOCK_EX | LOCK_NB) == 0) return Done{};
  return Error{ErrorCode::conflict,
               fmt::format("another hub uses \"{}\": stop it, or choose another folder with --home", folder_.string())};
}

Result<KeyAndCertificate> Home::load_or_make(const std::string& name,
                                             const std::function<Result<KeyAndCertificate>()>& make) const {
  const fs::path key_path = folder_ / "certificates" / (name + "-key.pem");
  const fs::path certificate_path = folder_ / "certificates" / (name + ".pem");
  std::error_code ignored;
  if (fs::exists(certificate_path, ignored)) {
    KeyAndCertificate pair;
    VERGE_TRY(pair.certificate_pem, read_file(certificate_path));
    if (const auto end = certificate_end_s(pair.certificate_pem); !end) {
      return Error{ErrorCode::corrupt, fmt::format("read \"{}\": {}; put the file back from a backup",
                                                   certificate_path.string(), end.error().message)};
    }
    // The root's key may be elsewhere.
    if (fs::exists(key_path, ignored)) {
      VERGE_TRY(pair.key_pem, read_file(key_path));
    }
    return pair;
  }
  VERGE_TRY(auto pair, make());
  VERGE_CHECK(write_file(key_path, pair.key_pem, kPrivate));  // The certificate last: with it the pair counts as made.
  VERGE_CHECK(write_file(certificate_path, pair.certificate_pem, kPublic));
  return pair;
}

Status Home::load_authority() {
  VERGE_TRY(root_, load_or_make("root", [] { return make_authority("Verge root", kRootDays); }));
  VERGE_TRY(issuing_, load_or_make("issuing", [this]() -> Result<KeyAndCertificate> {
              CertificateRequest request;
              request.common_name = "Verge issuing";
              request.days = kIssuingDays;
              request.is_authority = true;
              return make_certificate(root_, request);
            }));
  return write_file(folder_ / "ca.pem", root_.certificate_pem, kPublic);
}

Status Home::make_server_certificate() {
  CertificateRequest request;
  request.common_name = names_.front();
  request.days = kServerDays;
  for (const auto& name : names_) (is_address(name) ? request.ip_addresses : request.dns_names).push_back(name);
  VERGE_TRY(server_, make_certificate(issuing_, request));
  Json names = names_;
  VERGE_CHECK(write_file(folder_ / "certificates" / "server-key.pem", server_.key_pem, kPrivate));
  VERGE_CHECK(write_file(folder_ / "certificates" / "server.pem", server_.certificate_pem, kPublic));
  return write_file(folder_ / "certificates" / "server-names.json", to_text(names), kPublic);
}

Status Home::load_server_certificate() {
  const auto key = read_file(folder_ / "certificates" / "server-key.pem");
  const auto certificate = read_file(folder_ / "certificates" / "server.pem");
  if (key && certificate) server_ = {*key, *certificate};
  VERGE_CHECK(renew_server_certificate());
  return Done{};
}

Result<bool> Home::renew_server_certificate() {
  const auto end_s = certificate_end_s(server_.certificate_pem);
  const auto names = read_file(folder_ / "certificates" / "server-names.json");
  const bool is_long_enough = end_s && *end_s - clock_.now_us() / 1'000'000 > kRenewBefore_s;
  if (is_long_enough && names && *names == to_text(Json(names_))) return false;
  VERGE_CHECK(make_server_certificate());
  log_info("hub", "made a server certificate", {{"names", fmt::format("{}", names_.size())}, {"days", kServerDays}});
  return true;
}

TlsOptions Home::server_tls() const {
  TlsOptions tls;
  tls.certificate_chain_pem = server_.certificate_pem + issuing_.certificate_pem;
  tls.key_pem = server_.key_pem;
  return tls;
}

Status Home::load_policies() {
  const fs::path path = folder_ / "policies.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    policies_ = make_policies();
    return write_file(path, to_pretty_text(to_json(policies_)), kPrivate);
  }
  VERGE_TRY(const auto text, read_file(path));
  const auto json = parse_json(text);
  if (!json) return Error{ErrorCode::corrupt, fmt::format("read \"{}\": {}", path.string(), json.error().message)};
  auto policies = policies_from_json(*json);
  if (!policies) return std::move(policies).error().within(fmt::format("read \"{}\"", path.string()));
  policies_ = *std::move(policies);
  return Done{};
}

Result<std::string> Home::make_first_password() const {
  const std::string password = random_password();
  VERGE_CHECK(write_file(folder_ / "first-password", password + "\n", kPrivate));
  return password;
}

void Home::remove_first_password() const {
  std::error_code ignored;
  fs::remove(folder_ / "first-password", ignored);
}

Status Home::write_connection_file(const Addresses& addresses) const {
  const auto owner =
      std::find_if(policies_.begin(), policies_.end(), [](const auto& policy) { return policy.name == "iothubowner"; });
  contract::ConnectionString text;
  text.host = addresses.host;
  text.policy = owner->name;
  text.key = owner->primary_key;
  const Json json{{"host", addresses.host},
                  {"mqtt_port", addresses.mqtt_port},
                  {"https_port", addresses.https_port},
                  {"http_port", addresses.http_port},
                  {"ca_pem_file", fs::absolute(folder_ / "ca.pem").string()},
                  {"connection_string", contract::to_text(text)}};
  return write_file(folder_ / "connection.json", to_pretty_text(json), kPrivate);
}

}  // namespace verge::hub
