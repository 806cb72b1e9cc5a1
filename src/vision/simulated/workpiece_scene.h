// vision/simulated/workpiece_scene.h -- a belt that brings machined plates, one after another, below the camera.
//
// A plate has a brushed surface, a bore with a ring around it, a slot and four bolt holes. No two look the same:
// brushing, light, a shift of some pixels and a turn of a degree differ. A share of them has one defect. The belt stops
// for each plate. Triggered, the camera takes one picture of each plate while it stands, as with a light barrier (so
// each is a new take); else it films the belt. Fault {"kind": "scratch", "plates": 3}: the next ones have it. Truth:
// {"plate": 17, "stands": true, "defect": "none" | "scratch" | "chip" | "stain" | "missing_hole", "box": [left, top,
// right, bottom] of the defect, parts of the picture}. Threads: one at a time.
#pragma once

#include <array>
#include <string_view>

#include "vision/simulated/scene.h"

namespace verge::vision::simulated {

enum class Defect : std::uint8_t {
  none,
  scratch,       ///< A bright thin line with a dark edge, 10 to 25 % of the plate long.
  chip,          ///< A piece is out of the edge.
  stain,         ///< A brownish blot.
  missing_hole,  ///< One of the bolt holes was not drilled.
};
inline constexpr std::array<std::string_view, 5> kDefects{"none", "scratch", "chip", "stain", "missing_hole"};

struct WorkpieceOptions {
  std::uint64_t seed = 1;
  int width = 640, height = 480;
  double defects = 0.1;  ///< Share of plates with a defect, 0..1.
  bool is_triggered = true;
  double period_s = 2.5;  ///< From one plate to the next when the belt is filmed.
};

std::unique_ptr<Scene> make_workpiece_scene(const WorkpieceOptions& options);

}  // namespace verge::vision::simulated
