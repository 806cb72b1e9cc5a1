// vision/motion/motion.h -- lets pictures through in which something moves, and saves the model's run for the others.
//
// The picture's brightness is averaged into cells. Each cell has a running mean and its usual fluctuation; a cell that
// is far from its mean moves if a neighbour does, too. A change of light, one factor and one offset for the whole
// picture, is fitted to the cells that do not move and taken out first; when most of the picture changes at once it
// becomes the new background. What comes to rest is part of the background after half a minute.
// Source: running Gaussian average, Wren et al. 1997 (Pfinder).
//
// What goes through says where it moves (Scene::moving), so that a detector can look closer there (detect's focus).
//
// Still pictures go through `still_fps` times a second, so that objects that stand still are not forgotten: with the
// tracker's lost_s of 2 it should not be below 0.5. The picture nearest to the time that is due is the one.
//
// The source is told whether anything moves (pipeline/stillness.h), so that a camera need not decode what nobody looks
// at.
// Threads: a MotionDetector is used by one thread at a time.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"
#include "vision/motion/cells.h"

namespace verge::vision {

struct MotionOptions {
  double area_min = 0.002;  ///< Part of the picture that must move, 0..1.
  double step_min = 8;      ///< Grey levels (of 255) that a cell must change at least, 1..255.
  double still_fps = 1;     ///< Still pictures let through per second, 0..1000.
  double hold_s = 1;        ///< All go through for so long after the last motion, 0..3600.
  std::vector<std::vector<std::pair<double, double>>> ignore;  ///< Polygons in which nothing counts, 0..1.
};

class MotionDetector {
 public:
  explicit MotionDetector(MotionOptions options);
  /// The part of the picture that moves, 0..1. The first picture is the background: 0.
  double update(const pipeline::Frame& frame, std::int64_t monotonic_us);
  /// The boxes around what moved in the newest picture, one for cells that touch, the largest first; at most
  /// kPlacesMax. None when the whole scene is new.
  std::vector<contract::Region> moving() const;
  static constexpr std::size_t kPlacesMax = 32;
  /// The next picture is the background.
  void reset() { cells_.clear(); }

 private:
  struct Cell {
    float variance = 0;
    bool is_ignored = false, is_far = false;
  };

  void begin(const pipeline::Frame& frame);
  void learn(double seconds);
  bool has_far_neighbour(int column, int row) const;

  const MotionOptions options_;
  CellGrid grid_;
  std::vector<Cell> cells_;         ///< Row by row.
  std::vector<float> means_, now_;  ///< Of each cell.
  std::vector<bool> is_moving_;     ///< In the newest picture.
  std::int64_t time_us_ = 0;
};

pipeline::Kind<pipeline::Stage> motion_kind();

}  // namespace verge::vision
