// vision/recognition/part_aligner.h -- lays pictures of a part over a good one before a model looks at them, so that a
// part which lies shifted, slightly turned or slightly scaled is compared where it is.
//
// Teaching and the stage `anomaly` both use this, and so see the same pixels.
// Threads: never changes; any number at once.
#pragma once

#include <memory>

#include "vision/picture/registration.h"

namespace verge::vision {

class PartAligner {
 public:
  /// good  rgb24; every picture is stretched to its size first
  /// correlation_min  -1..1; below it the part was not found
  /// Errors: invalid_argument (sides outside of 16 to 4,096).
  static Result<PartAligner> make(std::shared_ptr<const pipeline::Frame> good, double correlation_min);

  struct Laid {
    std::shared_ptr<const pipeline::Frame> frame;  ///< rgb24 of the good one's size.
    Alignment alignment;  ///< Of `frame`; nothing is moved when it was not found. Its correlation is what was reached.
    bool is_found = false;  ///< Else `frame` is the picture as it lies.
  };
  Result<Laid> lay(const pipeline::Frame& picture) const;
  /// How a picture lies, and the picture laid over by that, for who lays one several times.
  Result<Alignment> find(const pipeline::Frame& picture) const;
  Result<Laid> lay(const pipeline::Frame& picture, const Alignment& alignment) const;

  const pipeline::Frame& good() const { return *good_; }
  const GreyPicture& grey() const { return grey_; }
  double correlation_min() const { return correlation_min_; }

 private:
  PartAligner() = default;
  Laid laid(std::shared_ptr<const pipeline::Frame> stretched, const Alignment& alignment) const;

  std::shared_ptr<const pipeline::Frame> good_;
  GreyPicture grey_;
  double correlation_min_ = 0;
};

}  // namespace verge::vision
