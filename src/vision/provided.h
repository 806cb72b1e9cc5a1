// vision/provided.h -- the words in which vision's kinds tell each other what a scene bears (pipeline::Provided).
//
//   {"zone", NAME}  the zone is in the scene, and objects say whether they stand in it
//   {"line", NAME}  the line is in the scene
//   {"rule", NAME}  the scene says when the rule has fired
//   {"motion", ""}  the scene says where it moves
//   {"tracks", ""}  there are objects with tracks
//   {"untracked", ""}  there are objects without
//
// Threads: pure function.
#pragma once

#include "pipeline/stage.h"

namespace verge::vision {

/// Kind::provide of stages that add objects without tracks.
inline void provide_untracked(const Json&, pipeline::Provided& provided) { provided.emplace("untracked", ""); }
/// Kind::provide of stages after which every object bears a track.
inline void provide_tracks(const Json&, pipeline::Provided& provided) {
  provided.erase({"untracked", ""});
  provided.emplace("tracks", "");
}

}  // namespace verge::vision
