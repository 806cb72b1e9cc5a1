// vision/simulated/shelf_scene.h -- a shelf in a shop: three boards with two sorts of goods each, which are bought and
// filled up again; now and then one is sold out, as one is at the beginning.
//
// The places are called shelf_1 (above, left) to shelf_6 (below, right). The light drifts by a sixth in two minutes.
// Fault {"kind": "sold_out", "place": 2}: it is empty at once and stays so until {"kind": "none"}.
// Truth: {"shares": {"shelf_1": 0.8, …}}, the part of its goods that are there. Threads: one at a time.
#pragma once

#include <array>
#include <string_view>

#include "vision/simulated/scene.h"

namespace verge::vision::simulated {

inline constexpr std::array<std::string_view, 3> kStocks{"changing", "full", "empty"};
enum class Stock : std::uint8_t {
  changing,  ///< As in a shop.
  full,      ///< Every picture another mixture, from a third of the goods to all of them.
  empty,     ///< No goods at all.
};

struct ShelfOptions {
  std::uint64_t seed = 1;
  int width = 640, height = 480;
  Stock stock = Stock::changing;
};

std::unique_ptr<Scene> make_shelf_scene(const ShelfOptions& options);

}  // namespace verge::vision::simulated
