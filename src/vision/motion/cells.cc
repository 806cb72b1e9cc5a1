#include "vision/motion/cells.h"

#include <algorithm>
#include <cmath>

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;

constexpr int kFitRounds = 4;
constexpr float kFactorMin = 0.3F, kFactorMax = 3.0F;

/// Bytes from one pixel's brightness to the next. Of RGB the green one: most of the brightness.
int pixel_step(const Frame& frame) { return frame.format == PixelFormat::rgb24 ? 3 : 1; }
int first_byte(const Frame& frame) { return frame.format == PixelFormat::rgb24 ? 1 : 0; }

/// Where the cell with this index begins on a side of `size` pixels.
int begin_of(int index, int count, int size) {
  return static_cast<int>(static_cast<std::int64_t>(index) * size / count);
}

}  // namespace

bool CellGrid::has_pixels(const Frame& frame) {
  return frame.width >= 1 && frame.height >= 1 && frame.planes[0] != nullptr;
}

void CellGrid::shape(const Frame& frame) {
  width_ = frame.width;
  height_ = frame.height;
  columns_ = std::min(columns_max_, width_);
  rows_ = std::clamp(static_cast<int>(std::lround(static_cast<double>(columns_) * height_ / width_)), 1, height_);
}

void CellGrid::average(const Frame& frame, std::vector<float>& means) {
  const int step = pixel_step(frame);
  sums_.resize(static_cast<std::size_t>(columns_));
  means.resize(count());
  for (int row = 0; row < rows_; ++row) {
    std::ranges::fill(sums_, 0U);
    const int bottom = begin_of(row + 1, rows_, height_);
    int lines = 0;
    for (int y = begin_of(row, rows_, height_); y < bottom; y += row_step_, ++lines) {
      const std::uint8_t* line =
          frame.planes[0] + static_cast<std::ptrdiff_t>(y) * frame.strides[0] + first_byte(frame);
      for (int column = 0; column < columns_; ++column) {
        std::uint32_t sum = 0;
        const int right = begin_of(column + 1, columns_, width_);
        for (int x = begin_of(column, columns_, width_); x < right; ++x) sum += line[x * step];
        sums_[static_cast<std::size_t>(column)] += sum;
      }
    }
    for (int column = 0; column < columns_; ++column) {
      const int pixels = lines * (begin_of(column + 1, columns_, width_) - begin_of(column, columns_, width_));
      means[at(column, row)] = static_cast<float>(sums_[static_cast<std::size_t>(column)]) / static_cast<float>(pixels);
    }
  }
}

std::pair<double, double> CellGrid::centre(std::size_t cell) const {
  const auto column = static_cast<double>(cell % static_cast<std::size_t>(columns_));
  const auto row = static_cast<double>(cell / static_cast<std::size_t>(columns_));
  return {(column + 0.5) / columns_, (row + 0.5) / rows_};
}

contract::Region CellGrid::box(int left, int top, int right, int bottom) const {
  const auto part = [](int index, int count) { return static_cast<double>(index) / count; };
  return {part(left, columns_), part(top, rows_), part(right, columns_), part(bottom, rows_)};
}

std::vector<CellGroup> groups_of(const CellGrid& grid, const std::vector<bool>& marks) {
  std::vector<bool> is_open = marks;
  std::vector<CellGroup> groups;
  const auto columns = static_cast<std::size_t>(grid.columns());
  for (std::size_t first = 0; first < is_open.size(); ++first) {
    if (!is_open[first]) continue;
    CellGroup group{{first}, grid.columns(), grid.rows(), 0, 0};
    is_open[first] = false;
    const auto reach = [&](std::size_t cell) {
      if (!is_open[cell]) return;
      is_open[cell] = false;
      group.cells.push_back(cell);
    };
    for (std::size_t i = 0; i < group.cells.size(); ++i) {
      const std::size_t cell = group.cells[i];
      const auto column = static_cast<int>(cell % columns), row = static_cast<int>(cell / columns);
      group.left = std::min(group.left, column), group.right = std::max(group.right, column + 1);
      group.top = std::min(group.top, row), group.bottom = std::max(group.bottom, row + 1);
      if (column > 0) reach(cell - 1);
      if (column + 1 < grid.columns()) reach(cell + 1);
      if (row > 0) reach(cell - columns);
      if (row + 1 < grid.rows()) reach(cell + columns);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

Light fit_light(std::span<const float> before, std::span<const float> now) {
  Light light;
  std::vector<float> distances(now.size());
  // The middle one of the differences is right as long as less than half of the picture moves.
  for (std::size_t i = 0; i < now.size(); ++i) distances[i] = now[i] - before[i];
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  light.offset = *middle;
  for (int round = 0; round < kFitRounds; ++round) {
    const auto distance = [&](std::size_t i) { return std::abs(now[i] - light.on(before[i])); };
    for (std::size_t i = 0; i < now.size(); ++i) distances[i] = distance(i);
    std::nth_element(distances.begin(), middle, distances.end());
    const float near = std::max(1.0F, 2.5F * *middle);
    double count = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (distance(i) > near) continue;
      ++count;
      x += before[i], y += now[i];
      xx += static_cast<double>(before[i]) * before[i];
      xy += static_cast<double>(before[i]) * now[i];
    }
    const double spread = count * xx - x * x;
    // A picture of one tone tells no factor.
    const bool has_factor = spread > count * count;
    light.factor =
        has_factor ? std::clamp(static_cast<float>((count * xy - x * y) / spread), kFactorMin, kFactorMax) : 1;
    light.offset = static_cast<float>((y - light.factor * x) / count);
  }
  return light;
}

}  // namespace verge::vision
