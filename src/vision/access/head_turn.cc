#include "vision/access/head_turn.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace verge::vision {
namespace {

constexpr std::size_t kUnknowns = 8;  // Of a homography.
using Equation = std::array<double, kUnknowns + 1>;

// A picture is called flat when its breadth shrank as a turn of 35 degrees makes it, and the nose did not lead.
constexpr double kTiltedBreadth = 0.82;
constexpr double kTiltedLeadMax = 0.08;
constexpr int kTiltedCount = 4;

Spot middle_of(const FacePoints& points) {
  Spot middle;
  for (const Spot& point : points) middle.x += point.x / kFacePointCount, middle.y += point.y / kFacePointCount;
  return middle;
}

/// What a face measures along the direction that turning does not shorten: from the eyes to the mouth.
double eyes_to_mouth(const FacePoints& points) {
  const Spot eyes{(points[right_eye].x + points[left_eye].x) / 2, (points[right_eye].y + points[left_eye].y) / 2};
  return distance(eyes, points[mouth]);
}

/// Moved to its middle, an eye distance (of a straight face: about as far as from eyes to mouth) long.
FacePoints normalised(const FacePoints& points) {
  const Spot middle = middle_of(points);
  const double unit = std::max(eyes_to_mouth(points), eye_distance(points));
  FacePoints moved;
  for (std::size_t i = 0; i < points.size(); ++i) {
    moved[i] = {(points[i].x - middle.x) / unit, (points[i].y - middle.y) / unit};
  }
  return moved;
}

/// Solves the normal equations by elimination with pivots; false when they have no one solution.
bool solve(std::array<Equation, kUnknowns>& rows, std::array<double, kUnknowns>& solution) {
  for (std::size_t column = 0; column < kUnknowns; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < kUnknowns; ++row) {
      if (std::abs(rows[row][column]) > std::abs(rows[pivot][column])) pivot = row;
    }
    if (std::abs(rows[pivot][column]) < 1e-12) return false;
    std::swap(rows[pivot], rows[column]);
    for (std::size_t row = 0; row < kUnknowns; ++row) {
      if (row == column) continue;
      const double factor = rows[row][column] / rows[column][column];
      for (std::size_t i = column; i <= kUnknowns; ++i) rows[row][i] -= factor * rows[column][i];
    }
  }
  for (std::size_t i = 0; i < kUnknowns; ++i) solution[i] = rows[i][kUnknowns] / rows[i][i];
  return true;
}

void add_equation(std::array<Equation, kUnknowns>& rows, const std::array<double, kUnknowns>& terms, double value) {
  for (std::size_t i = 0; i < kUnknowns; ++i) {
    for (std::size_t j = 0; j < kUnknowns; ++j) rows[i][j] += terms[i] * terms[j];
    rows[i][kUnknowns] += terms[i] * value;
  }
}

}  // namespace

std::optional<double> flat_residual(const FacePoints& source, const FacePoints& target) {
  const FacePoints from = normalised(source), to = normalised(target);
  std::array<Equation, kUnknowns> rows{};
  for (std::size_t i = 0; i < kFacePointCount; ++i) {
    const auto [x, y] = from[i];
    const auto [u, v] = to[i];
    add_equation(rows, {x, y, 1, 0, 0, 0, -u * x, -u * y}, u);
    add_equation(rows, {0, 0, 0, x, y, 1, -v * x, -v * y}, v);
  }
  std::array<double, kUnknowns> h{};
  if (!solve(rows, h)) return std::nullopt;
  double squares = 0;
  for (std::size_t i = 0; i < kFacePointCount; ++i) {
    const auto [x, y] = from[i];
    const double weight = h[6] * x + h[7] * y + 1;
    if (!(weight > 1e-6)) return std::numeric_limits<double>::infinity();  // No picture shows its back, too.
    const double across = (h[0] * x + h[1] * y + h[2]) / weight - to[i].x;
    const double down = (h[3] * x + h[4] * y + h[5]) / weight - to[i].y;
    squares += across * across + down * down;
  }
  constexpr double kFreedoms = 2.0 * kFacePointCount - kUnknowns;
  return std::sqrt(squares / kFreedoms);
}

bool HeadTurn::is_straight(const FacePoints& points, double straight_max) {
  const auto place = nose_place(points);
  return place && std::abs(place->across) <= straight_max;
}

HeadTurn::State HeadTurn::add(const FacePoints& points) {
  if (state_ == State::turned || state_ == State::flat) return state_;
  const auto place = nose_place(points);
  if (!place) return state_;
  if (state_ == State::straight) {
    if (std::abs(place->across) <= options_.straight_max) add_straight(points);
    return state_;
  }
  const double lead = (place->across - across_) * (side_ == Side::left ? 1 : -1);
  const bool was_aside =
      last_lead_ >= options_.lead_min && lead >= options_.lead_min;  // There a point's error is large.
  if (!was_aside && std::abs(lead - last_lead_) > options_.step_max) {
    // Another face, or another picture of it: what was seen before says nothing about it.
    straight_.clear();
    state_ = State::straight;
    turned_ = tilted_ = 0;
    last_lead_ = 0;
    return state_;
  }
  last_lead_ = lead;
  judge(points, lead);
  return state_;
}

void HeadTurn::add_straight(const FacePoints& points) {
  straight_.push_back(normalised(points));
  if (static_cast<int>(straight_.size()) < options_.straight_count) return;
  measure_ = {};
  const auto count = static_cast<double>(straight_.size());
  for (const FacePoints& each : straight_) {
    for (std::size_t i = 0; i < kFacePointCount; ++i) {
      measure_[i].x += each[i].x / count;
      measure_[i].y += each[i].y / count;
    }
  }
  const auto place = nose_place(measure_);
  straight_.clear();
  if (!place) return;
  across_ = place->across;
  breadth_ = eye_distance(measure_) / eyes_to_mouth(measure_);
  state_ = State::waiting;
}

void HeadTurn::judge(const FacePoints& points, double lead) {
  const auto residual = flat_residual(measure_, points);
  const bool is_turned = lead >= options_.lead_min && residual && *residual > options_.flat_max;
  turned_ = is_turned ? turned_ + 1 : 0;
  if (turned_ >= options_.turned_count) {
    state_ = State::turned;
    return;
  }
  const double breadth = eye_distance(points) / eyes_to_mouth(points);
  const bool is_tilted = breadth < kTiltedBreadth * breadth_ && std::abs(lead) < kTiltedLeadMax;
  tilted_ = is_tilted ? tilted_ + 1 : 0;
  if (tilted_ >= kTiltedCount) state_ = State::flat;
}

}  // namespace verge::vision
