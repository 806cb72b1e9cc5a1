// vision/motion/cells.h -- a picture's brightness averaged into cells, and what a change of light does to them.
//
// Threads: a CellGrid is used by one thread at a time; fit_light is pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "pipeline/packet.h"

namespace verge::vision {

class CellGrid {
 public:
  /// columns_max  of cells; as many as pixels in a narrower picture. Cells are about square.
  /// row_step     every so many lines are read
  CellGrid(int columns_max, int row_step) : columns_max_(columns_max), row_step_(row_step) {}

  static bool has_pixels(const pipeline::Frame& frame);
  /// Whether the cells are those of pictures of this size.
  bool fits(const pipeline::Frame& frame) const { return frame.width == width_ && frame.height == height_; }
  /// Takes pictures of this size from now on.
  void shape(const pipeline::Frame& frame);
  /// Mean brightness of each cell, 0..255, row by row; the frame fits and has pixels.
  void average(const pipeline::Frame& frame, std::vector<float>& means);

  int columns() const { return columns_; }
  int rows() const { return rows_; }
  std::size_t count() const { return static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_); }
  std::size_t at(int column, int row) const { return static_cast<std::size_t>(row * columns_ + column); }
  /// Pixels of a cell's side.
  double side() const { return static_cast<double>(width_) / columns_; }
  /// The middle of a cell, in parts of the picture.
  std::pair<double, double> centre(std::size_t cell) const;
  /// The box of some columns and rows, ends exclusive, in parts of the picture.
  contract::Region box(int left, int top, int right, int bottom) const;

 private:
  const int columns_max_, row_step_;
  int width_ = 0, height_ = 0;  ///< Of the pictures.
  int columns_ = 0, rows_ = 0;
  std::vector<std::uint32_t> sums_;
};

/// Cells that hang together by their sides.
struct CellGroup {
  std::vector<std::size_t> cells;
  int left = 0, top = 0, right = 0, bottom = 0;  ///< Columns and rows; ends exclusive.
};
/// The groups of the cells with a mark, in the order of their first cells. marks  one for each cell
std::vector<CellGroup> groups_of(const CellGrid& grid, const std::vector<bool>& marks);

/// Of the whole picture: now = factor * before + offset, for what has not changed otherwise.
struct Light {
  float factor = 1, offset = 0;
  float on(float before) const { return factor * before + offset; }
};
/// Least squares over the cells near the last fit, again and again: right as long as less than half of them have
/// changed.
Light fit_light(std::span<const float> before, std::span<const float> now);

}  // namespace verge::vision
