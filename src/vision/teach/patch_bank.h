// vision/teach/patch_bank.h -- how far patches of a picture are from those of good pictures.
//
// Source: Roth et al. 2022 (PatchCore): a bank thinned by greedy farthest-point selection (Sener and Savarese 2018,
// k-centre); Defard et al. 2021 (PaDiM) for comparing a patch with what good pictures show at its own place.
// Threads: a bank never changes; distances() may be called from several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "training/nearest.h"

namespace verge::vision {

/// Whitened features of some pictures. values: [pictures, rows, columns, dimensions].
struct PatchSet {
  std::size_t pictures = 0, rows = 0, columns = 0, dimensions = 0;
  std::vector<float> values;

  std::size_t cells() const { return rows * columns; }
  std::span<const float> picture(std::size_t at) const {
    return std::span(values).subspan(at * cells() * dimensions, cells() * dimensions);
  }
};

class PatchBank {
 public:
  static constexpr std::size_t kNobody = ~std::size_t{0};
  virtual ~PatchBank() = default;
  /// Euclidean distance of each patch to the nearest one of the bank that does not come from picture `own`.
  ///
  /// patches  [rows, columns, dimensions]
  /// own  a picture of the set that the bank was made of; kNobody for others
  /// map  [rows, columns]
  /// Errors: invalid_argument (a number is not finite).
  virtual Status distances(std::span<const float> patches, std::size_t own, std::span<float> map) const = 0;
};

/// The bank's content, as a graph needs it.
struct EverywhereBank final : PatchBank {
  std::unique_ptr<training::NearestBank> bank;
  std::vector<std::uint32_t> owners;  ///< Per row of the bank, its picture.
  int threads = 1;
  Status distances(std::span<const float> patches, std::size_t own, std::span<float> map) const override;
};
/// Patches of any place, thinned to `rows_max`. Deterministic by seed.
Result<std::unique_ptr<EverywhereBank>> make_everywhere_bank(const PatchSet& good, std::size_t rows_max,
                                                             std::uint64_t seed, int threads);

/// A patch is compared with those at its place and the eight around it.
struct PlacedBank final : PatchBank {
  std::size_t rows = 0, columns = 0, per_cell = 0, dimensions = 0;
  std::vector<float> values;          ///< [rows, columns, per_cell, dimensions]
  std::vector<std::size_t> pictures;  ///< [per_cell]
  Status distances(std::span<const float> patches, std::size_t own, std::span<float> map) const override;
};
/// At most `numbers_max` numbers in all, at least four pictures' patches per cell.
std::unique_ptr<PlacedBank> make_placed_bank(const PatchSet& good, std::size_t numbers_max);

}  // namespace verge::vision
