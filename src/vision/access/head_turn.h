// vision/access/head_turn.h -- has the head turned as it was asked to, or is it a picture that is moved?
//
// The points of a flat picture move by one homography, however it is held, tilted or moved (Hartley and Zisserman 2004,
// section 2.3); so the nose keeps its place between the eyes. In a head the nose lies before the eyes and the ears
// behind them: turned by an angle, the nose goes ahead by its height times the tangent, and no homography fits. Both
// are asked: the nose must lead to the side that was asked for, in several looks in a row, and the best homography from
// the straight looks must leave the points by more than `flat_max`.
//
// What it cannot see: a screen that plays somebody turning his head to the side that is asked for, and a mask. It is a
// hurdle for photographs, no proof of life; docs/access.md.
//
// Threads: a HeadTurn is used by one thread at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "vision/access/face_points.h"

namespace verge::vision {

/// The person's own side: to his left the nose goes to the picture's right.
enum class Side : std::uint8_t { left, right };

struct HeadTurnOptions {
  double straight_max = 0.12;  ///< The nose is at most so far from the middle, eye distances; about 15 degrees.
  int straight_count = 3;      ///< Looks into the camera that are the measure of the rest.
  double lead_min = 0.18;      ///< The nose must go ahead so far, eye distances; about 22 degrees.
  int turned_count = 2;        ///< Looks in a row that show it.
  double flat_max = 0.09;      ///< A homography that leaves the points by less explains them, eye distances.
  double step_max = 0.3;       ///< Further from one look to the next is another picture, not a movement.
};

/// How far the best homography from one face to another leaves its points: root of the mean square over the four
/// degrees of freedom that are left, in eye distances of the target (as if it looked straight); infinite when it would
/// show a point from behind. Nothing when the source's points lie so that there is none.
std::optional<double> flat_residual(const FacePoints& source, const FacePoints& target);

class HeadTurn {
 public:
  enum class State : std::uint8_t {
    straight,  ///< Waits for looks into the camera.
    waiting,   ///< Has them; waits for the turn.
    turned,    ///< As asked. Final.
    flat,      ///< Was tilted as a picture is: final.
  };

  explicit HeadTurn(Side side, HeadTurnOptions options = {}) : side_(side), options_(options) {}
  /// The next look of the same face.
  State add(const FacePoints& points);
  State state() const { return state_; }
  Side side() const { return side_; }
  /// Whether these points look into the camera.
  static bool is_straight(const FacePoints& points, double straight_max);

 private:
  void add_straight(const FacePoints& points);
  void judge(const FacePoints& points, double lead);

  Side side_;
  HeadTurnOptions options_;
  State state_ = State::straight;
  std::vector<FacePoints> straight_;  ///< The latest straight_count.
  FacePoints measure_{};              ///< Their middle.
  double across_ = 0, breadth_ = 0;   ///< Of the measure: the nose's place; eyes' distance per eyes-to-mouth.
  double last_lead_ = 0;
  int turned_ = 0, tilted_ = 0;
};

}  // namespace verge::vision
