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
//   access.enrol   {"name", "seconds"?, "when"?}  202: looks from now on; the events above tell how it went
//   access.list    {}          {"people": [{"name", "looks", "enrolled", "when"}]}
//   access.remove  {"name"}    once answered, nothing of him is left
//   access.check   {}          to_json of false_accept.h, and {"promise"} when one is asked for and not supported
//
// Threads: as pipeline::Stage; methods on the control thread.
#pragma once

#include "pipeline/stage.h"

namespace verge::vision {

pipeline::Kind<pipeline::Stage> access_kind();

}  // namespace verge::vision
