#include "connectors/microphone/microphone.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/json.h"
#include "connectors/camera/tls_tunnel.h"
#include "connectors/microphone/alsa_microphone.h"
#include "connectors/microphone/mqtt_microphone.h"
#include "connectors/microphone/network_microphone.h"
#include "connectors/microphone/socket_microphone.h"

namespace verge::connectors {
namespace {

constexpr int kCardRate_hz = 48'000, kRawRate_hz = 16'000;
constexpr int kBlockRates_hz[] = {8'000, 16'000, 24'000, 32'000, 48'000};
constexpr double kFillMax_s = 60;
constexpr double kSoundSilenceMin_s = 0.5, kSoundSilenceMax_s = 3600;

std::vector<pipeline::OptionInfo> microphone_options() {
  std::vector<pipeline::OptionInfo> options = {
      {"address", "text",
       "alsa:NAME or NAME of a sound card; rtsp://, rtsps://, http:// or https://; tcp://HOST:PORT or "
       "udp://ADDRESS:PORT with raw samples; mqtt:TOPIC. ${NAME}: an environment variable.",
       nullptr, true},
      {"rate_hz", "integer", "Of what it emits: 8000, 16000, 24000, 32000 or 48000 samples a second.", 16'000},
      {"channel", "integer", "Which one is heard, 1 to 8; 0: the average of all.", 0},
      {"device_rate_hz", "integer",
       "Sound card: asked for, it gives the nearest (0: 48000). TCP, UDP, MQTT: what is sent (0: 16000). 8000 to "
       "192000.",
       0},
      {"channels", "integer",
       "Sound card: asked for (0: at most two). TCP, UDP, MQTT: how many are sent (0: one). 1 to 8.", 0},
      {"format", "text",
       "TCP, UDP, MQTT: s16le, s16be, s24le, s24le_in4, s32le or f32le (empty: s16le). Sound card: only this one "
       "(empty: "
       "the best that it has).",
       ""},
      {"listen", "flag", "TCP: wait for who connects, instead of connecting.", false},
      {"token", "text",
       "TCP, listening: what a sender's first line must be, 16 to 256 letters; needed beyond the loopback.", ""},
      {"packets", "text", "UDP: raw, or rtp (L16: s16be).", "raw"},
      {"transport", "text", "RTSP: tcp, or udp.", "tcp"},
      {"silence_s", "number", "Connect again after so long without a sample, 0.5 to 3600.", 3},
      {"fill_s", "number", "Holes up to so long are filled with silence, 0 to 60; longer ones are left.", 2}};
  for (pipeline::OptionInfo& option : camera_trust_options()) options.push_back(std::move(option));
  return options;
}

Json with_defaults(const Json& given) {
  Json options = given;
  for (const pipeline::OptionInfo& option : microphone_options()) {
    if (!options.contains(option.name)) options[option.name] = option.fallback;
  }
  return options;
}

Error microphone_mistake(const MicrophoneAddress& address, std::string_view what) {
  return Error{ErrorCode::invalid_argument, fmt::format("open microphone {}: {}", address.shown, what)};
}

/// "host:port", "[::1]:port"
Status read_host_and_port(std::string_view rest, MicrophoneAddress& address) {
  const Error mistake =
      microphone_mistake(address, "it needs a host and a port of 1 to 65535, and nothing else: tcp://127.0.0.1:9000");
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return mistake;
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (code != std::errc() || end != port.data() + port.size() || address.port == 0) return mistake;
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of("/@?#") != std::string_view::npos) return mistake;
  address.name = host;
  return Done{};
}

pipeline::SoundShape raw_shape(const Json& options, pipeline::SampleFormat format) {
  const auto or_else = [&](const char* name, int fallback) {
    const auto given = options[name].get<std::int64_t>();
    // Bounded here, judged by check_shape().
    return given == 0 ? fallback : static_cast<int>(std::clamp<std::int64_t>(given, -1, 10'000'000));
  };
  return {format, or_else("device_rate_hz", kRawRate_hz), or_else("channels", 1)};
}

Result<CardWish> read_card_wish(const Json& options) {
  CardWish wish;
  const auto format = options["format"].get<std::string>();
  if (!format.empty()) {
    VERGE_TRY(wish.format, pipeline::read_sample_format(format));
  }
  pipeline::SoundShape shape = raw_shape(options, pipeline::SampleFormat::s16le);
  VERGE_CHECK(pipeline::check_shape(shape));
  wish.channels = options["channels"].get<int>();
  wish.rate_hz = options["device_rate_hz"].get<int>() == 0 ? kCardRate_hz : shape.rate_hz;
  return wish;
}

Result<std::unique_ptr<SoundLink>> socket_link(const MicrophoneAddress& address, const Json& options,
                                               const Environment& environment) {
  using Way = SocketSoundOptions::Way;
  SocketSoundOptions sound;
  sound.host = address.name;
  sound.port = address.port;
  sound.channel = options["channel"].get<int>();
  const auto packets = options["packets"].get<std::string>();
  if (packets != "raw" && packets != "rtp") return Error{ErrorCode::invalid_argument, "packets must be raw or rtp"};
  const bool is_tcp = address.sort == MicrophoneSort::tcp;
  if (is_tcp && packets == "rtp") return Error{ErrorCode::invalid_argument, "packets: rtp is about udp://"};
  if (!is_tcp && options["listen"].get<bool>()) {
    return Error{ErrorCode::invalid_argument, "listen is about tcp://; udp:// listens in any case"};
  }
  sound.way = is_tcp ? (options["listen"].get<bool>() ? Way::tcp_listen : Way::tcp_connect)
                     : (packets == "rtp" ? Way::rtp : Way::udp);
  std::string format = options["format"].get<std::string>();
  if (format.empty()) format = sound.way == Way::rtp ? "s16be" : "s16le";
  VERGE_TRY(const auto sample_format, pipeline::read_sample_format(format));
  if (sound.way == Way::rtp && sample_format != pipeline::SampleFormat::s16be) {
    return Error{ErrorCode::invalid_argument, "RTP is read as L16 only: leave format out"};
  }
  sound.shape = raw_shape(options, sample_format);
  VERGE_TRY(sound.token, fill_in(options["token"].get<std::string>(), environment));
  VERGE_CHECK(check_socket_sound(sound));
  return make_socket_link(std::move(sound));
}

Result<std::unique_ptr<SoundLink>> mqtt_link(const MicrophoneAddress& address, const Json& options,
                                             const std::shared_ptr<ModuleClient>& module) {
  const auto format = options["format"].get<std::string>();
  VERGE_TRY(const auto sample_format, pipeline::read_sample_format(format.empty() ? "s16le" : format));
  MqttSoundOptions sound{address.name, raw_shape(options, sample_format), options["channel"].get<int>()};
  VERGE_CHECK(pipeline::check_shape(sound.shape));
  VERGE_CHECK(pipeline::check_channel(sound.channel, sound.shape.channels));
  return make_mqtt_link(std::move(sound), module ? topics_of(module) : nullptr);
}

Result<std::unique_ptr<SoundLink>> network_link(const MicrophoneAddress& address, const Json& options,
                                                const std::filesystem::path& folder) {
  NetworkSoundOptions sound;
  sound.url = address.name;
  sound.channel = options["channel"].get<int>();
  const auto transport = options["transport"].get<std::string>();
  if (transport != "tcp" && transport != "udp") {
    return Error{ErrorCode::invalid_argument, "transport must be tcp or udp"};
  }
  sound.is_udp = transport == "udp";
  VERGE_TRY(sound.trust, read_camera_trust(options, folder));
  const bool has_tls = is_tls_url(sound.url);
  if (has_tls && sound.is_udp) return Error{ErrorCode::invalid_argument, "rtsps:// needs transport tcp"};
  if (!has_tls && (sound.trust.is_insecure || !sound.trust.ca_pem.empty() || !sound.trust.fingerprint.empty())) {
    return Error{ErrorCode::invalid_argument, "ca, fingerprint and insecure are about rtsps:// and https://"};
  }
  return make_network_link(std::move(sound));
}

Result<std::unique_ptr<SoundLink>> link_of(const MicrophoneAddress& address, const Json& options,
                                           const std::filesystem::path& folder,
                                           const std::shared_ptr<ModuleClient>& module,
                                           const Environment& environment) {
  const auto channel = options["channel"].get<std::int64_t>();
  if (channel < 0 || channel > pipeline::kChannelsMax) {
    return Error{ErrorCode::invalid_argument, "channel must be 0 to 8"};
  }
  switch (address.sort) {
    case MicrophoneSort::card: {
      VERGE_TRY(const CardWish wish, read_card_wish(options));
      return make_alsa_link({address.name, wish, static_cast<int>(channel)}, make_sound_card());
    }
    case MicrophoneSort::network:
      return network_link(address, options, folder);
    case MicrophoneSort::tcp:
    case MicrophoneSort::udp:
      return socket_link(address, options, environment);
    case MicrophoneSort::mqtt:
      return mqtt_link(address, options, module);
  }
  return Error{ErrorCode::internal, "a sort of microphone is not handled"};
}

}  // namespace

Result<MicrophoneAddress> read_microphone_address(std::string_view text, const Environment& environment) {
  MicrophoneAddress address;
  address.shown = hide_secrets(text);
  auto filled = fill_in(text, environment);
  if (!filled) return microphone_mistake(address, filled.error().message);
  const std::string& whole = *filled;
  const UrlParts parts = split_url(whole);
  if (parts.scheme.empty()) {
    constexpr std::string_view kCard = "alsa:", kTopic = "mqtt:";
    const bool is_topic = whole.starts_with(kTopic);
    address.sort = is_topic ? MicrophoneSort::mqtt : MicrophoneSort::card;
    address.name = is_topic ? whole.substr(kTopic.size()) : whole.substr(whole.starts_with(kCard) ? kCard.size() : 0);
    if (address.name.empty()) return microphone_mistake(address, "the address is empty");
    return address;
  }
  if (parts.scheme == "tcp" || parts.scheme == "udp") {
    address.sort = parts.scheme == "tcp" ? MicrophoneSort::tcp : MicrophoneSort::udp;
    if (parts.has_user) return microphone_mistake(address, "it takes no user; a listening one takes the option token");
    VERGE_CHECK(read_host_and_port(parts.rest, address));
    return address;
  }
  if (parts.scheme != "rtsp" && parts.scheme != "rtsps" && parts.scheme != "http" && parts.scheme != "https") {
    return microphone_mistake(address,
                              "its scheme is unknown; a microphone is alsa:NAME, rtsp://, rtsps://, http://, https://, "
                              "tcp://, udp:// or mqtt:TOPIC; a file is source kind recording");
  }
  if (parts.rest.empty() || parts.rest.front() == '/' || parts.rest.front() == ':') {
    return microphone_mistake(address, "it has no host");
  }
  address.sort = MicrophoneSort::network;
  address.name = whole;
  return address;
}

Result<MicrophonePlan> plan_microphone(const Json& given, const std::filesystem::path& folder,
                                       const std::shared_ptr<ModuleClient>& module, const Environment& environment) {
  const Json options = with_defaults(given);
  VERGE_TRY(const auto address, read_microphone_address(options["address"].get<std::string>(), environment));
  MicrophonePlan plan;
  plan.live.shown = address.shown;
  plan.live.silence_s = options["silence_s"].get<double>();
  plan.live.line.fill_s_max = options["fill_s"].get<double>();
  const auto rate_hz = options["rate_hz"].get<std::int64_t>();
  if (std::ranges::find(kBlockRates_hz, rate_hz) == std::end(kBlockRates_hz)) {
    return microphone_mistake(address, fmt::format("rate_hz is {}; give {}", rate_hz, fmt::join(kBlockRates_hz, ", ")));
  }
  plan.live.line.rate_hz = static_cast<int>(rate_hz);
  if (!(plan.live.silence_s >= kSoundSilenceMin_s && plan.live.silence_s <= kSoundSilenceMax_s)) {
    return microphone_mistake(address, "silence_s must be 0.5 to 3600");
  }
  if (!(plan.live.line.fill_s_max >= 0 && plan.live.line.fill_s_max <= kFillMax_s)) {
    return microphone_mistake(address, "fill_s must be 0 to 60");
  }
  auto link = link_of(address, options, folder, module, environment);
  if (!link) return microphone_mistake(address, link.error().message);
  plan.link = *std::move(link);
  return plan;
}

pipeline::Kind<pipeline::Source> microphone_kind(std::shared_ptr<ModuleClient> module, Environment environment) {
  return {
      .name = "microphone",
      .where = "connectors/microphone/microphone.h",
      .summary = "Sound of a sound card, a network camera, an internet stream, or raw samples by TCP, UDP or MQTT.",
      .options = microphone_options(),
      .make = [module = std::move(module), environment = std::move(environment)](
                  const Json& options, const pipeline::Context& context) -> Result<std::unique_ptr<pipeline::Source>> {
        VERGE_TRY(auto plan, plan_microphone(options, context.folder, module, environment));
        return make_live_microphone(std::move(plan.live), std::move(plan.link), context);
      }};
}

}  // namespace verge::connectors
