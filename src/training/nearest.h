// training/nearest.h -- exact nearest neighbours of many vectors in a bank of vectors, without a table of all
// distances.
//
// A first pass compares everything by a bound that costs little: products of 16-bit integers (of 8 bits where the
// processor multiplies four at once and they tell enough; or float32), on the bank's principal axes only where those
// tell enough. Only rows whose bound does not exceed the best distance known
// so far are measured exactly, so the answer is the one that measuring all of them would give, to the bit.
//
// Let q, b be centred by the bank's mean and P the chosen axes (orthonormal columns). With r = |x - P P'x|,
// Cauchy-Schwarz on the part outside P gives   q.b <= (P'q).(P'b) + r_q r_b = u.w   for the lengthened vectors
// u = [P'q, r_q], w = [P'b, r_b], which have the lengths of q and b. So  |q-b|^2 >= |q|^2 + |b|^2 - 2 u.w.
// Rounding to integers, u = U + e, w = W + f, changes the product by at most |e| max|W| + |u| max|f|, which is known
// per query and added to the limit, as are the roundings of float32 ((d + 16) 2^-22 (|q| + max|b|)^2). Integers are
// scaled so that |U| |W| < 2^31: no partial sum overflows, again by Cauchy-Schwarz. Those of 8 bits cannot overflow:
// rows are stored as W + 128, and sums begin with -128 times the sum of U. Source: bounds as in filter-and-refine
// search (Seidl and Kriegel 1998, "Optimal multi-step k-nearest neighbor search"); register blocking as in Goto and van
// de Geijn 2008. Threads: a bank never changes; find() may be called from several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/kernel.h"
#include "base/result.h"

namespace verge::training {

struct Neighbour {
  std::uint32_t row = 0;  ///< Of the bank.
  float squared = 0;      ///< Euclidean distance, squared.
  bool operator==(const Neighbour&) const = default;
};

enum class FirstPass : std::uint8_t {
  chosen,  ///< int8 where it is expected to take less time, else int16.
  int16,
  int8,
  float32
};

struct NearestOptions {
  FirstPass first_pass = FirstPass::chosen;
  /// Looks for principal axes that are worth it. Costs the eigenvectors of [dimensions, dimensions] once.
  bool uses_axes = true;
  /// At most kernel_level(); the answers are the same at each.
  KernelLevel level = kernel_level();
};

/// The squared distance as find() measures it: differences first, sums in 16 lanes.
float squared_distance(const float* a, const float* b, std::size_t dimensions);

class NearestBank {
 public:
  static constexpr std::size_t kRowsMax = std::size_t{1} << 22U;  ///< Bounds memory.
  static constexpr std::size_t kDimensionsMax = 4096;
  static constexpr int kNeighboursMax = 16;  ///< Kept sorted by insertion.

  /// rows  [m, dimensions], at least one row
  /// Errors: invalid_argument (lengths do not fit, a number is not finite), limit.
  static Result<NearestBank> make(std::vector<float> rows, std::size_t dimensions, const NearestOptions& options = {});

  /// Nearest first; equal distances in the order of rows; when the bank has fewer rows, the last one is repeated.
  ///
  /// queries  [n, dimensions], finite
  /// neighbours  1..16
  /// threads  1..64; the queries are divided among them
  /// found  [n, neighbours]
  /// Errors: invalid_argument. Cost: O(n m axes / 2) plus the rows that the bound lets through.
  Status find(std::span<const float> queries, int neighbours, int threads, std::span<Neighbour> found) const;

  std::size_t count() const { return rows_.size() / dimensions_; }
  std::size_t dimensions() const { return dimensions_; }
  /// Numbers per vector in the first pass, before padding: dimensions() when no axes are used.
  std::size_t compared() const { return compared_; }
  /// Never FirstPass::chosen.
  FirstPass first_pass() const { return options_.first_pass; }
  const std::vector<float>& rows() const { return rows_; }

 private:
  struct Trial;
  NearestBank() = default;
  void pack();
  void pack_integers(const std::vector<float>& vectors);
  void choose();
  std::vector<float> principal_axes() const;
  double work_of(const Trial& trial, FirstPass first_pass) const;
  std::size_t numbers_per_step() const;
  void set_axes(const std::vector<float>& vectors, std::size_t count);
  std::vector<float> lengthened(std::span<const float> vectors, std::vector<float>* lengths) const;
  std::size_t find_some(std::span<const float> queries, int neighbours, std::span<Neighbour> found) const;

  NearestOptions options_;
  std::size_t dimensions_ = 1, compared_ = 1, steps_ = 1;
  std::vector<float> rows_;                 ///< [m, dimensions], as given.
  std::vector<float> mean_;                 ///< [dimensions]
  std::vector<float> axes_;                 ///< [compared - 1, dimensions]; empty: the coordinates themselves.
  std::vector<float> squares_;              ///< Per row, |b|^2 centred; infinite in the padding.
  std::vector<float> packed_floats_;        ///< [tiles, steps, 16]
  std::vector<std::int16_t> packed_;        ///< [tiles, steps, 16, 2]
  std::vector<std::uint8_t> packed_bytes_;  ///< [tiles, steps, 16, 4], each 128 more
  float length_max_ = 0;                    ///< max |b|
  float unit_ = 1;                          ///< Value of one integer step.
  float rounded_max_ = 0, error_max_ = 0;   ///< max |W| and max |f|
};

}  // namespace verge::training
