// connectors/camera/camera_trust.h -- whom to believe that it is the camera, when a camera is asked by TLS.
//
// Cameras sign their own certificates, so no authority knows them; what remains is to look at a certificate once and to
// insist on the same one from then on (fingerprint), to be one's own authority (ca), or to say in so many words that
// anybody may answer (insecure). docs/decisions/0009-camera-certificates.md. Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/net.h"
#include "base/result.h"
#include "pipeline/stage.h"

namespace verge::connectors {

struct CameraTrust {
  std::string ca_pem;        ///< Who may sign; the certificate must also name the host and be of today. Empty: the
                             ///< system's authorities.
  std::string fingerprint;   ///< Not empty: only this certificate, lower-case hex SHA-256 of its DER form.
  bool is_insecure = false;  ///< Anybody may answer.
};

/// The options ca, fingerprint and insecure of a camera.
std::vector<pipeline::OptionInfo> camera_trust_options();
/// Errors: invalid_argument (more than one of them, no fingerprint), those of reading the file.
Result<CameraTrust> read_camera_trust(const Json& options, const std::filesystem::path& folder);
/// "sha256:AB:CD…" or 64 hex digits as lower-case hex. Errors: invalid_argument.
Result<std::string> read_fingerprint(std::string_view text);

/// What to connect with; Connection::peer() of the outcome is still to be compared with `fingerprint`.
Result<TlsPointer> make_camera_tls(const CameraTrust& trust);

}  // namespace verge::connectors
