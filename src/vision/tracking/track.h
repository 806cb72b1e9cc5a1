// vision/tracking/track.h -- follows objects from picture to picture and gives each an id.
//
// Source: Zhang et al. 2022 (ByteTrack): strong boxes are matched first, weak ones then keep tracks alive; between
// pictures a track moves at constant velocity (Kalman 1960), one filter per side of the box. A strong box that no
// longer touches the expected place still belongs to its track when the filters, which grow unsure with time, allow it:
// at two pictures a second a walker's boxes do not overlap. Colours tell people apart who meet. Times are seconds, so
// any picture rate does. How well it does: bench/REPORT.md. Threads: a Tracker is used by one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"
#include "vision/tracking/track_colours.h"

namespace verge::vision {

struct TrackerOptions {
  float score_high = 0.45F;       ///< Boxes at least this strong are matched first, 0..1.
  float score_new = 0.5F;         ///< Boxes at least this strong begin a track, 0..1.
  float overlap_min = 0.15F;      ///< Of a strong box with the predicted one, 0..1.
  float overlap_min_weak = 0.4F;  ///< The same for weak boxes.
  double reach = 2.5;             ///< Standard deviations that a strong box may be off; 0: it has to overlap.
  float colours_weight = 1;       ///< Of the likeness of colours, beside the overlap; 0: colours do not matter.
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
  /// Square of how far a measurement with this noise is off, in its standard deviations.
  double surprise(double measured, double noise) const;

 private:
  double value_ = 0, speed_ = 0;
  double value_variance_ = 0, covariance_ = 0, speed_variance_ = 0;
};

class Tracker {
 public:
  explicit Tracker(TrackerOptions options) : options_(options) {}
  /// The objects that belong to confirmed tracks and were seen in this picture, with track ids and smoothed boxes; what
  /// else was found (keypoints, attributes, embedding) goes along.
  ///
  /// time_us  must not go back
  /// aspect   width of the picture divided by its height
  /// colours  of each object found, or none
  std::vector<pipeline::Object> update(const std::vector<pipeline::Object>& found, std::int64_t time_us, double aspect,
                                       std::span<const std::optional<Colours>> colours = {});
  /// Forgets all tracks; ids go on.
  void reset() { tracks_.clear(); }

 private:
  struct Track {
    std::uint64_t id = 0;
    pipeline::Object object;  ///< As last found.
    CoordinateFilter centre, foot, width, height;
    std::optional<Colours> colours;  ///< A running mean of those seen alone.
    int colours_count = 0;
    std::int64_t seen_us = 0;
    int seen_count = 0;
    bool is_confirmed = false;
    bool is_seen = false;  ///< In this picture.
    contract::Region box() const;
  };
  enum class Pool : std::uint8_t { confirmed, seen_lately, unconfirmed };

  /// One picture's boxes and what they are matched by.
  struct Sight {
    const std::vector<pipeline::Object>& found;
    std::span<const std::optional<Colours>> colours;
    std::int64_t time_us;
    double aspect;
    std::vector<bool> is_taken, is_covered;
  };
  struct Round {
    Pool pool;
    float score_min, score_max, overlap_min;
    bool may_be_apart;
  };

  void predict(double seconds, double aspect);
  void match(Sight& sight, const Round& round);
  /// How far a box is from the expected place and size, in standard deviations; infinite: too far in any case.
  double deviations_of(const Track& track, const contract::Region& box, const Sight& sight) const;
  /// How well a box continues a track, larger is better; nothing: it does not.
  std::optional<float> closeness(const Track& track, const Sight& sight, std::size_t at, const Round& round) const;
  void correct(Track& track, const Sight& sight, std::size_t at);
  void learn_colours(Track& track, const Sight& sight, std::size_t at);
  void begin(const Sight& sight, std::size_t at);

  TrackerOptions options_;
  std::vector<Track> tracks_;
  std::uint64_t last_id_ = 0;
  std::int64_t time_us_ = 0, step_us_ = 0;
};

pipeline::Kind<pipeline::Stage> track_kind();

}  // namespace verge::vision
