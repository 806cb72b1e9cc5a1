// connectors/camera/packet_sizes.h -- whether what a camera sends of a still scene has grown: something may move.
//
// A picture that depends on others is coded by what changed, so its bytes tell of motion before it is decoded. Each is
// compared with what packets of its place, so many after a key picture, usually have: encoders spend differently after
// a key picture than later, and on pictures that others need than on those between. The mean excess of the newest few
// decides. A hint, no proof: who fills a constant rate with the grain of the night hides small motion.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace verge::connectors {

class PacketSizes {
 public:
  static constexpr int kLearnedMin = 24;          ///< Packets, and
  static constexpr int kGroupsMin = 2;            ///< whole groups; before, nothing has grown.
  static constexpr std::size_t kPlacesMax = 512;  ///< What comes later in a group shares the last place.

  /// A key picture came.
  void begin_group() {
    groups_ += learned_ > 0 ? 1 : 0;
    place_ = 0;
  }
  /// Takes the size of a packet that is no key picture. True when sizes are well above the still scene's.
  bool put(std::size_t bytes) {
    if (place_ == usual_.size() && place_ < kPlacesMax) usual_.emplace_back();
    at_ = std::min(place_++, usual_.size() - 1);
    size_ = static_cast<double>(bytes);
    const double excess = usual_[at_].times > 0 ? size_ - usual_[at_].bytes : 0;
    excess_ += kNewest * (excess - excess_);
    return knows() && excess_ > std::max(kGrowth * mean_, kSpreads * spread_) + kBytesMin;
  }
  /// The newest packet belongs to the still scene.
  void learn() {
    Place& place = usual_[at_];
    place.times = std::min(place.times + 1, kPlaceMemory);
    place.bytes += (size_ - place.bytes) / place.times;
    learned_ = std::min(learned_ + 1, kMemory);
    mean_ += (size_ - mean_) / learned_;
    spread_ += (std::abs(excess_) - spread_) / learned_;
  }
  bool knows() const { return learned_ >= kLearnedMin && groups_ >= kGroupsMin; }

 private:
  struct Place {
    double bytes = 0;
    int times = 0;
  };
  static constexpr double kNewest = 0.25;  // Weight of the newest packet in the mean excess.
  static constexpr double kGrowth = 0.25;  // Part of the mean size,
  static constexpr double kSpreads = 5;    // mean distances from what is usual,
  static constexpr double kBytesMin = 32;  // and so many bytes are more than usual.
  static constexpr int kPlaceMemory = 4;   // Groups,
  static constexpr int kMemory = 128;      // and packets, 5 to 10 s, that count.

  std::vector<Place> usual_;  // By place after the key picture.
  std::size_t place_ = 0, at_ = 0;
  double size_ = 0, excess_ = 0, mean_ = 0, spread_ = 0;
  int learned_ = 0, groups_ = 0;
};

}  // namespace verge::connectors
