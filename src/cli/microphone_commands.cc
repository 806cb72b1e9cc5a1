// microphone: finding sound cards, and listening to a microphone for some seconds.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

#include "base/json.h"
#include "cli/camera.h"
#include "cli/commands.h"
#include "cli/microphone.h"
#include "connectors/microphone/microphone.h"

namespace verge::cli {
namespace {

struct MicrophoneArguments {
  std::string address;
  connectors::MicrophoneCheckOptions check;
  int channel = 0, channels = 0, device_rate_hz = 0;
  std::string format, packets = "raw", fingerprint;
  std::filesystem::path trust_file;
  bool is_udp = false, is_insecure = false, listens = false;
};

Status list(const Context& context) {
  VERGE_TRY(const auto cards, connectors::list_sound_cards());
  if (context.form == OutputForm::json) {
    context.print(microphones_as_json(cards));
  } else {
    fmt::print("{}", microphones_as_table(cards));
  }
  return Done{};
}

Json options_of(const MicrophoneArguments& arguments) {
  Json options = {{"address", arguments.address},   {"channel", arguments.channel},
                  {"channels", arguments.channels}, {"device_rate_hz", arguments.device_rate_hz},
                  {"format", arguments.format},     {"packets", arguments.packets},
                  {"listen", arguments.listens},    {"transport", arguments.is_udp ? "udp" : "tcp"}};
  if (arguments.is_insecure) options["insecure"] = true;
  if (!arguments.fingerprint.empty()) options["fingerprint"] = arguments.fingerprint;
  if (!arguments.trust_file.empty()) options["ca"] = arguments.trust_file.string();
  return options;
}

Status check(const Context& context, const MicrophoneArguments& arguments) {
  VERGE_CHECK(refuse_typed_password(arguments.address));
  VERGE_TRY(const auto plan, connectors::plan_microphone(options_of(arguments), std::filesystem::current_path(),
                                                         nullptr, connectors::process_environment()));
  VERGE_TRY(const auto report,
            connectors::check_microphone(plan.live.shown, *plan.link, arguments.check, system_clock()));
  if (context.form == OutputForm::json) {
    context.print(microphone_report_as_json(plan.live.shown, report));
  } else {
    fmt::print("{}", microphone_report_as_text(plan.live.shown, report));
  }
  return Done{};
}

}  // namespace

void add_microphone_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<MicrophoneArguments>();
  auto* microphone = app.add_subcommand("microphone", "Find sound cards, listen to a microphone")->group("Sources");
  microphone->require_subcommand(1);
  auto* find = microphone->add_subcommand("list", "The addresses of what ALSA can capture from");
  find->footer("Examples:\n  verge microphone list\n  verge microphone list -o json");
  find->callback([&context] { context.status = list(context); });

  auto* listen = microphone->add_subcommand("check", "Listen for some seconds: level, noise, clipping, and what to do");
  listen->footer(
      "Examples:\n  verge microphone check alsa:default\n"
      "  verge microphone check 'rtsp://guard:${CAMERA_PASSWORD}@192.0.2.7/stream1' --seconds 10\n"
      "  verge microphone check udp://127.0.0.1:5004 --packets rtp --device-rate 48000\n\n"
      "${NAME} is an environment variable. Speak while it listens. Nothing is kept.");
  listen
      ->add_option("address", arguments->address,
                   "As in a pipeline: alsa:NAME, rtsp://, rtsps://, http://, https://, tcp://, udp://")
      ->required();
  listen->add_option("--seconds", arguments->check.seconds, "From the first sample on, 0.1..60")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  listen->add_option("--channel", arguments->channel, "Which one is heard, 1..8; 0: the average")
      ->check(CLI::Range(0, 8))
      ->capture_default_str();
  listen->add_option("--channels", arguments->channels, "How many, 1..8; 0: two of a card, one of raw samples")
      ->check(CLI::Range(0, 8))
      ->capture_default_str();
  listen->add_option("--device-rate", arguments->device_rate_hz, "Hertz; 0: 48000 of a card, 16000 of raw samples")
      ->capture_default_str();
  listen->add_option("--format", arguments->format, "Of raw samples: s16le, s16be, s24le, s24le_in4, s32le, f32le");
  listen->add_option("--packets", arguments->packets, "udp: raw or rtp")->capture_default_str();
  listen->add_flag("--listen", arguments->listens, "tcp: wait for who connects, on the loopback");
  auto* ca = listen->add_option("--ca", arguments->trust_file, "rtsps, https: who may sign the certificate (PEM)")
                 ->check(CLI::ExistingFile);
  auto* fingerprint =
      listen->add_option("--fingerprint", arguments->fingerprint, "rtsps, https: only this certificate, sha256:…")
          ->excludes(ca);
  listen->add_flag("--insecure", arguments->is_insecure, "rtsps, https: anybody may answer")
      ->excludes(ca)
      ->excludes(fingerprint);
  listen->add_flag("--udp", arguments->is_udp, "RTSP: sound over UDP");
  listen->callback([&context, arguments] { context.status = check(context, *arguments); });
}

}  // namespace verge::cli
