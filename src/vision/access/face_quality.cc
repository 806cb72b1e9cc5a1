#include "vision/access/face_quality.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <numbers>

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::Object;

constexpr int kFaceSide = 64;

double box_area(const contract::Region& box) { return (box.right - box.left) * (box.bottom - box.top); }

/// 0..255, whatever the format; chroma does not matter.
double brightness_at(const Frame& frame, int x, int y) {
  const std::uint8_t* row = frame.planes[0] + static_cast<std::ptrdiff_t>(y) * frame.strides[0];
  if (frame.format == pipeline::PixelFormat::rgb24) {
    const std::uint8_t* pixel = row + static_cast<std::ptrdiff_t>(x) * 3;
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
  }
  const double value = row[x];
  const bool is_television = frame.format == pipeline::PixelFormat::yuv420 && !frame.is_full_range;
  return is_television ? std::clamp((value - 16) * 255 / 219, 0.0, 255.0) : value;
}

/// The face as 64 x 64 means of what each cell covers.
std::vector<double> face_cells(const Frame& frame, const contract::Region& box) {
  std::vector<double> cells;
  const auto edge = [](double from, double to, int part, int size) {
    return std::clamp(static_cast<int>(std::floor((from + (to - from) * part / kFaceSide) * size)), 0, size - 1);
  };
  for (int row = 0; row < kFaceSide; ++row) {
    const int top = edge(box.top, box.bottom, row, frame.height);
    const int bottom = std::max(top + 1, edge(box.top, box.bottom, row + 1, frame.height));
    for (int column = 0; column < kFaceSide; ++column) {
      const int left = edge(box.left, box.right, column, frame.width);
      const int right = std::max(left + 1, edge(box.left, box.right, column + 1, frame.width));
      double sum = 0;
      for (int y = top; y < bottom; ++y) {
        for (int x = left; x < right; ++x) sum += brightness_at(frame, x, y);
      }
      cells.push_back(sum / ((bottom - top) * (right - left)));
    }
  }
  return cells;
}

struct Spread {
  double mean = 0, variance = 0;
};

Spread spread_of(const std::vector<double>& values) {
  Spread spread;
  for (const double value : values) spread.mean += value / static_cast<double>(values.size());
  for (const double value : values) {
    spread.variance += (value - spread.mean) * (value - spread.mean) / static_cast<double>(values.size());
  }
  return spread;
}

std::vector<double> laplacian(const std::vector<double>& cells) {
  std::vector<double> edges;
  const auto at = [&](int x, int y) { return cells[static_cast<std::size_t>(y * kFaceSide + x)]; };
  for (int y = 1; y + 1 < kFaceSide; ++y) {
    for (int x = 1; x + 1 < kFaceSide; ++x) {
      edges.push_back(at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y));
    }
  }
  return edges;
}

void measure_light(const Frame& frame, const Object& face, FaceQuality& quality) {
  const std::vector<double> cells = face_cells(frame, face.box);
  const Spread light = spread_of(cells);
  quality.brightness = light.mean;
  quality.contrast = std::sqrt(light.variance);
  if (light.variance > 0) quality.sharpness = spread_of(laplacian(cells)).variance / light.variance;
}

void measure_pose(const FacePoints& points, FaceQuality& quality) {
  quality.eyes = eye_distance(points);
  const Spot right = points[right_eye], left = points[left_eye];
  quality.roll = std::atan2(left.y - right.y, left.x - right.x) * 180 / std::numbers::pi;
  const auto place = nose_place(points);
  quality.across = place ? place->across : 1;
}

}  // namespace

const Object* largest_face(const std::vector<Object>& objects) {
  const Object* largest = nullptr;
  for (const Object& object : objects) {
    if (object.label == "face" && (largest == nullptr || box_area(object.box) > box_area(largest->box)))
      largest = &object;
  }
  return largest;
}

FaceQuality face_quality(const Frame& frame, const std::vector<Object>& objects, const Object* face,
                         const FaceQualityOptions& options) {
  FaceQuality quality;
  if (face == nullptr) {
    quality.problems.push_back(kNoFace);
    return quality;
  }
  for (const Object& other : objects) {
    if (other.label != "face") continue;
    if (std::sqrt(box_area(other.box)) >= options.other_share_max * std::sqrt(box_area(face->box))) ++quality.faces;
  }
  const auto problem = [&](bool is_there, std::string_view word) {
    if (is_there) quality.problems.push_back(word);
  };
  problem(quality.faces > 1, kSeveralFaces);
  const auto points = face_points(*face, frame.width, frame.height);
  if (points) measure_pose(*points, quality);
  measure_light(frame, *face, quality);
  problem(!points, kNoPoints);
  problem(points && quality.eyes < options.eyes_min, kTooSmall);
  problem(points && (std::abs(quality.across) > options.across_max || std::abs(quality.roll) > options.roll_max),
          kTurnedAway);
  problem(quality.brightness < options.dark_min, kTooDark);
  problem(quality.brightness > options.bright_max, kTooBright);
  problem(quality.contrast < options.contrast_min, kFlatLight);
  problem(quality.sharpness < options.sharpness_min, kBlurred);
  return quality;
}

std::string FaceQuality::explanation(const FaceQualityOptions& options) const {
  std::vector<std::string> words;
  for (const std::string_view word : problems) {
    std::string number;
    if (word == kSeveralFaces) number = fmt::format(" ({})", faces);
    if (word == kTooSmall)
      number = fmt::format(" ({:.0f} pixels between the eyes, at least {:.0f})", eyes, options.eyes_min);
    if (word == kTurnedAway) {
      number =
          fmt::format(" (nose {:+.2f} eye distances aside, at most {:.2f}; eyes' line {:+.0f} degrees, at most {:.0f})",
                      across, options.across_max, roll, options.roll_max);
    }
    if (word == kTooDark) number = fmt::format(" (brightness {:.0f}, at least {:.0f})", brightness, options.dark_min);
    if (word == kTooBright)
      number = fmt::format(" (brightness {:.0f}, at most {:.0f})", brightness, options.bright_max);
    if (word == kFlatLight) number = fmt::format(" ({:.0f}, at least {:.0f})", contrast, options.contrast_min);
    if (word == kBlurred)
      number = fmt::format(" (sharpness {:.3f}, at least {:.3f})", sharpness, options.sharpness_min);
    words.push_back(std::string(word) + number);
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace verge::vision
