// vision/logic/line.h -- counts who walks over a line in the picture, in either direction.
//
// The line goes from A to B. side(P) = (B.x-A.x)*(P.y-A.y) - (B.y-A.y)*(P.x-A.x) for a foot point P; "in" is from
// negative to positive. An object has crossed when it is `margin` beyond the line, stays there for `settle_s`, and its
// way went through the line, not past its ends. The event bears the moment of the first point on the new side.
// Event: "line.crossed"; extension {"direction", "in", "out", "take"}.
// Threads: a LineCounter is used by one thread at a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/stage.h"
#include "vision/logic/scene_event.h"
#include "vision/logic/zone.h"

namespace verge::vision {

struct LineOptions {
  std::string name = "line";
  Point from, to;
  double margin = 0.01;   ///< Part of the picture's height; nearer to the line an object is on no side.
  double settle_s = 0.2;  ///< Shorter visits to the other side are a wobble.
  double forget_s = 3.0;  ///< An object unseen for longer is gone.
};

class LineCounter {
 public:
  struct Crossing {
    std::size_t object = 0;  ///< Index into the objects of the call.
    bool is_in = false;
    Moment moment;
  };

  explicit LineCounter(LineOptions options) : options_(std::move(options)) {}
  /// aspect  width of the picture divided by its height
  std::vector<Crossing> update(const std::vector<pipeline::Object>& objects, Moment moment, double aspect);
  void reset() { walkers_.clear(); }
  std::int64_t in() const { return in_; }
  std::int64_t out() const { return out_; }

 private:
  struct Walker {
    int side = 0;                  ///< -1, 1; 0 before the first clear sight.
    Point last;                    ///< The last point on that side.
    std::optional<Moment> change;  ///< Since when it is on the other side.
    bool went_through = false;
    std::int64_t seen_us = 0;
  };
  /// Signed distance from the line, in parts of the picture's height.
  double distance(Point point, double aspect) const;
  bool goes_through(Point from, Point to) const;

  LineOptions options_;
  std::map<std::string, Walker> walkers_;
  std::int64_t in_ = 0, out_ = 0;
};

pipeline::Kind<pipeline::Stage> line_kind();

}  // namespace verge::vision
