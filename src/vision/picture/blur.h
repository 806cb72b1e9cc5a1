// vision/picture/blur.h -- people become unrecognisable in a picture, for good.
//
// A box is averaged in at most kPersonCells (faces: kFaceCells) cells across its shorter side, each mean is rounded to
// 32 levels, and the space between the cells' middles is filled in straight lines: what a viewer gets holds no more
// than those few numbers, whatever is done with it later. Boxes are grown first, and stay for a while after they were
// last seen (PeopleMemory), so that one missed detection shows nobody. Where no model has looked for people, nobody
// knows where they are: then the whole picture is averaged, in kWholeCells. Threads: pure functions; a PeopleMemory is
// used by one thread at a time, a StreamsMemory by any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/packet.h"
#include "pipeline/privacy.h"

namespace verge::vision {

inline constexpr int kPersonCells = 6, kFaceCells = 4, kWholeCells = 16;
/// Persons count from this score on when they are to be hidden, however sure a stage wants to be of them.
inline constexpr float kHideScoreMin = 0.2F;

/// Labels of models that mean a person ("person", "pedestrian", "worker") or a face ("face", "head").
bool is_person_label(std::string_view label);
bool is_face_label(std::string_view label);

/// What has to be hidden in one picture.
struct Hiding {
  struct Area {
    contract::Region box;  ///< Parts of the picture; may reach over its edges.
    int cells = kPersonCells;
  };
  std::vector<Area> areas;
  bool is_whole = false;  ///< Because nobody looked for people.
};
Hiding hiding_of(const pipeline::People& people, pipeline::Blur blur);

/// Values of one channel: `step` bytes from one to the next in a row, `stride` from row to row.
struct Channel {
  std::uint8_t* values = nullptr;
  int width = 0, height = 0, step = 1, stride = 0;
};
/// Averages what of the box lies in the picture.
void average_cells(const Channel& channel, const contract::Region& box, int cells);

/// Keeps boxes alive that a detector missed: for kHoldUs and kHoldPictures pictures, and at most kHoldMaxUs.
class PeopleMemory {
 public:
  static constexpr std::int64_t kHoldUs = 1'000'000, kHoldMaxUs = 10'000'000;
  static constexpr int kHoldPictures = 3;
  /// The boxes seen now and those remembered, which grow because who is not seen may walk.
  std::vector<contract::Region> update(const std::vector<contract::Region>& seen, std::int64_t monotonic_us);

 private:
  struct Remembered {
    contract::Region box;
    std::int64_t seen_us = 0;
    int missed = 0;
  };
  std::vector<Remembered> boxes_;
};

/// The memories of all streams of a stage. Threads: from any; the pictures of one stream in their order.
class StreamsMemory {
 public:
  /// Adds what one model found in a picture, and what it remembers, to what others found in the same picture.
  void add(const pipeline::Packet& packet, const pipeline::People& found, pipeline::People& people);

 private:
  struct Both {
    PeopleMemory persons, faces;
  };
  std::mutex mutex_;
  std::map<std::string, Both> streams_;
};

}  // namespace verge::vision
