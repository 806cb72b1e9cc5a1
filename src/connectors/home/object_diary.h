// connectors/home/object_diary.h -- the life of each tracked object of one stream, as Frigate's MQTT events tell it.
//
// new when it is first seen; update when its zones change, when it comes to rest or moves on, when evidence of it is
// kept, and, at most once a second, when it is seen better than before; end when it is gone. Times are seconds since
// the Unix epoch, boxes pixels [left, top, right, bottom]; camera, label and zones are written as in topics.
// Source: the members that Frigate 0.16 documents for the topic frigate/events. Threads: by one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "pipeline/packet.h"

namespace verge::connectors {

struct DiaryOptions {
  double gone_s = 3;              ///< Unseen for longer it is gone, as for zones.
  double still_s = 10;            ///< At one place for so long it is stationary.
  double better_by = 0.05;        ///< A score that is so much higher is told.
  std::size_t objects_max = 512;  ///< Further ones are counted, but have no life of their own.
};

class ObjectDiary {
 public:
  struct Entry {
    const char* type = "new";  ///< "new", "update", "end"
    Json before, after;
  };
  using Counts = std::map<std::string, std::int64_t>;  ///< By label, as in topics.

  /// camera  as in topics
  explicit ObjectDiary(std::string camera, DiaryOptions options = {}) : camera_(std::move(camera)), options_(options) {}

  /// A picture. A zone that it does not show (it comes from before that stage) keeps whom it had.
  std::vector<Entry> see(const pipeline::Scene& scene, std::int64_t captured_us, std::int64_t monotonic_us);
  /// A snapshot or clip of it was kept. Nothing for an object that is gone.
  std::optional<Entry> note_evidence(const std::string& track, bool has_snapshot, bool has_clip);
  /// Nothing is seen any more.
  std::vector<Entry> end_all();

  /// Of those that are not gone.
  Counts counts() const;
  /// The same for one zone, as in topics.
  Counts counts_in(const std::string& zone) const;

 private:
  struct Sight {
    std::int64_t captured_us = 0;
    float score = 0;
    std::array<int, 4> box{};  ///< Pixels.
    int width = 0, height = 0;
  };
  struct Life {
    std::string id, label;
    Sight first, last, best;
    std::int64_t seen_us = 0, told_us = 0;   ///< Monotonic.
    double x = 0, y = 0;                     ///< Where it has stood since still_since_us, pixels.
    std::int64_t still_since_us = 0;         ///< Monotonic.
    std::int64_t motionless = 0, moves = 0;  ///< Pictures at this place; times it moved on.
    bool is_stationary = false;
    std::vector<std::string> zones, entered_zones;  ///< As in topics.
    Json attributes = Json::object();
    bool has_snapshot = false, has_clip = false;
    Json told;  ///< What others know of it.
  };

  Entry tell(const char* type, Life& life, std::optional<std::int64_t> end_us) const;
  Json describe(const Life& life, std::optional<std::int64_t> end_us) const;
  void note_place(Life& life, std::int64_t monotonic_us) const;
  static bool note_zones(Life& life, const pipeline::Object& object, const pipeline::Scene& scene);
  std::optional<Entry> see_again(Life& life, const pipeline::Object& object, const pipeline::Scene& scene,
                                 const Sight& sight, std::int64_t monotonic_us) const;

  const std::string camera_;
  const DiaryOptions options_;
  std::map<std::string, Life> lives_;  ///< By track.
  Counts untracked_;                   ///< In the newest picture.
};

}  // namespace verge::connectors
