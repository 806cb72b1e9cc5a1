// contract/event.h -- one result, in the envelope that all three families share (version 1).
//
// Nothing else is stored, shown, routed or alarmed on. JSON schema: docs/formats/event.schema.json; golden files:
// src/contract/data/. Order is by (device, module, sequence), never by clock.
// Threads: a plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace verge::contract {

/// Corners in parts of the picture, 0..1, x right, y down; right and bottom are exclusive.
struct Region {
  double left = 0, top = 0, right = 0, bottom = 0;
};
/// A stretch of sound or signal, microseconds since the Unix epoch.
struct Span {
  std::int64_t from_us = 0, to_us = 0;
};

struct Event {
  int version = 1;
  std::string id;      ///< Unique: a UUID.
  std::string type;    ///< What happened, dotted: "zone.entered", "line.crossed", "speech.final", "anomaly.score",
                       ///< "anomaly.alarm".
  std::string family;  ///< "vision", "audio" or "telemetry".
  std::string device, module, stream, source;
  std::int64_t captured_us = 0;  ///< When it happened by the device's wall clock, microseconds since the Unix epoch.
  std::string boot_id;           ///< With monotonic_us: a time that does not jump.
  std::int64_t monotonic_us = 0;
  std::uint64_t sequence = 0;  ///< Counts up per module, without holes; set by the sink.
  std::int64_t duration_us = 0;
  std::string label;              ///< What it is about: "person", the spoken text, the alarm's kind.
  double score = 0;               ///< 0..1 where it is a probability; else the rule's own scale.
  std::string severity = "info";  ///< "info", "warning" or "alarm".
  std::optional<Region> region;
  std::optional<Span> span;
  std::vector<std::string> channels;  ///< Sensors concerned, most guilty first.
  std::string track;                  ///< Id of a tracked object within its stream.
  std::string rule;                   ///< Name of the zone, line or rule that fired.
  std::string model;                  ///< Digest of the model file: "sha256:…".
  std::string pipeline;               ///< Hash of the effective pipeline: "sha256:…".
  std::vector<std::string> evidence;  ///< Digests of stored evidence.
  std::string explanation;            ///< A sentence for a person.
  std::string extension_json =
      "{}";  ///< A JSON object of further facts, e.g. {"in": 3, "out": 1} or {"threshold": 4.2}.
};

/// Leaves out members that are empty, except v, id, type, family, device, module, stream, captured_us, sequence.
Json to_json(const Event& event);
/// Errors: invalid_argument naming the member; unknown members are kept in extension.
Result<Event> event_from_json(const Json& json);

}  // namespace verge::contract
