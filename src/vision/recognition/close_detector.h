// vision/recognition/close_detector.h -- a detector that looks at a picture several times, to see small objects: at the
// whole, and at parts of it (tiles.h).
//
// Threads: any number at once when its Detector allows it; pictures of one stream come one after the other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vision/recognition/detect.h"
#include "vision/recognition/tiles.h"

namespace verge::vision {

/// What is looked at besides the whole picture.
struct LookOptions {
  enum class Way : std::uint8_t {
    whole,   ///< Nothing.
    tiles,   ///< The tiles of `grid`.
    native,  ///< So many tiles that they are seen as large as they are.
    motion,  ///< Windows around what moves, and around what such a window showed in the picture before.
  };
  Way way = Way::whole;
  TileGrid grid{};
  double overlap = 0.2;  ///< Of neighbouring tiles, in parts of a tile, 0..0.5; an object not larger is in one whole.
  int runs_max = 8;      ///< Of the model for one picture, 1..65.
};

class CloseDetector {
 public:
  CloseDetector(std::unique_ptr<Detector> detector, LookOptions options)
      : detector_(std::move(detector)), options_(options) {}

  struct Found {
    std::vector<pipeline::Object> objects;  ///< As Detector::detect; what several looks have shown is there once.
    std::size_t runs = 0;                   ///< Of the model.
  };
  /// moving  where it moves, for Way::motion
  /// stream  whose picture it is
  /// people  as Detector::detect; may be null
  Result<Found> detect(const pipeline::Frame& frame, const std::vector<contract::Region>& moving,
                       const std::string& stream, pipeline::People* people = nullptr);
  Detector& detector() { return *detector_; }

 private:
  /// Of a stream, for Way::motion.
  struct Lately {
    std::vector<contract::Region> small;  ///< What only a window has shown.
    std::size_t pictures = 0;
  };

  Lately& lately_of(const std::string& stream);
  std::vector<contract::Region> parts_of(PixelSize picture, const std::vector<contract::Region>& moving,
                                         const Lately& lately) const;
  Status look(const pipeline::Frame& frame, const contract::Region& part, std::vector<Seen>& seen,
              pipeline::People* people);

  std::unique_ptr<Detector> detector_;
  const LookOptions options_;
  std::mutex mutex_;                      ///< Of the map; each stream's own is touched by one thread at a time.
  std::map<std::string, Lately> lately_;  ///< By stream; as many as the pipeline has.
};

}  // namespace verge::vision
