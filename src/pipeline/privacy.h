// pipeline/privacy.h -- what is made unrecognisable before it leaves the device, and where files of evidence go: the
// `privacy` and `evidence` members of a pipeline file.
//
//   privacy: {blur: people, mask: {gate: [[[0, 0], [0.3, 0], [0.3, 1], [0, 1]]]}}
//   evidence: {folder: /var/lib/verge/evidence, days: 30, megabytes: 1000, ring_s: 0}
//
// A mask is black from the moment a picture is decoded: nothing after that ever sees what is under it.
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::pipeline {

enum class Blur : std::uint8_t {
  people,  ///< Whole persons and faces.
  faces,   ///< Faces, and where only the person is known, the head.
  none,
};

using Polygon = std::vector<std::pair<double, double>>;  ///< Three or more corners, parts of the picture, 0..1.

struct Privacy {
  Blur blur = Blur::people;
  std::map<std::string, std::vector<Polygon>> masks;  ///< By source.
};

/// "people", "faces", "none"
std::string_view name_of(Blur blur);
/// True when what was made under policy `made` may leave under policy `now`.
bool may_leave(std::string_view made, Blur now);

struct EvidenceSettings {
  std::string folder = "/var/lib/verge/evidence";  ///< Relative to the pipeline file.
  double days = 30;                                ///< Snapshots and clips are removed after so long.
  double megabytes = 1000;                         ///< The oldest go when there would be more.
  double ring_s = 0;  ///< Compressed pictures held of every camera, for clips by method; 0..120.
};

/// Says where in the file (or twin) a JSON pointer is.
using WhereIs = std::function<std::string(const std::string& pointer)>;

/// Null gives the defaults. Errors: invalid_argument with the place, the nearest allowed word and all allowed ones.
Result<Privacy> read_privacy(const Json& json, const std::vector<std::string>& sources, const WhereIs& where);
Result<EvidenceSettings> read_evidence_settings(const Json& json, const WhereIs& where);

}  // namespace verge::pipeline
