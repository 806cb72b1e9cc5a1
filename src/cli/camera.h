// cli/camera.h -- what `verge camera` prints, and what it refuses to be typed.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "connectors/camera/camera_check.h"
#include "connectors/camera/onvif_search.h"

namespace verge::cli {

/// A row per stream; a camera without known streams has one, with the reason.
std::string cameras_as_table(const std::vector<connectors::onvif::Camera>& cameras);
/// [{"name", "hardware", "address", "interface", "error", "streams": [{"profile", "token", "codec", "width", "height",
/// "fps", "url", "error"}]}]
Json cameras_as_json(const std::vector<connectors::onvif::Camera>& cameras);

std::string report_as_text(const std::string& shown, const connectors::CameraReport& report);
Json report_as_json(const std::string& shown, const connectors::CameraReport& report);

/// Errors: invalid_argument for a URL with a password that is no ${NAME}: every user of the machine can read a command
/// line.
Status refuse_typed_password(std::string_view url);

}  // namespace verge::cli
