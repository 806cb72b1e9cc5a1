#include "vision/access/door.h"

#include <algorithm>

#include "vision/access/admission.h"

namespace verge::vision {
namespace {

constexpr int kStrangersMax = 2;
// Of the similarity that decides: a single look, and one with the head on its way, is less like than the middle of
// several.
constexpr double kOneLookLess = 0.1;

double since_s(std::int64_t from_us, Moment moment) { return static_cast<double>(moment.monotonic_us - from_us) / 1e6; }

const Person* find_person(const std::vector<Person>& people, const std::string& id) {
  const auto at = std::ranges::find(people, id, &Person::id);
  return at == people.end() ? nullptr : &*at;
}

bool may_come(const Person& person, Moment moment, const std::string& door) {
  const auto admission = Admission::read(person.when);
  return admission && admission->allows(moment.captured_us, door);
}

}  // namespace

std::vector<DoorNews> Door::update(const std::vector<DoorLook>& looks, const std::vector<Person>& people, Moment moment,
                                   const std::optional<Closed>& closed) {
  std::vector<DoorNews> news;
  const Picture picture{people, moment, closed, news};
  std::erase_if(granted_us_,
                [&](const auto& granted) { return since_s(granted.second, moment) > options_.hold_off_s; });
  for (const DoorLook& look : looks) {
    const bool is_far = std::ranges::find(look.quality.problems, kTooSmall) != look.quality.problems.end();
    auto at = visitors_.find(look.track);
    if (at == visitors_.end()) {
      if (is_far || look.track.empty() || visitors_.size() >= options_.visitors_max) continue;
      at = visitors_.emplace(look.track, Visitor{}).first;
      at->second.since_us = moment.monotonic_us;
    }
    Visitor& visitor = at->second;
    visitor.seen_us = moment.monotonic_us;
    if (visitor.stand == Stand::denied && since_s(visitor.since_us, moment) >= options_.hold_off_s) {
      visitor = Visitor{.since_us = moment.monotonic_us, .seen_us = moment.monotonic_us};
    }
    if (visitor.stand == Stand::granted) granted_us_[visitor.person_id] = moment.monotonic_us;  // He is still there.
    if (visitor.stand == Stand::gathering) {
      gather(visitor, look, picture);
    } else if (visitor.stand == Stand::challenged || visitor.stand == Stand::turned) {
      follow_challenge(visitor, look, picture);
    }
  }
  std::erase_if(visitors_, [&](const auto& each) { return since_s(each.second.seen_us, moment) > options_.rearm_s; });
  return news;
}

void Door::gather(Visitor& visitor, const DoorLook& look, const Picture& picture) {
  if (look.quality.is_good() && look.face != nullptr) {
    visitor.faces.push_back(*look.face);
    if (static_cast<int>(visitor.faces.size()) >= options_.looks) {
      const Embedding middle = middle_of(visitor.faces);
      const auto agrees = [&](const Embedding& face) { return similarity(face, middle) >= options_.agree_min; };
      if (std::ranges::all_of(visitor.faces, agrees)) {
        visitor.faces = {middle};
        decide(visitor, look, picture);
        return;
      }
      visitor.faces.clear();
      visitor.problem = "its looks are not of one face";
    }
  } else if (!look.quality.is_good()) {
    visitor.problem = look.quality.problems.front();
  }
  if (since_s(visitor.since_us, picture.moment) < options_.decide_s) return;
  deny(visitor, {.track = look.track, .reason = kTooPoor, .detail = visitor.problem}, picture);
}

void Door::decide(Visitor& visitor, const DoorLook& look, const Picture& picture) {
  DoorNews denial{.track = look.track};
  if (picture.closed) {
    denial.reason = picture.closed->reason;
    denial.detail = picture.closed->detail;
    deny(visitor, std::move(denial), picture);
    return;
  }
  const Match found = match(picture.people, visitor.faces.front(), options_.match);
  if (found.best != nullptr) denial.similarity = visitor.similarity = found.best_similarity;
  if (found.kind == MatchKind::known) {
    denial.person = found.best->name;
    denial.reason = kOutsideHours;
    if (!may_come(*found.best, picture.moment, options_.name)) {
      deny(visitor, std::move(denial), picture);
    } else if (options_.asks_turn && !granted_us_.contains(found.best->id)) {
      challenge(visitor, look, *found.best, picture);
    } else {
      grant(visitor, look.track, *found.best, picture);
    }
    return;
  }
  denial.reason = found.kind == MatchKind::nobody   ? kNobodyEnrolled
                  : found.kind == MatchKind::unsure ? kUnsure
                                                    : kUnknown;
  deny(visitor, std::move(denial), picture);
}

void Door::challenge(Visitor& visitor, const DoorLook& look, const Person& person, const Picture& picture) {
  if (!has_room(picture.moment.monotonic_us)) return;
  visitor.stand = Stand::challenged;
  visitor.since_us = picture.moment.monotonic_us;
  visitor.person_id = person.id;
  visitor.turn.emplace(draw_left_() ? Side::left : Side::right);
  picture.news.push_back({.kind = DoorNews::Kind::challenge,
                          .track = look.track,
                          .person = person.name,
                          .similarity = visitor.similarity,
                          .side = visitor.turn->side()});
}

void Door::follow_challenge(Visitor& visitor, const DoorLook& look, const Picture& picture) {
  const Person* person = find_person(picture.people, visitor.person_id);
  DoorNews denial{.track = look.track, .reason = kNotLive, .similarity = visitor.similarity};
  if (person == nullptr || picture.closed) {  // Removed meanwhile.
    denial.reason = kUnknown;
    deny(visitor, std::move(denial), picture);
    return;
  }
  denial.person = person->name;
  const bool is_straight = look.quality.is_good() && look.face != nullptr;
  if (is_straight) {
    const bool is_his = similarity(*person, *look.face) >= options_.match.threshold - kOneLookLess;
    visitor.strangers = is_his ? 0 : visitor.strangers + 1;
    if (visitor.strangers >= kStrangersMax) {
      denial.reason = kOtherFace;
      deny(visitor, std::move(denial), picture);
      return;
    }
    if (is_his && visitor.stand == Stand::turned) {
      grant(visitor, look.track, *person, picture);
      return;
    }
  }
  if (visitor.stand == Stand::challenged && look.points) {
    const HeadTurn::State state = visitor.turn->add(*look.points);
    if (state == HeadTurn::State::turned) visitor.stand = Stand::turned;
    if (state == HeadTurn::State::flat) {
      denial.reason = kMovesFlat;
      deny(visitor, std::move(denial), picture);
      return;
    }
  }
  if (since_s(visitor.since_us, picture.moment) < options_.turn_s) return;
  denial.detail = visitor.stand == Stand::turned ? "did not look into the camera again" : "did not turn as asked";
  deny(visitor, std::move(denial), picture);
}

void Door::grant(Visitor& visitor, const std::string& track, const Person& person, const Picture& picture) {
  visitor.stand = Stand::granted;
  visitor.person_id = person.id;
  visitor.since_us = picture.moment.monotonic_us;
  visitor.faces.clear();
  const bool is_news = !granted_us_.contains(person.id);
  granted_us_[person.id] = picture.moment.monotonic_us;
  if (!is_news) return;
  picture.news.push_back(
      {.kind = DoorNews::Kind::granted, .track = track, .person = person.name, .similarity = visitor.similarity});
}

void Door::deny(Visitor& visitor, DoorNews news, const Picture& picture) {
  visitor.stand = Stand::denied;
  visitor.since_us = picture.moment.monotonic_us;
  visitor.faces.clear();
  if (has_room(picture.moment.monotonic_us)) picture.news.push_back(std::move(news));
}

bool Door::has_room(std::int64_t monotonic_us) {
  constexpr std::int64_t kMinuteUs = 60'000'000;
  while (!told_us_.empty() && monotonic_us - told_us_.front() >= kMinuteUs) told_us_.pop_front();
  if (static_cast<int>(told_us_.size()) >= options_.per_minute_max) {
    ++left_out_;
    return false;
  }
  told_us_.push_back(monotonic_us);
  return true;
}

}  // namespace verge::vision
