// vision/access/face_points.h -- the six points of a face that a detector gives, and where the nose lies between them.
//
// Threads: values and pure functions.
#pragma once

#include <array>
#include <optional>

#include "pipeline/packet.h"

namespace verge::vision {

/// In the order of the face detector's card; right and left are the person's own.
enum FacePoint : std::uint8_t { right_eye, left_eye, nose, mouth, right_ear, left_ear };
inline constexpr std::size_t kFacePointCount = 6;

struct Spot {
  double x = 0, y = 0;
};
/// Pixels, x right, y down.
using FacePoints = std::array<Spot, kFacePointCount>;

/// Nothing when the object has other points than these six, or the eyes lie on each other.
std::optional<FacePoints> face_points(const pipeline::Object& face, int width, int height);

double distance(Spot a, Spot b);
/// Pixels between the eyes: how large a face is, whatever box a detector draws around it.
inline double eye_distance(const FacePoints& points) { return distance(points[right_eye], points[left_eye]); }

/// The nose in the directions of the eyes and of the mouth. A flat picture keeps both, however it is held (nearly: but
/// for what is nearer appearing larger); in a head the nose is before the others and moves when it turns.
struct NosePlace {
  double across = 0;  ///< Eye distances from the middle of the eyes towards the left eye; 0: it looks into the camera.
  double down = 0;    ///< Parts of the way from the eyes' middle to the mouth; about 0.55 straight on.
};
/// Nothing when eyes and mouth lie on one line.
std::optional<NosePlace> nose_place(const FacePoints& points);

}  // namespace verge::vision
