// vision/access/door.h -- who may come in, from looks at the faces before a door: the logic without threads and clocks.
//
// A visitor is a tracked face. His first `looks` good looks make one face (their middle), which is compared once: more
// looks do not give a stranger more chances. Then he is granted, denied with a reason, or, where a turn is asked for,
// challenged: to turn his head to a side that is drawn by lot, and to look into the camera again. After a denial he is
// heard again when `hold_off_s` is over; after a grant he is not told again while he stays, nor, on another track,
// within `hold_off_s`. Faces too small to be at the door are passers-by and raise nothing.
//
// Threads: a Door is used by one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vision/access/face_points.h"
#include "vision/access/face_quality.h"
#include "vision/access/head_turn.h"
#include "vision/access/matching.h"
#include "vision/logic/scene_event.h"

namespace verge::vision {

struct DoorOptions {
  std::string name;  ///< As schedules ask for it.
  MatchOptions match;
  bool asks_turn = false;   ///< Challenges with a turn of the head.
  int looks = 3;            ///< Good looks that a decision needs, 1..50.
  double decide_s = 4;      ///< Without them after so long: too poor.
  double turn_s = 8;        ///< Time to turn and look back.
  double hold_off_s = 10;   ///< Until the same is told again.
  double rearm_s = 2;       ///< A face unseen for longer has gone.
  int per_minute_max = 30;  ///< Denials and challenges; more are left out and counted.
  double agree_min = 0.6;   ///< Of a visitor's looks with their middle; else it is not one face.
  std::size_t visitors_max = 64;
};

/// Reasons of a denial, as events name them.
inline constexpr std::string_view kUnknown = "unknown", kUnsure = "unsure", kOutsideHours = "outside_hours",
                                  kNotLive = "not_live", kMovesFlat = "moves_like_a_picture",
                                  kOtherFace = "another_face", kTooPoor = "too_poor",
                                  kNobodyEnrolled = "nobody_enrolled", kOtherModel = "other_model",
                                  kNotPromised = "promise_not_supported";

/// A face in the newest picture.
struct DoorLook {
  std::string track{};
  const Embedding* face = nullptr;  ///< Null: not described.
  std::optional<FacePoints> points;
  FaceQuality quality;
};

struct DoorNews {
  enum class Kind : std::uint8_t { granted, denied, challenge };
  Kind kind = Kind::denied;
  std::string track{};
  std::string_view reason{};  ///< Of a denial.
  std::string detail{};       ///< Of a denial: what was poor, or why nobody is let in.
  std::string person{};       ///< The name of who was recognised; empty: nobody.
  double similarity = 0;      ///< To the most alike; 0 when nobody was compared.
  Side side = Side::left;     ///< Of a challenge.
};

class Door {
 public:
  /// Why nobody is let in, whoever it is.
  struct Closed {
    std::string_view reason{};
    std::string detail{};
  };
  /// draw_left  decides each challenge's side
  Door(DoorOptions options, std::function<bool()> draw_left)
      : options_(std::move(options)), draw_left_(std::move(draw_left)) {}

  /// What is news with this picture. Times must not go back.
  std::vector<DoorNews> update(const std::vector<DoorLook>& looks, const std::vector<Person>& people, Moment moment,
                               const std::optional<Closed>& closed);
  /// For decisions from now on.
  void set_threshold(double threshold) { options_.match.threshold = threshold; }
  double threshold() const { return options_.match.threshold; }
  /// Denials and challenges that were left out because there were more than per_minute_max.
  std::uint64_t left_out() const { return left_out_; }
  /// Forgets who stands there.
  void reset() { visitors_.clear(); }

 private:
  enum class Stand : std::uint8_t { gathering, challenged, turned, denied, granted };
  struct Visitor {
    Stand stand = Stand::gathering;
    std::int64_t since_us = 0;  ///< In this stand.
    std::int64_t seen_us = 0;
    std::vector<Embedding> faces{};
    std::string problem{};    ///< Of the latest look that was not good enough.
    std::string person_id{};  ///< Who is challenged.
    double similarity = 0;
    std::optional<HeadTurn> turn{};
    int strangers = 0;  ///< Looks in a row, while challenged, that were not his.
  };
  struct Picture {
    const std::vector<Person>& people;
    Moment moment;
    const std::optional<Closed>& closed;
    std::vector<DoorNews>& news;
  };

  void gather(Visitor& visitor, const DoorLook& look, const Picture& picture);
  void decide(Visitor& visitor, const DoorLook& look, const Picture& picture);
  void challenge(Visitor& visitor, const DoorLook& look, const Person& person, const Picture& picture);
  void follow_challenge(Visitor& visitor, const DoorLook& look, const Picture& picture);
  void grant(Visitor& visitor, const std::string& track, const Person& person, const Picture& picture);
  void deny(Visitor& visitor, DoorNews news, const Picture& picture);
  bool has_room(std::int64_t monotonic_us);

  DoorOptions options_;
  std::function<bool()> draw_left_;
  std::map<std::string, Visitor> visitors_;         ///< By track.
  std::map<std::string, std::int64_t> granted_us_;  ///< By person's id, within hold_off_s.
  std::deque<std::int64_t> told_us_;                ///< Of the last minute.
  std::uint64_t left_out_ = 0;
};

}  // namespace verge::vision
