// vision/logic/evidence_wish.h -- the evidence that a stage leaves with its events: a snapshot, a clip, or both.
//
// A snapshot is a JPEG of the picture that raised the event, people hidden as the pipeline's privacy says, stored
// before the event goes; the event's `evidence` names it. A clip is ordered, its id is extension.clip, and its digest
// follows in an event "evidence.stored" (evidence/keeper.h). What cannot be kept is extension.evidence_error; the event
// goes all the same. Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "pipeline/stage.h"

namespace verge::vision {

class EvidenceWish {
 public:
  static constexpr int kSnapshotWidthMax = 1920;
  static constexpr int kSnapshotQuality = 85;

  /// The options evidence, before_s and after_s of a stage.
  static std::vector<pipeline::OptionInfo> options();
  /// The same added to a stage's own.
  static std::vector<pipeline::OptionInfo> added_to(std::vector<pipeline::OptionInfo> own);
  /// What is not given has its default. Errors: invalid_argument.
  static Result<EvidenceWish> read(const Json& given, const pipeline::Context& context);

  /// The event with its evidence, for what `packet` shows.
  contract::Event with_evidence(contract::Event event, const pipeline::Packet& packet,
                                const pipeline::Scene& scene) const;

 private:
  bool has_snapshot_ = false, has_clip_ = false;
  double before_s_ = 5, after_s_ = 5;
  pipeline::Context context_;
};

}  // namespace verge::vision
