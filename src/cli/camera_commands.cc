// camera: finding cameras in the local network, and looking at one.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <termios.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/json.h"
#include "cli/camera.h"
#include "cli/commands.h"
#include "connectors/camera/camera_check.h"
#include "connectors/camera/onvif_search.h"
#include "vision/live.h"

namespace verge::cli {
namespace {

namespace onvif = connectors::onvif;

constexpr const char* kUserVariable = "VERGE_CAMERA_USER";
constexpr const char* kPasswordVariable = "VERGE_CAMERA_PASSWORD";
constexpr int kSnapshotWidthMax = 7680;
constexpr int kSnapshotQuality = 90;

struct CameraArguments {
  std::vector<std::string> interfaces;
  double wait_s = 3;
  std::string user;
  std::filesystem::path trust_file, picture_file;
  std::string url, fingerprint;
  connectors::CameraCheckOptions check;
};

/// From the terminal, without an echo. Errors: invalid_argument when there is none.
Result<std::string> ask_for_password(const std::string& user) {
  const Error nobody{
      ErrorCode::invalid_argument,
      fmt::format("the password of {} is not known: set {}, or run this in a terminal", user, kPasswordVariable)};
  termios before{};
  if (isatty(STDIN_FILENO) != 1 || tcgetattr(STDIN_FILENO, &before) != 0) return nobody;
  fmt::print(stderr, "Password of {} at the cameras: ", user);
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::string password;
  for (int letter = std::getchar(); letter != EOF && letter != '\n'; letter = std::getchar()) {
    password.push_back(static_cast<char>(letter));
  }
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  fmt::print(stderr, "\n");
  return password;
}

Result<onvif::Login> find_login(const std::string& given_user) {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  onvif::Login login{given_user.empty() ? variable(kUserVariable) : given_user, variable(kPasswordVariable)};
  if (!login.user.empty() && login.password.empty()) {
    VERGE_TRY(login.password, ask_for_password(login.user));
  }
  return login;
}

Status discover(const Context& context, const CameraArguments& arguments) {
  std::string trust_pem;
  if (!arguments.trust_file.empty()) {
    VERGE_TRY(trust_pem, read_file(arguments.trust_file, 1U << 20U));
  }
  const auto network = onvif::make_network(std::move(trust_pem));
  VERGE_TRY(const auto interfaces, onvif::choose_interfaces(*network, arguments.interfaces));
  VERGE_TRY(const auto login, find_login(arguments.user));
  std::vector<std::string> names;
  for (const auto& interface : interfaces) names.push_back(fmt::format("{} ({})", interface.name, interface.address));
  // Said before anything is sent; on standard error, so that -o json stays JSON.
  fmt::print(stderr, "asking for cameras (UDP to 239.255.255.250:3702) on {}\n", fmt::join(names, ", "));
  const auto wait = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.wait_s * 1000));
  VERGE_TRY(auto cameras, onvif::find_cameras(*network, interfaces, wait));
  for (auto& camera : cameras) onvif::ask_for_streams(*network, camera, login, system_clock());
  if (context.form == OutputForm::json) {
    context.print(cameras_as_json(cameras));
  } else {
    fmt::print("{}", cameras_as_table(cameras));
  }
  return Done{};
}

Status keep_picture(const std::filesystem::path& file, const pipeline::Frame& frame) {
  VERGE_TRY(const std::string jpeg, vision::to_jpeg(frame, kSnapshotWidthMax, kSnapshotQuality));
  return write_file(file, jpeg, 0600);
}

Result<connectors::CameraTrust> trust_of(const CameraArguments& arguments) {
  connectors::CameraTrust trust = arguments.check.trust;
  if (!arguments.trust_file.empty()) {
    VERGE_TRY(trust.ca_pem, read_file(arguments.trust_file, 1U << 20U));
  }
  if (!arguments.fingerprint.empty()) {
    VERGE_TRY(trust.fingerprint, connectors::read_fingerprint(arguments.fingerprint));
  }
  return trust;
}

Status check(const Context& context, const CameraArguments& arguments) {
  VERGE_CHECK(refuse_typed_password(arguments.url));
  auto options = arguments.check;
  VERGE_TRY(options.trust, trust_of(arguments));
  VERGE_TRY(const auto url, connectors::read_camera_url(arguments.url, connectors::process_environment()));
  VERGE_TRY(const auto report, connectors::check_camera(url, options, system_clock()));
  if (!arguments.picture_file.empty()) VERGE_CHECK(keep_picture(arguments.picture_file, *report.frame));
  if (context.form == OutputForm::json) {
    context.print(report_as_json(url.shown, report));
  } else {
    fmt::print("{}", report_as_text(url.shown, report));
  }
  return Done{};
}

}  // namespace

void add_camera_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<CameraArguments>();
  auto* camera = app.add_subcommand("camera", "Find cameras in the local network, look at one")->group("Sources");
  camera->require_subcommand(1);
  auto* find = camera->add_subcommand("discover", "Ask the local network for ONVIF cameras and their streams");
  find->footer(
      fmt::format("Examples:\n  verge camera discover --interface eth0\n  {}=guard verge camera discover\n\n"
                  "User and password come from {} and {}; the password is asked for when it is not set.",
                  kUserVariable, kUserVariable, kPasswordVariable));
  find->add_option("--interface", arguments->interfaces, "Only on this network interface; default: all that are up");
  find->add_option("--wait", arguments->wait_s, "For answers, seconds, 0.1..60")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  find->add_option("--user", arguments->user, "At the cameras");
  find->add_option("--ca", arguments->trust_file, "Who signs certificates of cameras that are asked by https (PEM)")
      ->check(CLI::ExistingFile);
  find->callback([&context, arguments] { context.status = discover(context, *arguments); });

  auto* look = camera->add_subcommand("check", "Look at a camera for some seconds and say what it sends");
  look->footer(
      "Example:\n  verge camera check 'rtsp://guard:${CAMERA_PASSWORD}@192.0.2.7/stream1' --out picture.jpg\n\n"
      "${NAME} is an environment variable. The picture is as the camera sends it, nobody is hidden in it.");
  look->add_option("url", arguments->url,
                   "As in a pipeline: rtsp://, rtsps://, onvif://, http://, https://, /dev/videoN")
      ->required();
  look->add_option("--out", arguments->picture_file, "Keep the last picture here, JPEG");
  look->add_option("--seconds", arguments->check.seconds, "From the first picture on, 0..600")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  auto* ca =
      look->add_option("--ca", arguments->trust_file, "rtsps, https: who may sign the camera's certificate (PEM)")
          ->check(CLI::ExistingFile);
  auto* fingerprint =
      look->add_option("--fingerprint", arguments->fingerprint, "rtsps, https: only this certificate, sha256:…")
          ->excludes(ca);
  look->add_flag("--insecure", arguments->check.trust.is_insecure, "rtsps, https: anybody may answer")
      ->excludes(ca)
      ->excludes(fingerprint);
  look->add_flag("--udp", arguments->check.is_udp, "RTSP: pictures over UDP");
  look->callback([&context, arguments] { context.status = check(context, *arguments); });
}

}  // namespace verge::cli
