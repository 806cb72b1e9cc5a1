// vision/recognition/tiles.h -- which parts of a picture a detector looks at besides the whole, so that it sees what is
// small, and one list of objects out of all of them.
//
// A detector sees the picture at the size of its input: a person 40 pixels high in a picture 1536 wide is 11 high for
// one that takes 416. A tile is shown larger. Tiles overlap; an object that the edge of one cuts is taken from where it
// was seen whole, else its two parts become one.
// Source: Akyon et al. 2022 (SAHI: slicing aided hyper inference); how parts are joined is our own.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::vision {

struct TileGrid {
  int columns = 1, rows = 1;  ///< 1..8 each.
  int count() const { return columns * rows; }
  bool operator==(const TileGrid&) const = default;
};

/// Width and height in pixels.
struct PixelSize {
  int width = 0, height = 0;
};

/// "3x2": three columns, two rows. Errors: invalid_argument.
Result<TileGrid> read_tiles(std::string_view text);
/// So many tiles that a detector sees them as large as they are, fewer when more than count_max would be needed.
TileGrid tiles_for(PixelSize picture, PixelSize input, double overlap, int count_max);
/// Row by row, in parts of the picture, all of one size.
/// overlap  of neighbours, in parts of a tile, 0..0.5
std::vector<contract::Region> tiles_of(TileGrid grid, double overlap);

/// Windows around places, each as large as the detector's input in pixels, or larger when its place is; neighbours
/// share one. No window where it would be nearly the whole picture. At most count_max: with more places than that each
/// gets its turn.
///
/// places  in parts of the picture
/// turn    counts the pictures
std::vector<contract::Region> windows_around(const std::vector<contract::Region>& places, PixelSize picture,
                                             PixelSize input, int count_max, std::size_t turn);

/// What one look at a part of the picture has found.
struct Seen {
  pipeline::Object object;            ///< In parts of the whole picture.
  contract::Region part{0, 0, 1, 1};  ///< What was looked at.
};
/// Each object once, strongest first, at most 300.
/// overlap_max  as suppress_weaker
std::vector<Seen> unite(std::vector<Seen> seen, float overlap_max);

}  // namespace verge::vision
