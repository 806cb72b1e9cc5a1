#include "vision/picture/blur.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "vision/recognition/non_max_suppression.h"

namespace verge::vision {
namespace {

using contract::Region;

constexpr double kPersonGrowth = 0.1, kFaceGrowth = 0.2;  // On each side, parts of the box.
constexpr double kMissedGrowth = 0.25;                    // On each side per second, parts of the box.
constexpr double kHeadPart = 0.3;                         // Of a standing person's height.
constexpr float kSameBox = 0.3F;
constexpr std::size_t kRememberedMax = 300;

Region grown(const Region& box, double part) {
  const double across = part * (box.right - box.left);
  const double down = part * (box.bottom - box.top);
  return {box.left - across, box.top - down, box.right + across, box.bottom + down};
}

/// The upper part of who stands; all of who lies or is cut off.
Region head_of(const Region& person) {
  const double width = person.right - person.left;
  const double height = person.bottom - person.top;
  Region head = person;
  if (height > width) head.bottom = person.top + std::max(kHeadPart * height, std::min(width, height) * 0.5);
  return head;
}

Box box_of(const Region& region) {
  return {static_cast<float>(region.left), static_cast<float>(region.top), static_cast<float>(region.right),
          static_cast<float>(region.bottom)};
}

/// Means of the cells, row by row.
struct Cells {
  int columns = 0, rows = 0, size = 1;
  std::vector<int> means;

  int at(int column, int row) const {
    column = std::clamp(column, 0, columns - 1);
    row = std::clamp(row, 0, rows - 1);
    return means[static_cast<std::size_t>(row * columns + column)];
  }
};

Cells cells_of(const Channel& channel, int left, int top, int right, int bottom, int cells) {
  Cells found;
  const int shorter = std::min(right - left, bottom - top);
  found.size = std::max(1, (shorter + cells - 1) / cells);
  found.columns = (right - left + found.size - 1) / found.size;
  found.rows = (bottom - top + found.size - 1) / found.size;
  for (int row = 0; row < found.rows; ++row) {
    for (int column = 0; column < found.columns; ++column) {
      const int x_end = std::min(right, left + (column + 1) * found.size);
      const int y_end = std::min(bottom, top + (row + 1) * found.size);
      std::int64_t sum = 0, count = 0;
      for (int y = top + row * found.size; y < y_end; ++y) {
        for (int x = left + column * found.size; x < x_end; ++x, ++count) {
          sum += channel.values[static_cast<std::ptrdiff_t>(y) * channel.stride + x * channel.step];
        }
      }
      found.means.push_back(static_cast<int>(sum / std::max<std::int64_t>(1, count)) / 8 * 8 + 4);
    }
  }
  return found;
}

}  // namespace

bool is_person_label(std::string_view label) {
  constexpr std::array<std::string_view, 14> kWords{"person", "people", "pedestrian", "man",    "woman",
                                                    "child",  "boy",    "girl",       "human",  "worker",
                                                    "rider",  "baby",   "body",       "cyclist"};
  return std::ranges::find(kWords, label) != kWords.end();
}

bool is_face_label(std::string_view label) { return label == "face" || label == "head" || label == "human face"; }

Hiding hiding_of(const pipeline::People& people, pipeline::Blur blur) {
  Hiding hiding;
  if (blur == pipeline::Blur::none) return hiding;
  const bool is_known = people.knows_persons || (blur == pipeline::Blur::faces && people.knows_faces);
  if (!is_known) {
    hiding.is_whole = true;
    return hiding;
  }
  for (const Region& person : people.persons) {
    const bool is_all = blur == pipeline::Blur::people;
    hiding.areas.push_back(
        {grown(is_all ? person : head_of(person), kPersonGrowth), is_all ? kPersonCells : kFaceCells});
  }
  for (const Region& face : people.faces) hiding.areas.push_back({grown(face, kFaceGrowth), kFaceCells});
  return hiding;
}

void average_cells(const Channel& channel, const Region& box, int cells) {
  const auto pixel = [](double part, int count, bool is_end) {
    const double at = std::clamp(part, 0.0, 1.0) * count;
    return static_cast<int>(is_end ? std::ceil(at) : std::floor(at));
  };
  const int left = pixel(box.left, channel.width, false);
  const int top = pixel(box.top, channel.height, false);
  const int right = pixel(box.right, channel.width, true);
  const int bottom = pixel(box.bottom, channel.height, true);
  if (right <= left || bottom <= top) return;
  const Cells means = cells_of(channel, left, top, right, bottom, cells);
  // Straight lines between the cells' middles, in 256ths; one size for rows and columns.
  const int span = 2 * means.size;
  for (int y = top; y < bottom; ++y) {
    const int down = 2 * (y - top) + 1 - means.size;
    const int row = down < 0 ? -1 : down / span;
    const int y_part = (down - row * span) * 256 / span;
    for (int x = left; x < right; ++x) {
      const int across = 2 * (x - left) + 1 - means.size;
      const int column = across < 0 ? -1 : across / span;
      const int x_part = (across - column * span) * 256 / span;
      const int upper = means.at(column, row) * (256 - x_part) + means.at(column + 1, row) * x_part;
      const int lower = means.at(column, row + 1) * (256 - x_part) + means.at(column + 1, row + 1) * x_part;
      channel.values[static_cast<std::ptrdiff_t>(y) * channel.stride + x * channel.step] =
          static_cast<std::uint8_t>((upper * (256 - y_part) + lower * y_part) >> 16);
    }
  }
}

std::vector<Region> PeopleMemory::update(const std::vector<Region>& seen, std::int64_t monotonic_us) {
  std::vector<Region> all = seen;
  std::erase_if(boxes_, [&](Remembered& box) {
    const auto is_same = [&](const Region& other) { return overlap(box_of(box.box), box_of(other)) > kSameBox; };
    if (std::ranges::any_of(seen, is_same)) return true;
    const std::int64_t away_us = monotonic_us - box.seen_us;
    ++box.missed;
    if (away_us > kHoldMaxUs || away_us < 0) return true;
    return away_us > kHoldUs && box.missed > kHoldPictures;
  });
  for (const Remembered& box : boxes_) {
    const double away_s = static_cast<double>(monotonic_us - box.seen_us) / 1e6;
    all.push_back(grown(box.box, std::min(1.0, kMissedGrowth * away_s)));
  }
  for (const Region& box : seen) boxes_.push_back({box, monotonic_us, 0});
  if (boxes_.size() > kRememberedMax) {
    boxes_.erase(boxes_.begin(), boxes_.end() - static_cast<std::ptrdiff_t>(kRememberedMax));
  }
  return all;
}

void StreamsMemory::add(const pipeline::Packet& packet, const pipeline::People& found, pipeline::People& people) {
  const std::lock_guard lock(mutex_);
  Both& memory = streams_[packet.stream ? *packet.stream : std::string()];
  people.knows_persons |= found.knows_persons;
  people.knows_faces |= found.knows_faces;
  const auto persons = memory.persons.update(found.persons, packet.monotonic_us);
  const auto faces = memory.faces.update(found.faces, packet.monotonic_us);
  people.persons.insert(people.persons.end(), persons.begin(), persons.end());
  people.faces.insert(people.faces.end(), faces.begin(), faces.end());
}

}  // namespace verge::vision
