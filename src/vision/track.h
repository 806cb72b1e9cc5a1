// vision/track.h -- follows objects from picture to picture and gives each an id.
//
// Source: Zhang et al. 2022 (ByteTrack): strong boxes are matched first, weak ones then keep tracks alive; between
// pictures a track moves at constant velocity (Kalman 1960), one filter per side of the box.
// Times are seconds, so any picture rate does.
// Threads: a Tracker is used by one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"

namespace verge::vision {

struct TrackerOptions {
  float score_high = 0.45F;       ///< Boxes at least this strong are matched first, 0..1.
  float score_new = 0.5F;         ///< Boxes at least this strong begin a track, 0..1.
  float overlap_min = 0.15F;      ///< Of a strong box with the predicted one, 0..1.
  float overlap_min_weak = 0.4F;  ///< The same for weak boxes.
  double lost_s = 2.0;            ///< A track unseen for longer ends.
  int confirm_count = 2;          ///< Pictures in a row before a new track is shown.
  std::size_t tracks_max = 300;   ///< Bounds the work per picture.
};

/// Position and velocity of one coordinate, in parts of the picture and seconds.
class CoordinateFilter {
 public:
  CoordinateFilter() = default;
  CoordinateFilter(double value, double noise, double speed_noise);
  void predict(double seconds, double acceleration_noise);
  void correct(double measured, double noise);
  double value() const { return value_; }
  double speed() const { return speed_; }

 private:
  double value_ = 0, speed_ = 0;
  double value_variance_ = 0, covariance_ = 0, speed_variance_ = 0;
};

class Tracker {
 public:
  explicit Tracker(TrackerOptions options) : options_(options) {}
  /// The objects that belong to confirmed tracks and were seen in this picture, with track ids and smoothed boxes; what
  /// else was found (keypoints, attributes, embedding) goes along. time_us  must not go back aspect   width of the
  /// picture divided by its height
  std::vector<pipeline::Object> update(const std::vector<pipeline::Object>& found, std::int64_t time_us, double aspect);
  /// Forgets all tracks; ids go on.
  void reset() { tracks_.clear(); }

 private:
  struct Track {
    std::uint64_t id = 0;
    pipeline::Object object;  ///< As last found.
    CoordinateFilter centre, foot, width, height;
    std::int64_t seen_us = 0;
    int seen_count = 0;
    bool is_confirmed = false;
    bool is_seen = false;  ///< In this picture.
    contract::Region box() const;
  };
  enum class Pool : std::uint8_t { confirmed, seen_lately, unconfirmed };

  void predict(double seconds, double aspect);
  void match(const std::vector<pipeline::Object>& found, std::vector<bool>& is_taken, float score_min, float score_max,
             float overlap_min, Pool pool, std::int64_t time_us, double aspect);
  void correct(Track& track, const pipeline::Object& object, std::int64_t time_us, double aspect);
  void begin(const pipeline::Object& object, std::int64_t time_us, double aspect);

  TrackerOptions options_;
  std::vector<Track> tracks_;
  std::uint64_t last_id_ = 0;
  std::int64_t time_us_ = 0, step_us_ = 0;
};

pipeline::Kind<pipeline::Stage> track_kind();

}  // namespace verge::vision
