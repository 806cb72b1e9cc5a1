// vision/logic/zone.h -- who is in an area of the picture, and who came and went.
//
// An object is where its foot point is. Coming in or going out counts after it lasted `settle_s`; the event bears the
// moment it began. Who is inside when first seen has not come in. Who vanishes inside leaves without an event. Objects
// without tracks are inside where they are seen, at once and without events: they can be counted, not followed.
// Events: "zone.entered", "zone.left"; extension {"inside", "entered", "left", "take"}.
// Source: even-odd rule, Shimrat 1962, for points in polygons.
// Threads: a ZoneCounter is used by one thread at a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"
#include "vision/logic/scene_event.h"

namespace verge::vision {

using Point = std::pair<double, double>;  ///< x, y in parts of the picture.

/// Even-odd; a polygon with fewer than three corners holds nothing.
bool is_inside(const std::vector<Point>& polygon, Point point);

/// A list option of polygons: [[[x, y], [x, y], [x, y]], …]. Errors: invalid_argument.
Result<std::vector<std::vector<Point>>> polygons_of(const Json& options, std::string_view member);

struct ZoneOptions {
  std::string name = "zone";
  std::vector<Point> polygon;
  double settle_s = 0.5;  ///< A change that lasts less is a wobble.
  double forget_s = 3.0;  ///< An object unseen for longer is gone.
};

class ZoneCounter {
 public:
  struct Change {
    std::size_t object = 0;  ///< Index into the objects of the call.
    bool is_entry = false;   ///< Else left.
    Moment moment;           ///< When it began.
  };

  explicit ZoneCounter(ZoneOptions options) : options_(std::move(options)) {}
  std::vector<Change> update(const std::vector<pipeline::Object>& objects, Moment moment);
  bool holds(const std::string& track) const;
  /// Forgets where everybody is; totals stay.
  void reset() { visitors_.clear(); }
  std::int64_t inside() const;
  std::int64_t entered() const { return entered_; }
  std::int64_t left() const { return left_; }

 private:
  struct Visitor {
    bool is_inside = false;
    std::optional<Moment> change;  ///< Since when the foot point says otherwise.
    std::int64_t seen_us = 0;
  };
  ZoneOptions options_;
  std::map<std::string, Visitor> visitors_;
  std::int64_t entered_ = 0, left_ = 0;
};

pipeline::Kind<pipeline::Stage> zone_kind();

}  // namespace verge::vision
