#include "vision/access/access_stage.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/guarded.h"
#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/access/admission.h"
#include "vision/access/door.h"
#include "vision/access/enrolment.h"
#include "vision/access/false_accept.h"
#include "vision/access/galleries.h"
#include "vision/logic/evidence_wish.h"

namespace verge::vision {
namespace {

using pipeline::MethodReply;
using pipeline::Object;
using pipeline::Packet;
using pipeline::Scene;

constexpr double kEnrolSecondsMax = 120;
constexpr std::chrono::milliseconds kFirstCountPatience{3'000};  // Some hundred people, before the first picture.
constexpr std::chrono::milliseconds kCheckPatience{1'000};       // Others wait behind an answer.

struct AccessOptions {
  Gallery::Place place;
  DoorOptions door;
  std::optional<double> false_accept;  ///< A promise instead of a threshold.
  EnrolmentOptions enrolment;
};

/// An enrolment that a method asked for.
struct Order {
  std::string name, when;
  double seconds = 0;
  bool may_be_alike = false;  ///< To somebody else who is enrolled.
};

MethodReply says(int status, std::string message) { return {status, {{"message", std::move(message)}}}; }
MethodReply says(const Error& error) { return says(http_status_of(error.code), error.message); }

std::string words_of_reason(const DoorNews& news) {
  if (news.reason == kUnknown) return "nobody who is enrolled";
  if (news.reason == kUnsure) return "two of the enrolled are alike";
  if (news.reason == kOutsideHours) return fmt::format("{}, who may not come in now", news.person);
  if (news.reason == kNotLive) return fmt::format("like {}, but {}", news.person, news.detail);
  if (news.reason == kMovesFlat) return fmt::format("like {}, but it moves as a flat picture does", news.person);
  if (news.reason == kOtherFace) return fmt::format("like {} at first, then another face", news.person);
  if (news.reason == kTooPoor) return fmt::format("no good look at the face: {}", news.detail);
  if (news.reason == kNobodyEnrolled) return "nobody is enrolled";
  return news.detail;
}

class AccessStage final : public pipeline::Stage {
 public:
  AccessStage(AccessOptions options, std::shared_ptr<Gallery> gallery, EvidenceWish wish, pipeline::Context context)
      : options_(std::move(options)),
        gallery_(std::move(gallery)),
        door_(options_.door, [] { return (random_bytes(1)[0] & 1) != 0; }),
        wish_(std::move(wish)),
        context_(std::move(context)),
        left_out_(context_.metrics->counter("verge_access_left_out_total",
                                            "Denials and challenges above the limit per minute.",
                                            {{"stream", context_.stream}})) {
    if (options_.false_accept) refusal_ = "the enrolled are still being compared with each other; wait some seconds";
    add_methods();
  }

  Status open() override {
    judge(gallery_->people(), kFirstCountPatience);
    return Done{};
  }

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (scene && scene->frame) {
      if (take_ != scene->frame->take) door_.reset();
      take_ = scene->frame->take;
      if (!is_enrolling(packet, *scene, emit)) watch(packet, *scene, emit);
    }
    emit(packet);
    return Done{};
  }

 private:
  // ---- the door ----

  void watch(const Packet& packet, const Scene& scene, const pipeline::Emit& emit) {
    const auto people = gallery_->people();
    const Moment moment{packet.captured_us, packet.monotonic_us};
    const auto closed = why_closed(people, scene);
    const std::uint64_t left_out_before = door_.left_out();
    const std::vector<DoorNews> every = door_.update(looks_of(scene), *people, moment, closed);
    left_out_.add(door_.left_out() - left_out_before);
    for (const DoorNews& news : every) {
      const auto face = std::ranges::find(scene.objects, news.track, &Object::track);
      if (face == scene.objects.end()) continue;
      auto event = scene_event(type_of(news.kind), options_.door.name, *face, packet, scene, moment, context_);
      describe(news, event);
      emit(event_packet(packet, wish_.with_evidence(std::move(event), packet, scene)));
    }
  }

  std::vector<DoorLook> looks_of(const Scene& scene) const {
    std::vector<DoorLook> looks;
    for (const Object& object : scene.objects) {
      if (object.label != "face" || object.track.empty()) continue;
      // Others may stand beside him: each is a visitor.
      looks.push_back({.track = object.track,
                       .face = object.embedding.get(),
                       .points = face_points(object, scene.frame->width, scene.frame->height),
                       .quality = face_quality(*scene.frame, {object}, &object, options_.enrolment.quality)});
    }
    return looks;
  }

  /// Why nobody is let in; sets the threshold when a promise is what it follows from.
  std::optional<Door::Closed> why_closed(const std::shared_ptr<const Gallery::People>& people, const Scene& scene) {
    if (people->empty()) return std::nullopt;
    if (!scene.embedder || *scene.embedder != people->front().model) {
      return Door::Closed{
          kOtherModel, fmt::format("the enrolled were described by model {}, faces are now by {}; use that model, or "
                                   "enrol everybody anew",
                                   people->front().model, scene.embedder ? *scene.embedder : "none")};
    }
    judge(people, std::chrono::milliseconds(0));
    if (refusal_.empty()) return std::nullopt;
    return Door::Closed{kNotPromised, refusal_};
  }

  /// Whether these people support the promise, and by which threshold. Nothing changes while they are being compared.
  void judge(const std::shared_ptr<const Gallery::People>& people, std::chrono::milliseconds patience) {
    if (!options_.false_accept || people->empty() || judged_.lock() == people) return;
    const auto pairs = gallery_->pair_counter().count(people, patience);
    if (!pairs) return;
    judged_ = people;
    const auto bound = threshold_for(*pairs, *options_.false_accept);
    refusal_ = bound ? std::string() : bound.error().message;
    if (bound) door_.set_threshold(bound->threshold);
  }

  static std::string type_of(DoorNews::Kind kind) {
    if (kind == DoorNews::Kind::granted) return "access.granted";
    return kind == DoorNews::Kind::denied ? "access.denied" : "access.challenge";
  }

  void describe(const DoorNews& news, contract::Event& event) const {
    event.label = news.person.empty() ? "face" : news.person;
    event.score = std::clamp(news.similarity, 0.0, 1.0);
    if (news.kind == DoorNews::Kind::granted) {
      event.explanation = fmt::format("{} may come in.", news.person);
      event.extension_json = to_text(Json{{"threshold", door_.threshold()}});
    } else if (news.kind == DoorNews::Kind::challenge) {
      const char* side = news.side == Side::left ? "left" : "right";
      event.explanation = fmt::format("Turn the head to your {}, then look into the camera again.", side);
      event.extension_json = to_text(Json{{"side", side}, {"limit_s", options_.door.turn_s}});
    } else {
      event.severity = "warning";
      event.explanation = fmt::format("Not let in: {}.", words_of_reason(news));
      event.extension_json = to_text(Json{{"reason", news.reason}, {"detail", news.detail}});
    }
  }

  // ---- enrolling ----

  bool is_enrolling(const Packet& packet, const Scene& scene, const pipeline::Emit& emit) {
    if (!enrolment_) {
      order_.with([&](std::optional<Order>& order) {
        if (order) enrolment_.emplace(options_.enrolment);
      });
      if (!enrolment_) return false;
      enrolment_since_us_ = packet.monotonic_us;
      door_.reset();
    }
    enrolment_->add(*scene.frame, scene.objects);
    const Order order = order_.with([](const std::optional<Order>& asked) { return *asked; });
    if (static_cast<double>(packet.monotonic_us - enrolment_since_us_) < order.seconds * 1e6) return true;
    finish_enrolment(order, packet, scene, emit);
    enrolment_.reset();
    order_.with([](std::optional<Order>& asked) { asked.reset(); });
    return true;
  }

  Result<Person> enrol(const Order& order, const Scene& scene) {
    if (!scene.embedder) {
      return Error{ErrorCode::invalid_argument, "the pipeline's stage `faces` has no embedding model; give it `embed`"};
    }
    Person person;
    person.name = order.name;
    person.when = order.when;
    person.model = *scene.embedder;
    person.enrolled_us = context_.clock != nullptr ? context_.clock->now_us() : 0;
    VERGE_TRY(person.looks, enrolment_->finish());
    if (order.may_be_alike) return gallery_->enrol(std::move(person));
    return gallery_->enrol(std::move(person), door_.threshold());
  }

  void finish_enrolment(const Order& order, const Packet& packet, const Scene& scene, const pipeline::Emit& emit) {
    const auto person = enrol(order, scene);
    const Moment moment{packet.captured_us, packet.monotonic_us};
    auto event = scene_event(person ? "access.enrolled" : "access.enrolment_failed", options_.door.name, Object{},
                             packet, scene, moment, context_);
    event.region.reset();
    event.label = order.name;
    Json facts = enrolment_->report();
    if (person) facts["looks"] = person->looks.size();
    event.extension_json = to_text(facts);
    if (!person) event.severity = "warning";
    event.explanation = person ? fmt::format("{} is enrolled with {} looks.", order.name, person->looks.size())
                               : fmt::format("{} is not enrolled: {}.", order.name, person.error().message);
    emit(event_packet(packet, std::move(event)));
  }

  // ---- methods ----

  void add_methods() {
    if (!context_.add_method) return;
    context_.add_method("access.enrol", [this](const Json& parameters) { return order_enrolment(parameters); });
    context_.add_method("access.list", [this](const Json&) { return list(); });
    context_.add_method("access.remove", [this](const Json& parameters) { return remove(parameters); });
    context_.add_method("access.check", [this](const Json&) { return check(); });
  }

  MethodReply order_enrolment(const Json& parameters) {
    Order order;
    auto name = string_member(parameters, "name");
    auto when = string_member(parameters, "when");
    const auto seconds = number_member(parameters, "seconds", 10);
    if (!name) return says(name.error());
    if (!when) return says(when.error());
    if (!seconds) return says(seconds.error());
    const Json also = parameters.value("also", Json(false));
    if (!also.is_boolean()) return says(400, "also is true or false");
    if (!(*seconds >= 1 && *seconds <= kEnrolSecondsMax)) {
      return says(400, fmt::format("seconds is {}; give 1 to {}", *seconds, kEnrolSecondsMax));
    }
    if (name->empty()) return says(400, "name is missing: who stands before the camera?");
    if (const auto admission = Admission::read(*when); !admission) return says(admission.error());
    if (std::ranges::find(*gallery_->people(), *name, &Person::name) != gallery_->people()->end()) {
      return says(409, fmt::format("\"{}\" is enrolled already; remove him first, or take another name", *name));
    }
    order = {*std::move(name), *std::move(when), *seconds, also.get<bool>()};
    const bool is_taken = order_.with([&](std::optional<Order>& asked) {
      if (asked) return false;
      asked = order;
      return true;
    });
    if (!is_taken)
      return says(409, "somebody is being enrolled at this door; wait for the event that tells how it went");
    return {202, {{"enrolling", order.name}, {"seconds", order.seconds}}};
  }

  MethodReply list() const {
    Json people = Json::array();
    for (const Person& person : *gallery_->people()) {
      people.push_back({{"name", person.name},
                        {"looks", person.looks.size()},
                        {"enrolled", to_iso8601(person.enrolled_us)},
                        {"when", person.when}});
    }
    return {200, {{"people", std::move(people)}}};
  }

  MethodReply remove(const Json& parameters) {
    const auto name = string_member(parameters, "name");
    if (!name) return says(name.error());
    if (const Status removed = gallery_->remove(*name); !removed) return says(removed.error());
    return {200, {{"removed", *name}}};
  }

  MethodReply check() const {
    const auto people = gallery_->people();
    const auto counted = gallery_->pair_counter().count(people, kCheckPatience);
    if (!counted) return says(202, fmt::format("{} people are being compared; ask again", people->size()));
    const Pairs& pairs = *counted;
    if (!options_.false_accept) return {200, to_json(pairs, bound_of(pairs, options_.door.match.threshold))};
    const auto bound = threshold_for(pairs, *options_.false_accept);
    Json answer = to_json(pairs, bound ? *bound : bound_of(pairs, options_.door.match.threshold));
    if (!bound) answer["promise"] = bound.error().message;
    return {200, std::move(answer)};
  }

  AccessOptions options_;
  std::shared_ptr<Gallery> gallery_;
  Door door_;
  EvidenceWish wish_;
  pipeline::Context context_;
  Counter& left_out_;
  std::optional<std::uint32_t> take_;
  std::weak_ptr<const Gallery::People> judged_;  ///< For whom the promise was judged; weak, so that who goes is gone.
  std::string refusal_;                          ///< Why nobody is let in; empty: the promise is kept.
  Guarded<std::optional<Order>> order_;
  std::optional<Enrolment> enrolment_;  ///< While the order is carried out.
  std::int64_t enrolment_since_us_ = 0;
};

Result<AccessOptions> read_options(const Json& options, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_word(options, "liveness", {"none", "turn"}));
  VERGE_CHECK(pipeline::check_range(options, "threshold", 0.1, 0.999));
  VERGE_CHECK(pipeline::check_range(options, "margin", 0, 1));
  VERGE_CHECK(pipeline::check_range(options, "looks", 1, 50));
  VERGE_CHECK(pipeline::check_range(options, "eyes_min", 8, 1000));
  for (const char* seconds : {"decide_s", "turn_s", "hold_off_s"})
    VERGE_CHECK(pipeline::check_range(options, seconds, 0.1, 3600));
  AccessOptions settings;
  settings.place.folder = context.folder / options["gallery"].get<std::string>();
  VERGE_TRY(const std::string keyring, string_member(options, "keyring"));
  if (!keyring.empty()) settings.place.keyring = context.folder / keyring;
  VERGE_TRY(const std::string name, string_member(options, "door"));
  settings.door.name = name.empty() ? context.stream : name;
  settings.door.match = {options["threshold"].get<double>(), options["margin"].get<double>()};
  settings.door.asks_turn = options["liveness"] == "turn";
  settings.door.looks = options["looks"].get<int>();
  settings.door.decide_s = options["decide_s"].get<double>();
  settings.door.turn_s = options["turn_s"].get<double>();
  settings.door.hold_off_s = options["hold_off_s"].get<double>();
  settings.enrolment.quality.eyes_min = options["eyes_min"].get<double>();
  if (options.contains("false_accept") && !options["false_accept"].is_null()) {
    VERGE_CHECK(pipeline::check_range(options, "false_accept", 1e-6, 0.5));
    settings.false_accept = options["false_accept"].get<double>();
  }
  return settings;
}

}  // namespace

pipeline::Kind<pipeline::Stage> access_kind() {
  const DoorOptions fallback;
  const auto galleries = std::make_shared<Galleries>(system_disk());  // Doors of one program share their gallery.
  return {
      .name = "access",
      .where = "vision/access/access_stage.h",
      .summary = "Opens a door for whom it knows; docs/access.md.",
      .options = EvidenceWish::added_to(
          {{"gallery", "path", "Folder of the enrolled, relative to the pipeline file; made when it is not there.",
            nullptr, true},
           {"keyring", "path", "File of their keys; default: the folder's name with .keys behind it.", nullptr},
           {"door", "text", "As schedules and events name it; default: the stream's name.", nullptr},
           {"threshold", "number", "From this similarity on it is the same person, 0.1..0.999.",
            fallback.match.threshold},
           {"false_accept", "number",
            "Instead: at most so many strangers per comparison, 1e-6..0.5; nobody is let in while the enrolled do not "
            "support it.",
            nullptr},
           {"margin", "number", "The second most alike must be so much less alike, 0..1.", fallback.match.margin},
           {"liveness", "text", "none, or turn: asks to turn the head.", "none"},
           {"looks", "integer", "Good looks that a decision needs, 1..50.", fallback.looks},
           {"eyes_min", "number", "Pixels between the eyes; smaller faces are passers-by.",
            FaceQualityOptions{}.eyes_min},
           {"decide_s", "number", "Without good looks for so long: denied, seconds.", fallback.decide_s},
           {"turn_s", "number", "Time to turn the head and look back, seconds.", fallback.turn_s},
           {"hold_off_s", "number", "Until the same is told again, seconds.", fallback.hold_off_s}}),
      .make = [galleries](const Json& options,
                          const pipeline::Context& context) -> Result<std::unique_ptr<pipeline::Stage>> {
        VERGE_TRY(AccessOptions settings, read_options(options, context));
        VERGE_TRY(EvidenceWish wish, EvidenceWish::read(options, context));
        VERGE_TRY(auto gallery, galleries->open(settings.place));
        return std::unique_ptr<pipeline::Stage>(
            std::make_unique<AccessStage>(std::move(settings), std::move(gallery), std::move(wish), context));
      }};
}

}  // namespace verge::vision
