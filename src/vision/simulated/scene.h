// vision/simulated/scene.h -- what a simulated camera looks at: something that goes on in time and can be painted.
//
// Equal options, times and faults give equal pictures. Threads: one at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "base/json.h"
#include "base/result.h"
#include "vision/simulated/canvas.h"

namespace verge::vision::simulated {

class Scene {
 public:
  virtual ~Scene() = default;
  /// To the next picture, `seconds` later.
  virtual void advance(double seconds) = 0;
  /// All of the canvas is painted anew: some milliseconds for 640 x 480 pixels.
  virtual void paint(Canvas& canvas) = 0;
  /// The light that falls on it now.
  virtual Light light() const = 0;
  /// What the picture shows, for those who judge what was made of it; docs/teach.md. No stage ever sees it.
  virtual Json truth() const = 0;
  /// Grows when a picture does not continue the one before.
  virtual std::uint32_t take() const { return 0; }
  /// The parameters of the method `fault` besides "describe", as a form.
  virtual Json fault_description() const = 0;
  /// From the next picture on. Answers what was done. Errors: invalid_argument.
  virtual Result<Json> set_fault(const Json& parameters) = 0;
};

}  // namespace verge::vision::simulated
