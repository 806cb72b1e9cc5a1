#include "connectors/camera/onvif.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <pugixml.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/time.h"

namespace verge::connectors::onvif {
namespace {

constexpr std::string_view kSecurity = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-";

/// Without the prefix, which every camera chooses for itself.
std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const auto colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child_of(const pugi::xml_node& parent, std::string_view name) {
  return parent.find_child([&](const pugi::xml_node& child) { return local_name(child) == name; });
}

/// Follows names from child to child; an empty node when one is missing.
template <class... Names>
pugi::xml_node below(pugi::xml_node node, Names... names) {
  ((node = child_of(node, names)), ...);
  return node;
}

std::string text_of(const pugi::xml_node& node) { return std::string(trimmed(node.text().get())); }

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (words.size() < kItemsMax) {
    text = trimmed(text);
    if (text.empty()) break;
    const auto end = std::min(text.find_first_of(" \t\r\n"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

int number_of(const pugi::xml_node& node) {
  const std::string text = text_of(node);
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return std::max(0, number);
}

std::string security_header(const Login& login, const Freshness& fresh) {
  if (login.user.empty()) return {};
  const std::string created = to_iso8601(fresh.created_us).substr(0, 19) + "Z";  // Cameras expect whole seconds.
  return fmt::format(
      "<s:Header><w:Security s:mustUnderstand=\"true\" xmlns:w=\"{0}wssecurity-secext-1.0.xsd\" "
      "xmlns:u=\"{0}wssecurity-utility-1.0.xsd\"><w:UsernameToken><w:Username>{1}</w:Username>"
      "<w:Password Type=\"{0}username-token-profile-1.0#PasswordDigest\">{2}</w:Password>"
      "<w:Nonce EncodingType=\"{0}soap-message-security-1.0#Base64Binary\">{3}</w:Nonce>"
      "<u:Created>{4}</u:Created></w:UsernameToken></w:Security></s:Header>",
      kSecurity, escape_markup(login.user), password_digest(fresh.nonce, created, login.password),
      to_base64(fresh.nonce), created);
}

std::string soap(const Login& login, const Freshness& fresh, std::string_view body) {
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">{}"
      "<s:Body>{}</s:Body></s:Envelope>",
      security_header(login, fresh), body);
}

/// What went wrong by the camera's own words.
Error fault_in(const pugi::xml_node& fault) {
  std::string reason = text_of(below(fault, "Reason", "Text"));
  const std::string code = text_of(below(fault, "Code", "Subcode", "Value"));
  if (reason.empty()) reason = text_of(below(fault, "faultstring"));
  return Error{ErrorCode::invalid_argument,
               fmt::format("ask camera: it refuses: {} {}; check user, password and the camera's clock",
                           reason.substr(0, 200), code.substr(0, 80))};
}

/// The body of a SOAP answer, in `document`.
Result<pugi::xml_node> body_of(std::string_view answer, pugi::xml_document& document) {
  if (answer.size() > kAnswerBytesMax) return Error{ErrorCode::limit, "ask camera: its answer is over 1 MiB"};
  const auto parsed = document.load_buffer(answer.data(), answer.size(), pugi::parse_default, pugi::encoding_utf8);
  if (!parsed)
    return Error{ErrorCode::corrupt, fmt::format("ask camera: its answer is no XML: {}", parsed.description())};
  const pugi::xml_node body = below(document, "Envelope", "Body");
  if (!body) return Error{ErrorCode::corrupt, "ask camera: its answer is no SOAP envelope"};
  if (const auto fault = child_of(body, "Fault")) return fault_in(fault);
  return body;
}

/// "onvif://www.onvif.org/name/Gate%20North" for "name" is "Gate North".
std::string scope_value(const std::vector<std::string>& scopes, std::string_view name) {
  const std::string begin = fmt::format("onvif://www.onvif.org/{}/", name);
  for (const std::string& scope : scopes) {
    if (!scope.starts_with(begin)) continue;
    const std::string value = scope.substr(begin.size());
    const auto decoded = percent_decode(value);
    return decoded ? *decoded : value;
  }
  return {};
}

}  // namespace

std::string password_digest(std::string_view nonce, std::string_view created, std::string_view password) {
  return to_base64(sha1(fmt::format("{}{}{}", nonce, created, password)));
}

std::string probe(std::string_view message_id) {
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" "
      "xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" "
      "xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" "
      "xmlns:n=\"http://www.onvif.org/ver10/network/wsdl\"><s:Header>"
      "<a:MessageID>urn:uuid:{}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
      "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>"
      "<s:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>",
      escape_markup(message_id));
}

Result<Found> read_probe_match(std::string_view answer, std::string_view message_id) {
  pugi::xml_document document;
  VERGE_TRY(const auto body, body_of(answer, document));
  if (!text_of(below(document, "Envelope", "Header", "RelatesTo")).ends_with(message_id)) {
    return Error{ErrorCode::not_found, "find cameras: the answer belongs to another probe"};
  }
  const auto match = below(body, "ProbeMatches", "ProbeMatch");
  if (text_of(below(match, "Types")).find("NetworkVideoTransmitter") == std::string::npos) {
    return Error{ErrorCode::not_found, "find cameras: what answered is no camera"};
  }
  Found found;
  found.endpoint = text_of(below(match, "EndpointReference", "Address"));
  for (auto& address : words_of(text_of(below(match, "XAddrs")))) {
    if (address.starts_with("http://") || address.starts_with("https://"))
      found.addresses.push_back(std::move(address));
  }
  if (found.addresses.empty()) return Error{ErrorCode::not_found, "find cameras: the answer holds no address"};
  const auto scopes = words_of(text_of(below(match, "Scopes")));
  found.name = scope_value(scopes, "name");
  found.hardware = scope_value(scopes, "hardware");
  return found;
}

std::string get_system_date() {
  return soap({}, {}, "<GetSystemDateAndTime xmlns=\"http://www.onvif.org/ver10/device/wsdl\"/>");
}

Result<std::int64_t> read_system_date(std::string_view answer) {
  pugi::xml_document document;
  VERGE_TRY(const auto body, body_of(answer, document));
  const auto utc = below(body, "GetSystemDateAndTimeResponse", "SystemDateAndTime", "UTCDateTime");
  if (!utc) return Error{ErrorCode::not_found, "ask camera: it does not tell its time"};
  const auto number = [&](const char* part, const char* name) { return number_of(below(utc, part, name)); };
  auto time = from_iso8601(fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", number("Date", "Year"),
                                       number("Date", "Month"), number("Date", "Day"), number("Time", "Hour"),
                                       number("Time", "Minute"), number("Time", "Second")));
  if (!time) return Error{ErrorCode::corrupt, "ask camera: its time is none: " + time.error().message};
  return *time;
}

std::string get_capabilities(const Login& login, const Freshness& fresh) {
  return soap(login, fresh,
              "<GetCapabilities xmlns=\"http://www.onvif.org/ver10/device/wsdl\"><Category>Media</Category>"
              "</GetCapabilities>");
}

Result<std::string> read_media_address(std::string_view answer) {
  pugi::xml_document document;
  VERGE_TRY(const auto body, body_of(answer, document));
  std::string address = text_of(below(body, "GetCapabilitiesResponse", "Capabilities", "Media", "XAddr"));
  if (address.empty()) return Error{ErrorCode::not_found, "ask camera: it names no media service"};
  return address;
}

std::string get_profiles(const Login& login, const Freshness& fresh) {
  return soap(login, fresh, "<GetProfiles xmlns=\"http://www.onvif.org/ver10/media/wsdl\"/>");
}

Result<std::vector<Profile>> read_profiles(std::string_view answer) {
  pugi::xml_document document;
  VERGE_TRY(const auto body, body_of(answer, document));
  std::vector<Profile> profiles;
  for (const auto& node : child_of(body, "GetProfilesResponse").children()) {
    const std::string token = node.attribute("token").value();
    if (local_name(node) != "Profiles" || token.empty() || profiles.size() >= kItemsMax) continue;
    const auto encoder = child_of(node, "VideoEncoderConfiguration");
    Profile profile{token, text_of(child_of(node, "Name")), text_of(child_of(encoder, "Encoding"))};
    profile.width = number_of(below(encoder, "Resolution", "Width"));
    profile.height = number_of(below(encoder, "Resolution", "Height"));
    profile.fps = number_of(below(encoder, "RateControl", "FrameRateLimit"));
    profiles.push_back(std::move(profile));
  }
  if (profiles.empty()) return Error{ErrorCode::not_found, "ask camera: it has no media profiles"};
  return profiles;
}

std::string get_stream_uri(std::string_view profile_token, const Login& login, const Freshness& fresh) {
  return soap(login, fresh,
              fmt::format("<GetStreamUri xmlns=\"http://www.onvif.org/ver10/media/wsdl\"><StreamSetup>"
                          "<Stream xmlns=\"http://www.onvif.org/ver10/schema\">RTP-Unicast</Stream>"
                          "<Transport xmlns=\"http://www.onvif.org/ver10/schema\"><Protocol>RTSP</Protocol></Transport>"
                          "</StreamSetup><ProfileToken>{}</ProfileToken></GetStreamUri>",
                          escape_markup(profile_token)));
}

Result<std::string> read_stream_uri(std::string_view answer) {
  pugi::xml_document document;
  VERGE_TRY(const auto body, body_of(answer, document));
  std::string uri = text_of(below(body, "GetStreamUriResponse", "MediaUri", "Uri"));
  if (!uri.starts_with("rtsp://") && !uri.starts_with("rtsps://")) {
    return Error{ErrorCode::not_found, "ask camera: it names no RTSP address"};
  }
  return uri;
}

}  // namespace verge::connectors::onvif
