#include "vision/teach/patch_bank.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace verge::vision {
namespace {

constexpr std::size_t kPerCellMin = 4, kPerCellMax = 24;
constexpr std::size_t kCandidatesMax = 40'000;  ///< Of the greedy selection: bounds its time.

/// Greedy k-centre: each next row is the one farthest from all chosen so far.
std::vector<std::size_t> choose_spread(const std::vector<float>& rows, std::size_t dimensions, std::size_t wanted) {
  const std::size_t count = rows.size() / dimensions;
  std::vector<std::size_t> chosen;
  std::vector<float> nearest(count, std::numeric_limits<float>::infinity());
  std::size_t next = 0;
  while (chosen.size() < std::min(wanted, count)) {
    chosen.push_back(next);
    const float* centre = &rows[next * dimensions];
    float farthest = -1;
    for (std::size_t row = 0; row < count; ++row) {
      nearest[row] = std::min(nearest[row], training::squared_distance(centre, &rows[row * dimensions], dimensions));
      if (nearest[row] > farthest) {
        farthest = nearest[row];
        next = row;
      }
    }
    if (farthest <= 0) break;  // All others are copies of chosen ones.
  }
  return chosen;
}

}  // namespace

Status EverywhereBank::distances(std::span<const float> patches, std::size_t own, std::span<float> map) const {
  const int asked = own == kNobody ? 1 : training::NearestBank::kNeighboursMax;
  std::vector<training::Neighbour> found(map.size() * static_cast<std::size_t>(asked));
  VERGE_CHECK(bank->find(patches, asked, threads, found));
  for (std::size_t cell = 0; cell < map.size(); ++cell) {
    const auto* first = &found[cell * static_cast<std::size_t>(asked)];
    const auto* last = first + asked - 1;
    while (first < last && owners[first->row] == own) ++first;
    map[cell] = std::sqrt(first->squared);
  }
  return Done{};
}

Result<std::unique_ptr<EverywhereBank>> make_everywhere_bank(const PatchSet& good, std::size_t rows_max,
                                                             std::uint64_t seed, int threads) {
  const std::size_t total = good.pictures * good.cells(), d = good.dimensions;
  std::vector<std::size_t> candidates(total);
  for (std::size_t i = 0; i < total; ++i) candidates[i] = i;
  std::mt19937_64 draw(seed);
  for (std::size_t i = 0; i < std::min(total, kCandidatesMax); ++i) {
    std::swap(candidates[i], candidates[i + draw() % (total - i)]);
  }
  candidates.resize(std::min(total, kCandidatesMax));
  std::vector<float> rows;
  for (const std::size_t patch : candidates) {
    rows.insert(rows.end(), good.values.begin() + static_cast<std::ptrdiff_t>(patch * d),
                good.values.begin() + static_cast<std::ptrdiff_t>((patch + 1) * d));
  }
  auto result = std::make_unique<EverywhereBank>();
  std::vector<float> kept;
  for (const std::size_t at : choose_spread(rows, d, rows_max)) {
    kept.insert(kept.end(), rows.begin() + static_cast<std::ptrdiff_t>(at * d),
                rows.begin() + static_cast<std::ptrdiff_t>((at + 1) * d));
    result->owners.push_back(static_cast<std::uint32_t>(candidates[at] / good.cells()));
  }
  VERGE_TRY(training::NearestBank bank, training::NearestBank::make(std::move(kept), d));
  result->bank = std::make_unique<training::NearestBank>(std::move(bank));
  result->threads = threads;
  return result;
}

Status PlacedBank::distances(std::span<const float> patches, std::size_t own, std::span<float> map) const {
  const auto height = static_cast<std::ptrdiff_t>(rows), width = static_cast<std::ptrdiff_t>(columns);
  for (std::ptrdiff_t y = 0; y < height; ++y) {
    for (std::ptrdiff_t x = 0; x < width; ++x) {
      const float* patch = &patches[static_cast<std::size_t>(y * width + x) * dimensions];
      float nearest = std::numeric_limits<float>::infinity();
      for (std::ptrdiff_t v = std::max<std::ptrdiff_t>(y - 1, 0); v <= std::min(y + 1, height - 1); ++v) {
        for (std::ptrdiff_t u = std::max<std::ptrdiff_t>(x - 1, 0); u <= std::min(x + 1, width - 1); ++u) {
          const float* cell = &values[static_cast<std::size_t>(v * width + u) * per_cell * dimensions];
          for (std::size_t i = 0; i < per_cell; ++i) {
            if (pictures[i] == own) continue;
            nearest = std::min(nearest, training::squared_distance(patch, cell + i * dimensions, dimensions));
          }
        }
      }
      map[static_cast<std::size_t>(y * width + x)] = std::sqrt(nearest);
    }
  }
  return Done{};
}

std::unique_ptr<PlacedBank> make_placed_bank(const PatchSet& good, std::size_t numbers_max) {
  auto bank = std::make_unique<PlacedBank>();
  bank->rows = good.rows;
  bank->columns = good.columns;
  bank->dimensions = good.dimensions;
  const std::size_t affordable = numbers_max / (good.cells() * good.dimensions);
  bank->per_cell = std::min(good.pictures, std::clamp(affordable, kPerCellMin, kPerCellMax));
  for (std::size_t i = 0; i < bank->per_cell; ++i) bank->pictures.push_back(i * good.pictures / bank->per_cell);
  for (std::size_t cell = 0; cell < good.cells(); ++cell) {
    for (const std::size_t picture : bank->pictures) {
      const auto patch = good.picture(picture).subspan(cell * good.dimensions, good.dimensions);
      bank->values.insert(bank->values.end(), patch.begin(), patch.end());
    }
  }
  return bank;
}

}  // namespace verge::vision
