// vision/motion.h -- lets pictures through in which something moves, and saves the model's run for the others.
//
// The picture's brightness is averaged into cells. Each cell has a running mean and its usual fluctuation; a cell that
// is far from its mean moves if a neighbour does, too. A change of light, one factor and one offset for the whole
// picture, is fitted to the cells that do not move and taken out first; when most of the picture changes at once it
// becomes the new background. What comes to rest is part of the background after half a minute.
// Source: running Gaussian average, Wren et al. 1997 (Pfinder).
//
// Still pictures go through `still_fps` times a second, so that objects that stand still are not forgotten: with the
// tracker's lost_s of 2 it should not be below 0.5.
// Threads: a MotionDetector is used by one thread at a time.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"

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
  explicit MotionDetector(MotionOptions options) : options_(std::move(options)) {}
  /// The part of the picture that moves, 0..1. The first picture is the background: 0.
  double update(const pipeline::Frame& frame, std::int64_t monotonic_us);
  /// The next picture is the background.
  void reset() { cells_.clear(); }

 private:
  struct Cell {
    float mean = 0, variance = 0;
    float now = 0;
    bool is_ignored = false, is_far = false;
  };
  /// now = factor * mean + offset, for what does not move.
  struct Light {
    float factor = 1, offset = 0;
  };

  void begin(const pipeline::Frame& frame);
  void average(const pipeline::Frame& frame);
  Light fit_light() const;
  void learn(double seconds);
  bool has_far_neighbour(int column, int row) const;

  const MotionOptions options_;
  int width_ = 0, height_ = 0;  ///< Of the pictures.
  int columns_ = 0, rows_ = 0;  ///< Cells.
  std::vector<Cell> cells_;     ///< Row by row.
  std::vector<std::uint32_t> sums_;
  std::int64_t time_us_ = 0;
};

pipeline::Kind<pipeline::Stage> motion_kind();

}  // namespace verge::vision
