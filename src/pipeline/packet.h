// pipeline/packet.h -- what flows between stages: a moment of one stream and an immutable payload.
//
// Threads: a Packet is a value; copying is cheap; nobody changes a payload once it was emitted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contract/event.h"

namespace verge::pipeline {

enum class PixelFormat : std::uint8_t { yuv420, rgb24, gray8 };

/// A picture. Planes point into `storage`, which returns to its pool when the last frame goes.
struct Frame {
  PixelFormat format = PixelFormat::yuv420;
  int width = 0, height = 0;           ///< Pixels.
  const std::uint8_t* planes[3] = {};  ///< yuv420: Y, U, V; else only the first.
  int strides[3] = {};                 ///< Bytes from one line to the next.
  bool is_full_range = false;          ///< yuv420: 0..255 (JPEG) instead of 16..235 (television).
  std::uint32_t take = 0;              ///< Grows when a picture does not continue the one before (a film begins again).
  std::shared_ptr<const void> storage;
};

/// A point of a body or face, in parts of the picture; which one is said by its place in the model card's list.
struct Keypoint {
  float x = 0, y = 0;
  float score = 0;  ///< 0..1
};

/// What a classifier says of an object: {"helmet", 0.93}.
struct Attribute {
  std::string name;
  float score = 0;  ///< 0..1
};

/// Something found in a picture; corners in parts of the picture, 0..1.
struct Object {
  std::string label;
  float score = 0;  ///< 0..1
  contract::Region box;
  std::string track;                                    ///< Set by the tracker; unique within the stream.
  std::vector<std::string> zones;                       ///< Names of the zones its foot point is in.
  std::vector<Attribute> attributes;                    ///< Set by classifiers, the likeliest of each classifier.
  std::vector<Keypoint> keypoints;                      ///< Set by pose and face models.
  std::shared_ptr<const std::vector<float>> embedding;  ///< Unit length; set by embedding models, else null.
};

/// A zone or a line drawn into the picture, as the live view shows it.
struct Shape {
  std::string name;
  bool is_closed = true;                                     ///< Zone; false: line.
  std::vector<std::pair<double, double>> points;             ///< 0..1
  std::vector<std::pair<std::string, std::int64_t>> counts;  ///< {"inside", 2}, {"in", 17}
  std::vector<Attribute> attributes{};                       ///< What classifiers say of a zone's part of the picture.
};

/// A rule that fired with this picture.
struct Fired {
  std::string rule;
  std::string track;  ///< Of the object it is about; empty when it is about the whole scene.
};

/// Where people are, found only so that they can be made unrecognisable: weaker boxes count, too, those of objects that
/// nobody asked for, and those of the pictures just before. docs/evidence.md.
struct People {
  bool knows_persons = false, knows_faces = false;  ///< A model that knows such objects has looked.
  std::vector<contract::Region> persons, faces;
};

/// How strange each place of the whole picture is, coarsely, for whoever shows it.
struct HeatMap {
  static constexpr int kSideMax = 32;              ///< Bounds what travels with a live picture to a kilobyte.
  static constexpr std::uint8_t kThreshold = 100;  ///< A value that counts as strange; 0 as good parts, 255 and more.
  int rows = 0, columns = 0;
  std::vector<std::uint8_t> values;  ///< [rows, columns]
};

struct Scene {
  std::shared_ptr<const Frame> frame;
  std::vector<Object> objects;
  std::vector<Shape> shapes;
  std::vector<Fired> fired;
  std::vector<Attribute> attributes;            ///< What classifiers say of the whole picture, the likeliest of each.
  std::shared_ptr<const std::string> model;     ///< Digest of the model that found the objects; null before detection.
  std::shared_ptr<const std::string> embedder;  ///< Digest of the model that made the embeddings; null without.
  People people;
  std::shared_ptr<const HeatMap> heat;   ///< Of the stage that found what is not normal, the newest; or null.
  std::vector<contract::Region> moving;  ///< Where stage motion saw something move, the largest first; at most 32.
};

/// Mono sound, -1..1. captured_us of the packet is the time of the first sample.
struct AudioBlock {
  int rate_hz = 16'000;
  std::vector<float> samples;
  bool is_segment = false;       ///< A whole utterance cut out by the voice detector.
  float speech_probability = 0;  ///< Of this block, when a detector saw it.
  float level_db = -120;         ///< RMS relative to full scale.
  std::optional<float> score;    ///< Set by a scoring stage; larger is stranger.
  std::optional<float> threshold;
  bool is_alarm = false;
};

/// One reading of several sensors. NaN: missing.
struct SensorRow {
  std::shared_ptr<const std::vector<std::string>> channels;
  std::vector<float> values;
  std::optional<float> score;  ///< Set by a scoring stage; larger is stranger.
  std::optional<float> threshold;
  bool is_alarm = false;
};

using Payload = std::variant<std::shared_ptr<const Scene>, std::shared_ptr<const AudioBlock>,
                             std::shared_ptr<const SensorRow>, std::shared_ptr<const contract::Event>>;

struct Packet {
  std::shared_ptr<const std::string> stream;  ///< Name of the source it began at.
  std::uint64_t sequence = 0;                 ///< Per stream, from 0, without holes at the source.
  std::int64_t captured_us = 0;               ///< Wall clock, microseconds since the Unix epoch.
  std::int64_t monotonic_us = 0;              ///< Microseconds since boot; never goes back within a stream.
  Payload payload;
};

/// The payload as T, or nullptr.
template <class T>
std::shared_ptr<const T> payload_as(const Packet& packet) {
  const auto* found = std::get_if<std::shared_ptr<const T>>(&packet.payload);
  return found ? *found : nullptr;
}

}  // namespace verge::pipeline
