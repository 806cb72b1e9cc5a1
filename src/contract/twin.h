// contract/twin.h -- a device or module twin: tags, desired and reported properties with their versions.
//
// Source: Azure IoT Hub, "Understand and use device twins"; limits measured in the wire contract.
// Threads: a plain value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace verge::contract {

/// One of the two property bags. `values` has no $version or $metadata inside.
struct Properties {
  Json values = Json::object();
  Json metadata = Json::object();  ///< Mirrors values; {"$lastUpdated": "…"} at every node.
  std::int64_t version = 1;
};

struct Twin {
  std::string device, module;  ///< module is empty for a device.
  Json tags = Json::object();
  Properties desired, reported;
  std::int64_t version = 1;
  std::string etag;
};

/// The largest encoded sizes, by Azure's way of counting.
inline constexpr std::size_t kTagsBytesMax = 8U << 10U;
inline constexpr std::size_t kDesiredBytesMax = 32U << 10U;
inline constexpr std::size_t kReportedBytesMax = 32U << 10U;
inline constexpr int kTwinDepthMax = 10;

/// Checks keys, depth, values and (after merging) size. Errors: invalid_argument or limit in Azure's words, which
/// begin with `what`, e.g. 'Properties.Reported'.
Status check_properties(const Json& patch, const Json& merged, std::size_t bytes_max, std::string_view what);
/// Merges (null deletes), counts the version up and stamps metadata. Top-level $version and $metadata are ignored:
/// clients write back what they read. Errors: those of check_properties; unchanged then.
Status patch_properties(Properties& properties, const Json& patch, std::int64_t now_us, std::size_t bytes_max,
                        std::string_view what);
/// Replaces everything.
Status replace_properties(Properties& properties, const Json& values, std::int64_t now_us, std::size_t bytes_max,
                          std::string_view what);
/// {..., "$version": n} and with_metadata also "$metadata".
Json to_json(const Properties& properties, bool with_metadata);
/// The difference as a merge patch: applied to `from` it gives `to`, as long as `to` holds no null (twins hold none).
Json difference(const Json& from, const Json& to);

}  // namespace verge::contract
