// base/json_fwd.h -- names the JSON type without its 24,000 lines.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace verge {
using Json = nlohmann::json;
}
