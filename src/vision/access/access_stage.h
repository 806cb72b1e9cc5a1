// vision/access/access_stage.h -- opens a door for whom it knows: the stage `access`, and the methods that enrol and
// remove.
//
// Behind `faces` with an embedding model, and `track`. Each stream is a door. Event types, all with rule = the stage's
// name and track, label = the person's name where one was recognised:
//
//   access.granted            score: similarity; extension {"threshold"}
//   access.denied             extension {"reason", "detail"}; reasons: door.h
//   access.challenge          extension {"side", "limit_s"}: turn the head
//   access.enrolled           extension {"looks", "pictures", "good", "problems"}
//   access.enrolment_failed   the same, and the reason as its explanation
//
// Methods (a second door's bear the stream's name behind a dot):
//
//   access.enrol   {"name", "seconds"?, "when"?, "also"?}  202: looks from now on; the events above tell how it went.
//                  also: true takes a face in that is like somebody else's who is enrolled
//   access.list    {}          {"people": [{"name", "looks", "enrolled", "when"}]}
//   access.remove  {"name"}    once answered, nothing of him is left
//   access.check   {}          to_json of false_accept.h, and {"promise"} when one is asked for and not supported; 202
//                  while many are still being compared: ask again
//
// A promise is judged anew when people come or go, beside the door (pair_counter.h): until then the threshold of those
// before holds, and before the first time nobody is let in.
//
// Threads: as pipeline::Stage; methods on the control thread.
#pragma once

#include "pipeline/stage.h"

namespace verge::vision {

pipeline::Kind<pipeline::Stage> access_kind();

}  // namespace verge::vision
