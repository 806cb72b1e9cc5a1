#include "vision/recognition/tiles.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "vision/recognition/non_max_suppression.h"

namespace verge::vision {
namespace {

using contract::Region;

constexpr int kTilesInRow = 8;          // Tiles in a row.
constexpr double kRoom = 1.5;           // A window is at least so much larger than its place.
constexpr double kNearlyAll = 0.75;     // Of width and height; a larger window shows little more than the whole.
constexpr double kAtEdge = 0.015;       // Of the part; a box that ends nearer to its edge may be cut.
constexpr double kCovered = 0.6;        // Of a cut box's area; then the other one shows the same object.
constexpr double kSameSpan = 0.5;       // Of two halves along their seam, intersection over union.
constexpr std::size_t kSeenMax = 1000;  // Bounds the work on a bad model.

double width_of(const Region& box) { return box.right - box.left; }
double height_of(const Region& box) { return box.bottom - box.top; }

/// Length that two intervals share; negative when they are apart.
double shared(double a_from, double a_to, double b_from, double b_to) {
  return std::min(a_to, b_to) - std::max(a_from, b_from);
}

Region hull(const Region& a, const Region& b) {
  return {std::min(a.left, b.left), std::min(a.top, b.top), std::max(a.right, b.right), std::max(a.bottom, b.bottom)};
}

bool holds(const Region& outer, const Region& inner) {
  return outer.left <= inner.left && outer.top <= inner.top && outer.right >= inner.right &&
         outer.bottom >= inner.bottom;
}

/// An interval of this length around the middle of another, moved into 0..1.
std::pair<double, double> around(double from, double to, double length) {
  const double begin = std::clamp((from + to - length) / 2, 0.0, std::max(0.0, 1 - length));
  return {begin, std::min(1.0, begin + length)};
}

Region window_around(const Region& place, double width, double height) {
  const auto [left, right] = around(place.left, place.right, width);
  const auto [top, bottom] = around(place.top, place.bottom, height);
  return {left, top, right, bottom};
}

/// An object with the sides on which the edge of a tile, not of the picture, cuts it.
struct Piece {
  Seen seen;
  bool left = false, top = false, right = false, bottom = false;
  bool is_cut() const { return left || top || right || bottom; }
};

Piece piece_of(Seen seen) {
  Piece piece{std::move(seen)};
  const Region& box = piece.seen.object.box;
  const Region& part = piece.seen.part;
  const double across = kAtEdge * width_of(part), down = kAtEdge * height_of(part);
  piece.left = part.left > 0 && box.left < part.left + across;
  piece.top = part.top > 0 && box.top < part.top + down;
  piece.right = part.right < 1 && box.right > part.right - across;
  piece.bottom = part.bottom < 1 && box.bottom > part.bottom - down;
  return piece;
}

bool covers(const Piece& whole, const Piece& cut) {
  const Region &a = whole.seen.object.box, &b = cut.seen.object.box;
  const double across = shared(a.left, a.right, b.left, b.right);
  const double down = shared(a.top, a.bottom, b.top, b.bottom);
  if (across <= 0 || down <= 0) return false;
  return whole.seen.object.label == cut.seen.object.label && across * down > kCovered * width_of(b) * height_of(b);
}

/// Of intervals, intersection over union.
bool has_same_span(double a_from, double a_to, double b_from, double b_to) {
  return shared(a_from, a_to, b_from, b_to) > kSameSpan * (std::max(a_to, b_to) - std::min(a_from, b_from));
}

/// Whether two tiles have cut one object between them: the boxes meet where the tiles do, and are as high there (or as
/// wide).
bool are_halves(const Piece& a, const Piece& b) {
  const Region &one = a.seen.object.box, &two = b.seen.object.box;
  if (a.seen.object.label != b.seen.object.label) return false;
  const bool meets_across = (a.right && b.left) || (a.left && b.right);
  const bool meets_down = (a.bottom && b.top) || (a.top && b.bottom);
  const double across = shared(one.left, one.right, two.left, two.right);
  const double down = shared(one.top, one.bottom, two.top, two.bottom);
  if (across < 0 || down < 0) return false;
  return (meets_across && has_same_span(one.top, one.bottom, two.top, two.bottom)) ||
         (meets_down && has_same_span(one.left, one.right, two.left, two.right));
}

Piece joined(const Piece& a, const Piece& b) {
  Piece whole = a.seen.object.score >= b.seen.object.score ? a : b;
  whole.seen.object.box = hull(a.seen.object.box, b.seen.object.box);
  // A side is cut where the half that reaches farther is.
  const auto farther = [](double one, double two, bool one_is_cut, bool two_is_cut) {
    return one > two ? one_is_cut : two_is_cut;
  };
  const Region &one = a.seen.object.box, &two = b.seen.object.box;
  whole.left = farther(-one.left, -two.left, a.left, b.left);
  whole.top = farther(-one.top, -two.top, a.top, b.top);
  whole.right = farther(one.right, two.right, a.right, b.right);
  whole.bottom = farther(one.bottom, two.bottom, a.bottom, b.bottom);
  return whole;
}

/// Halves become one, again and again: an object may lie over four tiles.
void join_halves(std::vector<Piece>& pieces) {
  for (std::size_t i = 0; i < pieces.size();) {
    const auto half = std::find_if(pieces.begin() + static_cast<std::ptrdiff_t>(i) + 1, pieces.end(),
                                   [&](const Piece& other) { return are_halves(pieces[i], other); });
    if (half == pieces.end()) {
      ++i;
      continue;
    }
    pieces[i] = joined(pieces[i], *half);
    pieces.erase(half);
    i = 0;
  }
}

std::vector<Seen> without_doubles(const std::vector<Piece>& pieces, float overlap_max) {
  std::vector<std::string> labels;
  std::vector<Detection> boxes;
  for (const Piece& piece : pieces) {
    const pipeline::Object& object = piece.seen.object;
    auto label = std::ranges::find(labels, object.label);
    if (label == labels.end()) label = labels.insert(labels.end(), object.label);
    const Region& box = object.box;
    boxes.push_back({{static_cast<float>(box.left), static_cast<float>(box.top), static_cast<float>(box.right),
                      static_cast<float>(box.bottom)},
                     object.score,
                     static_cast<int>(label - labels.begin())});
  }
  std::vector<Seen> kept;
  for (const std::size_t place : places_kept(boxes, overlap_max)) kept.push_back(pieces[place].seen);
  return kept;
}

}  // namespace

Result<TileGrid> read_tiles(std::string_view text) {
  TileGrid grid;
  const char* const end = text.data() + text.size();
  const auto columns = std::from_chars(text.data(), end, grid.columns);
  const bool has_cross = columns.ec == std::errc() && columns.ptr != end && *columns.ptr == 'x';
  const auto rows = has_cross ? std::from_chars(columns.ptr + 1, end, grid.rows) : columns;
  const auto fits = [](int side) { return side >= 1 && side <= kTilesInRow; };
  if (has_cross && rows.ec == std::errc() && rows.ptr == end && fits(grid.columns) && fits(grid.rows)) return grid;
  return Error{ErrorCode::invalid_argument,
               fmt::format("tiles is \"{}\"; give columns and rows, each 1 to {}: 2x2; or auto", text, kTilesInRow)};
}

TileGrid tiles_for(PixelSize picture, PixelSize input, double overlap, int count_max) {
  // n tiles of size t cover n t - (n - 1) overlap t.
  const auto needed = [&](int size, int tile) {
    const double count = (static_cast<double>(size) / std::max(1, tile) - overlap) / (1 - overlap);
    return std::clamp(static_cast<int>(std::ceil(count - 1e-9)), 1, kTilesInRow);
  };
  TileGrid grid{needed(picture.width, input.width), needed(picture.height, input.height)};
  while (grid.count() > count_max && grid.count() > 1) {
    const bool is_wide = grid.columns != grid.rows ? grid.columns > grid.rows : picture.height > picture.width;
    --(is_wide ? grid.columns : grid.rows);
  }
  return grid;
}

std::vector<Region> tiles_of(TileGrid grid, double overlap) {
  const double width = 1 / (grid.columns - (grid.columns - 1) * overlap);
  const double height = 1 / (grid.rows - (grid.rows - 1) * overlap);
  std::vector<Region> tiles;
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      const double left = column * width * (1 - overlap);
      const double top = row * height * (1 - overlap);
      // The last ones end with the picture, whatever the sums were rounded to.
      tiles.push_back(
          {left, top, column + 1 == grid.columns ? 1 : left + width, row + 1 == grid.rows ? 1 : top + height});
    }
  }
  return tiles;
}

std::vector<Region> windows_around(const std::vector<Region>& places, PixelSize picture, PixelSize input, int count_max,
                                   std::size_t turn) {
  const double width = std::min(1.0, static_cast<double>(input.width) / std::max(1, picture.width));
  const double height = std::min(1.0, static_cast<double>(input.height) / std::max(1, picture.height));
  std::vector<bool> is_covered(places.size());
  std::vector<Region> windows;
  for (std::size_t i = 0; i < places.size() && windows.size() < static_cast<std::size_t>(count_max); ++i) {
    const std::size_t first = (turn + i) % places.size();
    if (is_covered[first]) continue;
    Region group = places[first];
    for (std::size_t other = 0; other < places.size(); ++other) {
      const Region both = hull(group, places[other]);
      const bool fits = kRoom * width_of(both) <= width && kRoom * height_of(both) <= height;
      if (!is_covered[other] && fits) group = both;
    }
    const Region window = window_around(group, std::max(width, std::min(1.0, kRoom * width_of(group))),
                                        std::max(height, std::min(1.0, kRoom * height_of(group))));
    for (std::size_t other = 0; other < places.size(); ++other) {
      if (holds(window, places[other])) is_covered[other] = true;
    }
    is_covered[first] = true;
    if (width_of(window) < kNearlyAll || height_of(window) < kNearlyAll) windows.push_back(window);
  }
  return windows;
}

std::vector<Seen> unite(std::vector<Seen> seen, float overlap_max) {
  std::ranges::stable_sort(seen, std::ranges::greater{}, [](const Seen& each) { return each.object.score; });
  if (seen.size() > kSeenMax) seen.resize(kSeenMax);
  std::vector<Piece> whole, cut;
  for (Seen& each : seen) {
    Piece piece = piece_of(std::move(each));
    (piece.is_cut() ? cut : whole).push_back(std::move(piece));
  }
  const auto is_seen_whole = [&](const Piece& piece) {
    return std::ranges::any_of(whole, [&](const Piece& other) { return covers(other, piece); });
  };
  std::erase_if(cut, is_seen_whole);
  join_halves(cut);
  // What was joined shows more than a part of it that is left over.
  for (Piece& piece : cut) {
    if (!piece.is_cut()) whole.push_back(piece);
  }
  std::erase_if(cut, [&](const Piece& piece) { return !piece.is_cut() || is_seen_whole(piece); });
  whole.insert(whole.end(), cut.begin(), cut.end());
  return without_doubles(whole, overlap_max);
}

}  // namespace verge::vision
