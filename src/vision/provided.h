// vision/provided.h -- the words in which vision's kinds tell each other what a scene bears (pipeline::Provided).
//
//   {"zone", NAME}     the zone is in the scene
//   {"peopled", NAME}  objects were looked for before the zone, so it says who stands in it
//   {"early", NAME}    nobody had a track before the zone, so it does not say who comes and goes
//   {"line", NAME}     the line is in the scene
//   {"rule", NAME}     the scene says when the rule has fired
//   {"motion", ""}     the scene says where it moves
//   {"tracks", ""}     there are objects with tracks
//   {"untracked", ""}  there are objects without
//
// Threads: pure functions.
#pragma once

#include <string_view>

#include "pipeline/stage.h"

namespace verge::vision {

/// Kind::provide of stages that add objects without tracks.
inline void provide_untracked(const Json&, pipeline::Provided& provided) { provided.emplace("untracked", ""); }
/// Kind::provide of stages after which every object bears a track.
inline void provide_tracks(const Json&, pipeline::Provided& provided) {
  provided.erase({"untracked", ""});
  provided.emplace("tracks", "");
}
/// Part of Kind::check of stages that give tracks: a zone before the first of them would tell nothing and nobody would
/// see why. Errors: invalid_argument naming the zone and where it belongs.
Status check_no_early_zone(std::string_view stage, const pipeline::Provided& before);

}  // namespace verge::vision
