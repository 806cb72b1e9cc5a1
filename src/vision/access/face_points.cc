#include "vision/access/face_points.h"

#include <cmath>

namespace verge::vision {

double distance(Spot a, Spot b) { return std::hypot(a.x - b.x, a.y - b.y); }

std::optional<FacePoints> face_points(const pipeline::Object& face, int width, int height) {
  if (face.keypoints.size() != kFacePointCount) return std::nullopt;
  FacePoints points;
  for (std::size_t i = 0; i < kFacePointCount; ++i) {
    const pipeline::Keypoint& point = face.keypoints[i];
    points[i] = {static_cast<double>(point.x) * width, static_cast<double>(point.y) * height};
    if (!std::isfinite(points[i].x) || !std::isfinite(points[i].y)) return std::nullopt;
  }
  if (eye_distance(points) < 1) return std::nullopt;
  return points;
}

std::optional<NosePlace> nose_place(const FacePoints& points) {
  const Spot middle{(points[right_eye].x + points[left_eye].x) / 2, (points[right_eye].y + points[left_eye].y) / 2};
  const Spot eyes{points[left_eye].x - points[right_eye].x, points[left_eye].y - points[right_eye].y};
  const Spot down{points[mouth].x - middle.x, points[mouth].y - middle.y};
  const Spot tip{points[nose].x - middle.x, points[nose].y - middle.y};
  const double area = eyes.x * down.y - eyes.y * down.x;
  if (std::abs(area) < 0.05 * (eyes.x * eyes.x + eyes.y * eyes.y)) return std::nullopt;
  return NosePlace{(tip.x * down.y - tip.y * down.x) / area, (eyes.x * tip.y - eyes.y * tip.x) / area};
}

}  // namespace verge::vision
