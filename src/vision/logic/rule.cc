#include "vision/logic/rule.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/json.h"
#include "pipeline/nearest_word.h"
#include "pipeline/option_checks.h"
#include "vision/logic/evidence_wish.h"

namespace verge::vision {
namespace {

using pipeline::Packet;
using pipeline::Scene;

constexpr std::int64_t kMinuteUs = 60'000'000;

std::int64_t microseconds(double seconds) { return std::llround(seconds * 1e6); }

/// What the stage adds to the logic's options.
struct Telling {
  std::string type = "rule.fired", severity = "warning", explanation, when;
  bool tells_end = false;
};

/// "no helmet" becomes "No helmet."
std::string sentence_of(std::string name) {
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name + ".";
}

class RuleStage final : public pipeline::Stage {
 public:
  RuleStage(expression::Condition when, RuleOptions options, Telling telling, EvidenceWish wish,
            pipeline::Context context)
      : name_(options.name),
        telling_(std::move(telling)),
        logic_(std::move(when), std::move(options)),
        wish_(std::move(wish)),
        context_(std::move(context)),
        left_out_(context_.metrics->counter("verge_rule_left_out_total", "Events above the rule's limit per minute.",
                                            {{"stream", context_.stream}, {"rule", name_}})) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) {
      emit(packet);
      return Done{};
    }
    if (take_ != scene->frame->take) logic_.reset();
    take_ = scene->frame->take;
    const std::uint64_t left_out_before = logic_.left_out();
    VERGE_TRY(const auto changes, logic_.update(*scene, {packet.captured_us, packet.monotonic_us}));
    left_out_.add(logic_.left_out() - left_out_before);
    for (const RuleLogic::Change& change : changes) {
      if (change.is_end && !telling_.tells_end) continue;
      auto event = event_of(change, packet, *scene);
      if (!change.is_end) event = wish_.with_evidence(std::move(event), packet, *scene);
      emit(event_packet(packet, std::move(event)));
    }
    emit(marked(packet, scene, changes));
    return Done{};
  }

 private:
  contract::Event event_of(const RuleLogic::Change& change, const Packet& packet, const Scene& scene) const {
    auto event = scene_event(telling_.type + (change.is_end ? ".ended" : ""), name_, change.object, packet, scene,
                             change.began, context_);
    const double for_s = static_cast<double>(change.duration_us) / 1e6;
    if (change.object.track.empty()) event.region.reset();
    event.duration_us = change.duration_us;
    event.severity = change.is_end ? "info" : telling_.severity;
    event.explanation =
        change.is_end ? fmt::format("Over after {:.1f} s: {}", for_s, telling_.explanation) : telling_.explanation;
    Json extension{{"for_s", for_s}, {"take", scene.frame->take}, {"when", telling_.when}};
    const contract::Region* place = change.is_end ? nullptr : strangest_place(scene);
    if (place != nullptr) extension["strangest"] = {place->left, place->top, place->right, place->bottom};
    event.extension_json = to_text(extension);
    return event;
  }

  /// Where stage anomaly saw the picture differ most from good ones; null when it saw nothing, or does not look.
  static const contract::Region* strangest_place(const Scene& scene) {
    if (!scene.heat) return nullptr;
    const pipeline::Object* strangest = nullptr;
    for (const pipeline::Object& object : scene.objects) {
      if (object.label == "anomaly" && (strangest == nullptr || object.score > strangest->score)) strangest = &object;
    }
    return strangest != nullptr ? &strangest->box : nullptr;
  }

  /// The stages behind see what fired; nothing is copied when nothing did.
  Packet marked(const Packet& packet, const std::shared_ptr<const Scene>& scene,
                const std::vector<RuleLogic::Change>& changes) const {
    if (std::ranges::all_of(changes, &RuleLogic::Change::is_end)) return packet;
    auto copy = std::make_shared<Scene>(*scene);
    for (const RuleLogic::Change& change : changes) {
      if (!change.is_end) copy->fired.push_back({name_, change.object.track});
    }
    Packet out = packet;
    out.payload = std::shared_ptr<const Scene>(std::move(copy));
    return out;
  }

  const std::string name_;
  const Telling telling_;
  RuleLogic logic_;
  EvidenceWish wish_;
  pipeline::Context context_;
  Counter& left_out_;
  std::optional<std::uint32_t> take_;
};

struct ReadRule {
  expression::Condition when;
  RuleOptions options;
};

Result<ReadRule> read_rule(const Json& options) {
  VERGE_CHECK(pipeline::check_word(options, "per", {"object", "scene"}));
  VERGE_CHECK(pipeline::check_word(options, "severity", {"info", "warning", "alarm"}));
  VERGE_CHECK(pipeline::check_range(options, "for_s", 0, 86'400));
  VERGE_CHECK(pipeline::check_range(options, "gap_s", 0, 3'600));
  VERGE_CHECK(pipeline::check_range(options, "cool_down_s", 0, 86'400));
  VERGE_CHECK(pipeline::check_range(options, "per_minute_max", 1, 1'000));
  RuleOptions settings;
  settings.name = options["name"].get<std::string>();
  settings.is_about_objects = options["per"] == "object";
  settings.for_s = options["for_s"].get<double>();
  settings.gap_s = options["gap_s"].get<double>();
  settings.cool_down_s = options["cool_down_s"].get<double>();
  settings.per_minute_max = options["per_minute_max"].get<int>();
  if (options.contains("schedule")) {
    VERGE_TRY(settings.schedule, Schedule::read(options["schedule"]));
  }
  VERGE_TRY(auto when, expression::Condition::parse(options["when"].get<std::string>()));
  VERGE_CHECK(check_names(when, settings.is_about_objects));
  return ReadRule{std::move(when), std::move(settings)};
}

Error lacks(const std::string& rule, std::string_view what, const std::string& name, const pipeline::Provided& before) {
  std::vector<std::string> known;
  for (const auto& [kind, each] : before) {
    if (kind == what) known.push_back(each);
  }
  const std::string hint = what == "zone" && before.contains({"line", name}) ? "; that is a line"
                           : known.empty() ? fmt::format("; before it there is no {}", what)
                                           : pipeline::suggestion(name, known);
  return Error{ErrorCode::invalid_argument,
               fmt::format("rule \"{}\" asks for {} \"{}\", which no stage before it has{}", rule, what, name, hint)};
}

Status check_rule(const Json& options, const pipeline::Provided& before) {
  VERGE_TRY(const ReadRule rule, read_rule(options));
  const std::string& own_name = rule.options.name;
  const bool has_all_tracks = before.contains({"tracks", ""}) && !before.contains({"untracked", ""});
  if (rule.options.is_about_objects && !has_all_tracks) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("rule \"{}\" is about objects and needs stage track between them and itself", own_name)};
  }
  for (const auto& [what, name] : asked_in(rule.when)) {
    const bool is_own = what == "rule" && name == own_name;
    if (is_own || before.contains({what, name})) continue;
    if (what != "peopled") return lacks(own_name, what, name, before);
    if (!before.contains({"zone", name})) return lacks(own_name, "zone", name, before);
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("rule \"{}\" asks who stands in zone \"{}\", but no stage before that zone looks for objects; "
                    "put the zone behind detect (and track)",
                    own_name, name)};
  }
  return Done{};
}

Result<std::unique_ptr<pipeline::Stage>> make_rule(const Json& options, const pipeline::Context& context) {
  VERGE_TRY(auto rule, read_rule(options));
  Telling telling;
  telling.type = options["emit"].get<std::string>();
  telling.severity = options["severity"].get<std::string>();
  telling.tells_end = options["tells_end"].get<bool>();
  telling.explanation = options.value("explanation", std::string());
  if (telling.explanation.empty()) telling.explanation = sentence_of(rule.options.name);
  telling.when = rule.when.text();
  VERGE_TRY(EvidenceWish wish, EvidenceWish::read(options, context));
  return std::unique_ptr<pipeline::Stage>(std::make_unique<RuleStage>(std::move(rule.when), std::move(rule.options),
                                                                      std::move(telling), std::move(wish), context));
}

}  // namespace

void RuleLogic::reset() {
  subjects_.clear();
  facts_.reset();
}

Status RuleLogic::check(const Scene& scene) const {
  const bool has_all_tracks = std::ranges::none_of(scene.objects, &std::string::empty, &pipeline::Object::track);
  if (has_all_tracks || !options_.is_about_objects) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("rule \"{}\" is about objects and needs stage track before it", options_.name)};
}

Result<std::vector<RuleLogic::Change>> RuleLogic::update(const Scene& scene, Moment moment) {
  VERGE_CHECK(check(scene));
  moment_ = moment;
  facts_.update(scene, moment);
  std::vector<Change> changes;
  if (!options_.is_about_objects) {
    ask(subjects_[""], nullptr, changes);
  } else {
    for (const pipeline::Object& object : scene.objects) ask(subjects_[object.track], &object, changes);
  }
  for (auto& [track, subject] : subjects_) {
    const bool is_over = moment.monotonic_us - subject.true_us > microseconds(options_.gap_s);
    const bool is_gone = moment.monotonic_us - subject.seen_us > RuleFacts::kForgetUs;
    // Out of sight is not false: whoever is hidden for a moment comes back.
    if (subject.is_on && ((is_over && subject.seen_us == moment.monotonic_us) || is_gone)) end(subject, changes);
    if (is_over && !subject.is_on) subject.true_since.reset();
  }
  std::erase_if(subjects_,
                [&](const auto& entry) { return moment.monotonic_us - entry.second.seen_us > RuleFacts::kForgetUs; });
  for (const Change& change : changes) {
    if (!change.is_end) facts_.note(options_.name, change.object.track, moment.monotonic_us);
  }
  return changes;
}

void RuleLogic::ask(Subject& subject, const pipeline::Object* object, std::vector<Change>& changes) {
  subject.seen_us = moment_.monotonic_us;
  if (object != nullptr) subject.object = *object;
  if (options_.schedule && !options_.schedule->holds(moment_.captured_us)) return;
  if (!when_.is_true(RuleScope(facts_, object))) return;
  if (!subject.true_since) subject.true_since = moment_;
  subject.true_us = moment_.monotonic_us;
  const std::int64_t lasted_us = moment_.monotonic_us - subject.true_since->monotonic_us;
  const bool is_quiet = moment_.monotonic_us < subject.quiet_until_us;
  if (!subject.is_on && !is_quiet && lasted_us >= microseconds(options_.for_s)) begin(subject, changes);
}

void RuleLogic::begin(Subject& subject, std::vector<Change>& changes) {
  subject.is_on = true;
  subject.is_told = has_room();
  if (!subject.is_told) return;
  changes.push_back(
      {false, subject.object, *subject.true_since, moment_.monotonic_us - subject.true_since->monotonic_us});
}

void RuleLogic::end(Subject& subject, std::vector<Change>& changes) {
  subject.is_on = false;
  subject.quiet_until_us = moment_.monotonic_us + microseconds(options_.cool_down_s);
  if (subject.is_told) {
    changes.push_back({true, subject.object, *subject.true_since, subject.true_us - subject.true_since->monotonic_us});
  }
  subject.true_since.reset();
}

bool RuleLogic::has_room() {
  while (!told_us_.empty() && moment_.monotonic_us - told_us_.front() >= kMinuteUs) told_us_.pop_front();
  if (told_us_.size() >= static_cast<std::size_t>(options_.per_minute_max)) {
    ++left_out_;
    return false;
  }
  told_us_.push_back(moment_.monotonic_us);
  return true;
}

pipeline::Kind<pipeline::Stage> rule_kind() {
  const RuleOptions fallback;
  const Telling telling;
  return {
      .name = "rule",
      .where = "vision/logic/rule.h",
      .summary = "An event when a condition about objects or the scene holds.",
      .options = EvidenceWish::added_to(
          {{"name", "text", "Of the rule, as events bear it.", fallback.name},
           {"when", "text", "The condition: \"label = 'person' AND dwell.press > 2\"; docs/rules.md.", nullptr, true},
           {"per", "text", "object: asked about each tracked object; scene: about the whole.", "object"},
           {"for_s", "number", "The condition must hold for so long, seconds, 0..86400.", fallback.for_s},
           {"gap_s", "number", "False for less is a wobble, seconds, 0..3600.", fallback.gap_s},
           {"cool_down_s", "number", "Quiet about the same object after its end, seconds, 0..86400.",
            fallback.cool_down_s},
           {"per_minute_max", "integer", "More events are left out and counted, 1..1000.", fallback.per_minute_max},
           {"schedule", "object",
            "Only then: {days: [mon, fri], from: \"22:00\", to: \"06:00\"}, local time; default: always.", nullptr},
           {"emit", "text", "Type of the event.", telling.type},
           {"severity", "text", "info, warning or alarm.", telling.severity},
           {"tells_end", "flag", "Another event, TYPE.ended with the duration, when it is over.", telling.tells_end},
           {"explanation", "text", "A sentence for people; default: the name as one.", nullptr}}),
      .make = make_rule,
      .provide = [](const Json& options,
                    pipeline::Provided& provided) { provided.emplace("rule", options["name"].get<std::string>()); },
      .check = check_rule};
}

}  // namespace verge::vision
