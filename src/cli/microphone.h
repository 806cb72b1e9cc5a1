// cli/microphone.h -- what `verge microphone` prints.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "connectors/microphone/alsa_microphone.h"
#include "connectors/microphone/microphone_check.h"

namespace verge::cli {

std::string microphones_as_table(const std::vector<connectors::CardName>& cards);
/// [{"address", "description"}]
Json microphones_as_json(const std::vector<connectors::CardName>& cards);

std::string microphone_report_as_text(const std::string& shown, const connectors::MicrophoneReport& report);
/// {"microphone", "sound", "rate_hz", "seconds", "first_sample_s", "level_db", "loud_db", "floor_db", "peak_db",
/// "offset", "clipped_share", "missing", "broken", "verdict", "advice"}
Json microphone_report_as_json(const std::string& shown, const connectors::MicrophoneReport& report);

}  // namespace verge::cli
