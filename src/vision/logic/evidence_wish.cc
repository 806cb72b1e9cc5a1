#include "vision/logic/evidence_wish.h"

#include <cmath>

#include "base/json.h"
#include "evidence/keeper.h"
#include "pipeline/option_checks.h"
#include "vision/live.h"

namespace verge::vision {
namespace {

using contract::Event;
using pipeline::Packet;
using pipeline::Scene;

constexpr double kClipPart_s = 120;  // Before and after, each.

Error no_keeper() { return Error{ErrorCode::unavailable, "keep evidence: this program keeps none"}; }

Result<std::string> keep_snapshot(const pipeline::Context& context, const Packet& packet, const Scene& scene) {
  if (context.evidence == nullptr) return no_keeper();
  VERGE_TRY(const std::string jpeg,
            to_jpeg(*scene.frame, EvidenceWish::kSnapshotWidthMax, EvidenceWish::kSnapshotQuality,
                    hiding_of(scene.people, context.privacy.blur)));
  const evidence::Label label{packet.captured_us, "jpg", std::string(pipeline::name_of(context.privacy.blur))};
  VERGE_TRY(const auto file, context.evidence->keep(evidence::kEventShelf, label, jpeg));
  return file.digest;
}

/// What the event that follows says before it knows how it went.
Event about(const Event& cause) {
  Event event = cause;
  event.type.clear();
  event.severity = "info";
  event.evidence.clear();
  event.region.reset();
  event.score = 0;
  event.duration_us = 0;
  event.extension_json = to_text(Json{{"of", cause.type}});
  return event;
}

}  // namespace

std::vector<pipeline::OptionInfo> EvidenceWish::options() {
  const EvidenceWish fallback;
  return {
      {"evidence", "text", "Kept with each event: none, snapshot, clip or snapshot+clip; docs/evidence.md.", "none"},
      {"before_s", "number", "A clip begins so long before its event, seconds, 0..120.", fallback.before_s_},
      {"after_s", "number", "And ends so long after it, seconds, 0..120.", fallback.after_s_}};
}

std::vector<pipeline::OptionInfo> EvidenceWish::added_to(std::vector<pipeline::OptionInfo> own) {
  for (pipeline::OptionInfo& option : options()) own.push_back(std::move(option));
  return own;
}

Result<EvidenceWish> EvidenceWish::read(const Json& given, const pipeline::Context& context) {
  Json options = given;
  for (const pipeline::OptionInfo& option : EvidenceWish::options()) {
    if (!options.contains(option.name)) options[option.name] = option.fallback;
  }
  VERGE_CHECK(pipeline::check_word(options, "evidence", {"none", "snapshot", "clip", "snapshot+clip"}));
  VERGE_CHECK(pipeline::check_range(options, "before_s", 0, kClipPart_s));
  VERGE_CHECK(pipeline::check_range(options, "after_s", 0, kClipPart_s));
  const auto word = options["evidence"].get<std::string>();
  EvidenceWish wish;
  wish.has_snapshot_ = word.starts_with("snapshot");
  wish.has_clip_ = word.ends_with("clip");
  wish.before_s_ = options["before_s"].get<double>();
  wish.after_s_ = options["after_s"].get<double>();
  wish.context_ = context;
  // A little more than asked for: an event comes some time after the picture that it is about.
  if (wish.has_clip_ && context.evidence != nullptr) context.evidence->want_ring(context.stream, wish.before_s_ + 2);
  return wish;
}

Event EvidenceWish::with_evidence(Event event, const Packet& packet, const Scene& scene) const {
  if (!has_snapshot_ && !has_clip_) return event;
  auto extension = parse_json(event.extension_json);
  Json facts = extension && extension->is_object() ? *std::move(extension) : Json::object();
  facts["privacy"] = pipeline::name_of(context_.privacy.blur);
  if (has_snapshot_) {
    auto digest = keep_snapshot(context_, packet, scene);
    if (digest) event.evidence.push_back(*std::move(digest));
    if (!digest) facts["evidence_error"] = digest.error().message;
  }
  if (has_clip_) {
    evidence::ClipOrder order;
    order.about = about(event);
    order.from_us = packet.monotonic_us - std::llround(before_s_ * 1e6);
    order.until_us = packet.monotonic_us + std::llround(after_s_ * 1e6);
    auto id = context_.evidence == nullptr ? Result<std::string>(no_keeper())
                                           : context_.evidence->order_clip(context_.stream, std::move(order));
    if (id) facts["clip"] = *id;
    if (!id) facts["evidence_error"] = id.error().message;
  }
  event.extension_json = to_text(facts);
  return event;
}

}  // namespace verge::vision
