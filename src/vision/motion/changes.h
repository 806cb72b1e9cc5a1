// vision/motion/changes.h -- what was left in a scene or taken away from it, without a detector that knows it.
//
// The picture's brightness is averaged into cells (cells.h). Each cell has two backgrounds: a fast one that knows a new
// thing after a few seconds, and a slow one that keeps the scene as it was. Where they differ while the picture agrees
// with the fast one, something has come to rest; after `settle_s` it is an object with the label "left" or "removed",
// until the place is as before or, after about twice `forget_s`, part of the scene. Which of the two, the edge around
// the place tells: what lies there now stands out from its surroundings now, what was taken away stood out before.
//
// Light that changes everywhere is taken out first; a place whose pattern stays and only gets lighter or darker is a
// lamp or a shadow, not an object. A shake of a pixel is allowed for where the scene has edges. Where people stand
// nothing is learned, so that somebody who waits does not become part of the scene. What it cannot tell: a shadow that
// comes to stay on a floor without any pattern, and an object as bright as what it hides.
//
// Stands behind detect and track, and before zone and rule; the objects bear tracks of their own ("c1"). One picture a
// second is enough.
// Source: two backgrounds, Porikli, Ivanov, Haga 2008 (Robust abandoned object detection using dual foregrounds); edges
// decide, Spagnolo et al. 2006 (An abandoned/removed objects detection algorithm and its evaluation on PETS datasets),
// here by the contrast of cells.
// Cost: 2.7 ms of processor time for a picture of 768 x 576 (a film through verge-infer with this stage, less without);
// 160 columns of cells, about 0.6 MB a stream at 4:3.
// Threads: a ChangeFinder is used by one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"
#include "vision/motion/cells.h"

namespace verge::vision {

struct ChangeOptions {
  double settle_s = 10;      ///< A place must stay different for so long, 1..3600.
  double forget_s = 1800;    ///< Time constant with which what stays becomes part of the scene, 10..86400.
  double learn_s = 20;       ///< From the first picture on, until the scene is known, 1..3600.
  double area_min = 0.0005;  ///< Part of the picture, 0..1; smaller changes are none.
  double area_max = 0.1;     ///< Larger ones are none, either.
  double step_min = 14;      ///< Grey levels (of 255) that a cell must change at least, 1..255.
  std::vector<std::string> people{"person"};                     ///< Labels of objects that hide the scene.
  std::vector<std::vector<std::pair<double, double>>> ignore{};  ///< Polygons in which nothing counts, 0..1.
};

class ChangeFinder {
 public:
  explicit ChangeFinder(ChangeOptions options);
  /// What is left or removed now. Times must not go back.
  std::vector<pipeline::Object> update(const pipeline::Scene& scene, std::int64_t monotonic_us);
  /// The next picture is a new scene; ids go on.
  void reset();

 private:
  struct Cell {
    float variance = 0;   ///< Of the picture about the fast background.
    float changed_s = 0;  ///< For so long it has been different, less what it was not since; 0 to kHeldShare settle_s.
    float covered_s = 0;  ///< For so long people may still stand here.
    bool is_known = false;  ///< Has been seen without people.
    bool is_ignored = false, is_changed = false, is_settled = false;
  };
  /// A place that differs.
  struct Place {
    pipeline::Object object;
    float age_s = 0;
    bool is_seen = false;     ///< In this picture.
    bool is_object = false;   ///< It was decided on, and it is more than light.
    bool is_decided = false;  ///< After kRipeS, when all of it has come together.
  };

  void begin(const pipeline::Frame& frame, std::int64_t monotonic_us);
  void cover(const pipeline::Scene& scene, float seconds);
  float limit_of(std::size_t cell) const;
  bool compare(float seconds);
  void learn(float seconds, bool is_new);
  void find_places(float seconds);
  std::vector<CellGroup> marked_groups() const;
  Place* known_place(const contract::Region& box);
  void decide(Place& place, const CellGroup& group);
  bool is_only_light(const CellGroup& group) const;
  std::pair<double, double> contrasts_of(const CellGroup& group) const;

  const ChangeOptions options_;
  CellGrid grid_;
  std::vector<Cell> cells_;
  std::vector<float> now_, fast_, slow_;  ///< Brightness of each cell.
  std::vector<bool> marks_;               ///< Cells of places.
  std::vector<Place> places_;             ///< At most kChangesMax.
  std::int64_t begun_us_ = 0, time_us_ = 0;
  std::uint64_t last_id_ = 0;
};

pipeline::Kind<pipeline::Stage> changes_kind();

}  // namespace verge::vision
