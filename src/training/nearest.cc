#include "training/nearest.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/kernel.h"

namespace verge::training {
namespace {

constexpr std::size_t kTileRows = 16, kTileQueries = 6;
constexpr std::size_t kQueriesPerTurn = 768;     ///< Bounds the packed queries; a multiple of kTileQueries.
constexpr std::size_t kBlockBytes = 192 * 1024;  ///< Of the bank, stays in a core's own cache.
constexpr double kIntegerLengthMax = 46'000;     ///< Its square is below 2^31.
constexpr double kIntegerMax = 32'767;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kAxesRowsMax = 2048, kTrialRowsMax = 4096, kTrials = 48;

/// What the first pass does at once: six queries against sixteen rows.
struct Tile {
  const void* queries = nullptr;  ///< [steps, 6] numbers, or pairs of integers.
  const void* rows = nullptr;     ///< [steps, 16] numbers, or pairs of integers.
  std::size_t steps = 0;
  const float* squares = nullptr;  ///< [16]
  const float* factors = nullptr;  ///< [6] of the products.
  const float* limits = nullptr;   ///< [6]
};
/// One bit per row whose square - factor * product is within the limit.
using Masks = std::array<std::uint32_t, kTileQueries>;
/// True when any bit is set.
using TileFunction = bool (*)(const Tile& tile, Masks& masks);

template <class Number>
bool judge_plain(const Tile& tile, const Number (&products)[kTileQueries][kTileRows], Masks& masks) {
  bool any = false;
  for (std::size_t q = 0; q < kTileQueries; ++q) {
    std::uint32_t mask = 0;
    for (std::size_t row = 0; row < kTileRows; ++row) {
      const float bound = tile.squares[row] - tile.factors[q] * static_cast<float>(products[q][row]);
      mask |= static_cast<std::uint32_t>(bound <= tile.limits[q]) << row;
    }
    masks[q] = mask;
    any = any || mask != 0;
  }
  return any;
}

VERGE_UNROLLED bool tile_of_floats_plain(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const float*>(tile.queries);
  const auto* rows = static_cast<const float*>(tile.rows);
  float products[kTileQueries][kTileRows] = {};
  for (std::size_t step = 0; step < tile.steps; ++step, queries += kTileQueries, rows += kTileRows) {
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      for (std::size_t row = 0; row < kTileRows; ++row) products[q][row] += queries[q] * rows[row];
    }
  }
  return judge_plain(tile, products, masks);
}

VERGE_UNROLLED bool tile_of_integers_plain(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const std::int16_t*>(tile.queries);
  const auto* rows = static_cast<const std::int16_t*>(tile.rows);
  std::int32_t products[kTileQueries][kTileRows] = {};
  for (std::size_t step = 0; step < tile.steps; ++step, queries += 2 * kTileQueries, rows += 2 * kTileRows) {
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      for (std::size_t row = 0; row < kTileRows; ++row) {
        products[q][row] += queries[2 * q] * rows[2 * row] + queries[2 * q + 1] * rows[2 * row + 1];
      }
    }
  }
  return judge_plain(tile, products, masks);
}

#if defined(__x86_64__)

VERGE_AVX2 inline std::uint32_t judge_avx2(__m256 low, __m256 high, const Tile& tile, std::size_t q) {
  const __m256 factor = _mm256_broadcast_ss(tile.factors + q), limit = _mm256_broadcast_ss(tile.limits + q);
  low = _mm256_fnmadd_ps(factor, low, _mm256_loadu_ps(tile.squares));
  high = _mm256_fnmadd_ps(factor, high, _mm256_loadu_ps(tile.squares + 8));
  const int first = _mm256_movemask_ps(_mm256_cmp_ps(low, limit, _CMP_LE_OQ));
  const int second = _mm256_movemask_ps(_mm256_cmp_ps(high, limit, _CMP_LE_OQ));
  return static_cast<std::uint32_t>(first) | static_cast<std::uint32_t>(second) << 8U;
}

VERGE_AVX2 VERGE_UNROLLED bool tile_of_floats_avx2(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const float*>(tile.queries);
  const auto* rows = static_cast<const float*>(tile.rows);
  __m256 low[kTileQueries], high[kTileQueries];
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) low[q] = high[q] = _mm256_setzero_ps();
  for (std::size_t step = 0; step < tile.steps; ++step, queries += kTileQueries, rows += kTileRows) {
    const __m256 left = _mm256_loadu_ps(rows), right = _mm256_loadu_ps(rows + 8);
#pragma GCC unroll 6
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      const __m256 value = _mm256_broadcast_ss(queries + q);
      low[q] = _mm256_fmadd_ps(value, left, low[q]);
      high[q] = _mm256_fmadd_ps(value, right, high[q]);
    }
  }
  std::uint32_t any = 0;
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) any |= masks[q] = judge_avx2(low[q], high[q], tile, q);
  return any != 0;
}

VERGE_AVX2 VERGE_UNROLLED bool tile_of_integers_avx2(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const float*>(tile.queries);  // A pair of integers is as long as a float.
  const auto* rows = static_cast<const __m256i*>(tile.rows);
  __m256i low[kTileQueries], high[kTileQueries];
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) low[q] = high[q] = _mm256_setzero_si256();
  for (std::size_t step = 0; step < tile.steps; ++step, queries += kTileQueries, rows += 2) {
    const __m256i left = _mm256_loadu_si256(rows), right = _mm256_loadu_si256(rows + 1);
#pragma GCC unroll 6
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      const __m256i value = _mm256_castps_si256(_mm256_broadcast_ss(queries + q));
      low[q] = _mm256_add_epi32(low[q], _mm256_madd_epi16(value, left));
      __asm__("" : "+x"(low[q]));  // Keeps the sum in its register: gcc 12 else spills ten of the twelve.
      high[q] = _mm256_add_epi32(high[q], _mm256_madd_epi16(value, right));
      __asm__("" : "+x"(high[q]));
    }
  }
  std::uint32_t any = 0;
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) {
    any |= masks[q] = judge_avx2(_mm256_cvtepi32_ps(low[q]), _mm256_cvtepi32_ps(high[q]), tile, q);
  }
  return any != 0;
}
#endif

TileFunction tile_function(const NearestOptions& options) {
  const bool is_integer = options.first_pass == FirstPass::int16;
#if defined(__x86_64__)
  if (!options.is_plain && has_avx2()) {
    return is_integer ? tile_of_integers_avx2 : tile_of_floats_avx2;
  }
#endif
  return is_integer ? tile_of_integers_plain : tile_of_floats_plain;
}

/// Keeps the nearest ones of a query sorted.
class NearestList {
 public:
  NearestList(Neighbour* places, int count) : places_(places), count_(count) {
    std::fill_n(places_, count_, Neighbour{std::numeric_limits<std::uint32_t>::max(), kInfinity});
  }
  void offer(Neighbour candidate) {
    int place = count_ - 1;
    if (!is_before(candidate, places_[place])) return;
    for (; place > 0 && is_before(candidate, places_[place - 1]); --place) {
      if (places_[place - 1].row == candidate.row) return;
      places_[place] = places_[place - 1];
    }
    places_[place] = candidate;
  }
  float worst() const { return places_[count_ - 1].squared; }
  const Neighbour& best() const { return places_[0]; }

 private:
  static bool is_before(const Neighbour& a, const Neighbour& b) {
    return a.squared < b.squared || (a.squared == b.squared && a.row < b.row);
  }
  Neighbour* places_;
  int count_;
};

double square_of(const float* values, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

/// Bounds what float32 sums of so many products can be wrong by, relative to the lengths.
double rounding_of(std::size_t dimensions) { return static_cast<double>(dimensions + 16) * 0x1p-22; }

struct Rounded {
  double unit = 1;    ///< Value of one step.
  double error = 0;   ///< Length of what rounding took away, in the values' unit.
  double length = 0;  ///< Of the rounded vector, in the values' unit.
};

double unit_for(const float* values, std::size_t count) {
  float largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  const double unit = std::max(std::sqrt(square_of(values, count)) / kIntegerLengthMax, largest / kIntegerMax);
  return std::max(unit, 1e-30);
}

/// target(i) receives the i-th integer.
template <class Target>
Rounded round_vector(const float* values, std::size_t count, double unit, const Target& target) {
  double error = 0, length = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double rounded = std::nearbyint(values[i] / unit);
    target(i) = static_cast<std::int16_t>(rounded);
    error += (values[i] - rounded * unit) * (values[i] - rounded * unit);
    length += rounded * rounded;
  }
  return {unit, std::sqrt(error), unit * std::sqrt(length)};
}

using FloatRows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

VERGE_KERNEL float squared_distance(const float* a, const float* b, std::size_t dimensions) {
  float lanes[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= dimensions; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const float difference = a[i + lane] - b[i + lane];
      lanes[lane] += difference * difference;
    }
  }
  for (std::size_t lane = 0; i < dimensions; ++i, ++lane) lanes[lane] += (a[i] - b[i]) * (a[i] - b[i]);
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

Result<NearestBank> NearestBank::make(std::vector<float> rows, std::size_t dimensions, const NearestOptions& options) {
  if (dimensions == 0 || rows.empty() || rows.size() % dimensions != 0) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("nearest neighbours: {} numbers are no rows of {}", rows.size(), dimensions)};
  }
  if (dimensions > kDimensionsMax || rows.size() / dimensions > kRowsMax) {
    return Error{ErrorCode::limit, fmt::format("nearest neighbours: {} rows of {} numbers; at most {} rows of {}",
                                               rows.size() / dimensions, dimensions, kRowsMax, kDimensionsMax)};
  }
  for (const float value : rows) {
    if (!std::isfinite(value)) {
      return Error{ErrorCode::invalid_argument, "nearest neighbours: the bank holds a number that is not finite"};
    }
  }
  NearestBank bank;
  bank.options_ = options;
  bank.dimensions_ = bank.compared_ = dimensions;
  bank.rows_ = std::move(rows);
  std::vector<double> sums(dimensions);
  for (std::size_t i = 0; i < bank.rows_.size(); ++i) sums[i % dimensions] += bank.rows_[i];
  for (const double sum : sums) bank.mean_.push_back(static_cast<float>(sum / static_cast<double>(bank.count())));
  if (options.uses_axes && dimensions >= 32 && bank.count() >= 64) bank.choose_axes();
  bank.pack();
  return bank;
}

std::vector<float> NearestBank::lengthened(std::span<const float> vectors, std::vector<float>* lengths) const {
  const std::size_t count = vectors.size() / dimensions_;
  FloatRows centred(static_cast<Eigen::Index>(count), static_cast<Eigen::Index>(dimensions_));
  for (std::size_t i = 0; i < vectors.size(); ++i) centred.data()[i] = vectors[i] - mean_[i % dimensions_];
  lengths->resize(count);
  std::vector<float> result(count * compared_);
  if (axes_.empty()) std::copy_n(centred.data(), vectors.size(), result.data());
  const double doubt = rounding_of(dimensions_);
  for (std::size_t row = 0; row < count; ++row) {
    (*lengths)[row] = static_cast<float>(std::sqrt(square_of(centred.data() + row * dimensions_, dimensions_)));
  }
  if (axes_.empty()) return result;
  const Eigen::Map<const FloatRows> axes(axes_.data(), static_cast<Eigen::Index>(compared_ - 1),
                                         static_cast<Eigen::Index>(dimensions_));
  Eigen::Map<FloatRows> target(result.data(), static_cast<Eigen::Index>(count), static_cast<Eigen::Index>(compared_));
  target.leftCols(axes.rows()).noalias() = centred * axes.transpose();
  for (std::size_t row = 0; row < count; ++row) {
    const double square = static_cast<double>((*lengths)[row]) * (*lengths)[row];
    const double inside = square_of(result.data() + row * compared_, compared_ - 1);
    result[(row + 1) * compared_ - 1] = static_cast<float>(std::sqrt(std::max(0.0, square - inside) + doubt * square));
  }
  return result;
}

/// Tries on some of the bank's own rows how many others each number of axes would let through.
void NearestBank::choose_axes() {
  const auto d = static_cast<Eigen::Index>(dimensions_);
  const std::size_t used = std::min(count(), kAxesRowsMax);
  Eigen::MatrixXd sample(static_cast<Eigen::Index>(used), d);
  for (std::size_t i = 0; i < used; ++i) {
    const float* row = rows_.data() + i * count() / used * dimensions_;
    for (Eigen::Index j = 0; j < d; ++j)
      sample(static_cast<Eigen::Index>(i), j) = row[j] - mean_[static_cast<std::size_t>(j)];
  }
  const Eigen::MatrixXd spread = sample.transpose() * sample;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(spread);
  if (solver.info() != Eigen::Success) return;
  std::vector<float> vectors(dimensions_ * dimensions_);  // The strongest axis first.
  for (Eigen::Index axis = 0; axis < d; ++axis) {
    for (Eigen::Index j = 0; j < d; ++j) {
      vectors[static_cast<std::size_t>(axis * d + j)] = static_cast<float>(solver.eigenvectors()(j, d - 1 - axis));
    }
  }
  const std::size_t trial_rows = std::min(count(), kTrialRowsMax);
  std::vector<float> subset;
  for (std::size_t i = 0; i < trial_rows; ++i) {
    const float* row = rows_.data() + i * count() / trial_rows * dimensions_;
    subset.insert(subset.end(), row, row + dimensions_);
  }
  const std::size_t trials = std::min(kTrials, trial_rows);
  std::vector<float> nearest(trials, kInfinity);
  for (std::size_t trial = 0; trial < trials; ++trial) {
    const std::size_t self = trial * trial_rows / trials;
    for (std::size_t row = 0; row < trial_rows; ++row) {
      if (row == self) continue;
      nearest[trial] = std::min(nearest[trial],
                                squared_distance(&subset[self * dimensions_], &subset[row * dimensions_], dimensions_));
    }
  }
  // Work per row of the bank, in products: those of the first pass, its end, and the rows it lets through.
  const auto whole = static_cast<double>(dimensions_);
  constexpr double kEnd = 8, kPassed = 8;
  double best = 0.9 * (whole + kEnd);
  std::size_t best_axes = 0;
  for (std::size_t axes = 16; 2 * axes <= dimensions_ + dimensions_ / 2; axes *= 2) {
    set_axes(vectors, axes);
    std::vector<float> lengths;
    const std::vector<float> vectors_of_rows = lengthened(subset, &lengths);
    std::size_t passed = 0;
    for (std::size_t trial = 0; trial < trials; ++trial) {
      const std::size_t self = trial * trial_rows / trials;
      for (std::size_t row = 0; row < trial_rows; ++row) {
        // The longest part left out and the axes: the distance of the lengthened vectors is the bound.
        passed +=
            static_cast<std::size_t>(squared_distance(&vectors_of_rows[self * compared_],
                                                      &vectors_of_rows[row * compared_], compared_) <= nearest[trial]);
      }
    }
    const double share = static_cast<double>(passed) / static_cast<double>(trials * trial_rows);
    const double work = static_cast<double>(axes + 1) + kEnd +
                        whole * (share * kPassed + static_cast<double>(axes) / static_cast<double>(count()));
    if (work < best) {
      best = work;
      best_axes = axes;
    }
  }
  if (best_axes > 0) {
    set_axes(vectors, best_axes);
  } else {
    axes_.clear();
    compared_ = dimensions_;
  }
}

void NearestBank::set_axes(const std::vector<float>& vectors, std::size_t count) {
  axes_.assign(vectors.begin(), vectors.begin() + static_cast<std::ptrdiff_t>(count * dimensions_));
  compared_ = count + 1;
}

void NearestBank::pack() {
  const bool is_integer = options_.first_pass == FirstPass::int16;
  std::vector<float> lengths;
  const std::vector<float> vectors = lengthened(rows_, &lengths);
  const std::size_t tiles = (count() + kTileRows - 1) / kTileRows;
  steps_ = is_integer ? (compared_ + 1) / 2 : compared_;
  squares_.assign(tiles * kTileRows, kInfinity);
  for (std::size_t row = 0; row < count(); ++row) {
    squares_[row] = lengths[row] * lengths[row];
    length_max_ = std::max(length_max_, lengths[row]);
  }
  if (!is_integer) {
    packed_floats_.assign(tiles * steps_ * kTileRows, 0);
    for (std::size_t row = 0; row < count(); ++row) {
      float* target = packed_floats_.data() + row / kTileRows * steps_ * kTileRows + row % kTileRows;
      for (std::size_t i = 0; i < compared_; ++i) target[i * kTileRows] = vectors[row * compared_ + i];
    }
    return;
  }
  double unit = 0;
  for (std::size_t row = 0; row < count(); ++row) unit = std::max(unit, unit_for(&vectors[row * compared_], compared_));
  unit_ = static_cast<float>(unit * (1 + 1e-6));
  packed_.assign(tiles * steps_ * kTileRows * 2, 0);
  double rounded_max = 0, error_max = 0;
  for (std::size_t row = 0; row < count(); ++row) {
    std::int16_t* target = packed_.data() + (row / kTileRows * steps_ * kTileRows + row % kTileRows) * 2;
    const Rounded rounded =
        round_vector(&vectors[row * compared_], compared_, unit_,
                     [&](std::size_t i) -> std::int16_t& { return target[i / 2 * kTileRows * 2 + i % 2]; });
    rounded_max = std::max(rounded_max, rounded.length);
    error_max = std::max(error_max, rounded.error);
  }
  rounded_max_ = static_cast<float>(rounded_max * (1 + 1e-6));
  error_max_ = static_cast<float>(error_max * (1 + 1e-6));
}

std::size_t NearestBank::find_some(std::span<const float> queries, int neighbours, std::span<Neighbour> found) const {
  const bool is_integer = options_.first_pass == FirstPass::int16;
  const TileFunction compare = tile_function(options_);
  const std::size_t queries_count = queries.size() / dimensions_;
  const std::size_t groups = (queries_count + kTileQueries - 1) / kTileQueries;
  std::vector<float> lengths;
  const std::vector<float> vectors = lengthened(queries, &lengths);
  const std::size_t step_bytes = sizeof(float);  // Of one number, or of a pair of integers.
  std::vector<unsigned char> packed(groups * kTileQueries * steps_ * step_bytes);
  std::vector<float> factors(groups * kTileQueries, 2.0F), limits(groups * kTileQueries, -kInfinity);
  std::vector<double> margins(queries_count);  // What a bound may be too large by, less |q|^2.
  std::vector<NearestList> lists;
  std::size_t measured = 0;
  const double doubt = rounding_of(dimensions_);
  for (std::size_t query = 0; query < queries_count; ++query) {
    unsigned char* target =
        packed.data() + (query / kTileQueries * steps_ * kTileQueries + query % kTileQueries) * step_bytes;
    const float* vector = &vectors[query * compared_];
    const double length = lengths[query], reach = length + length_max_;
    margins[query] = doubt * reach * reach - length * length;
    if (is_integer) {
      const auto place = [&](std::size_t i) -> std::int16_t& {
        return reinterpret_cast<std::int16_t*>(target + i / 2 * kTileQueries * step_bytes)[i % 2];
      };
      const Rounded rounded = round_vector(vector, compared_, unit_for(vector, compared_), place);
      factors[query] = static_cast<float>(2 * rounded.unit * unit_);
      margins[query] += 2 * (rounded.error * rounded_max_ + length * error_max_) * (1 + 1e-6);
    } else {
      for (std::size_t i = 0; i < compared_; ++i) {
        *reinterpret_cast<float*>(target + i * kTileQueries * step_bytes) = vector[i];
      }
    }
    limits[query] = kInfinity;
    lists.emplace_back(found.data() + query * static_cast<std::size_t>(neighbours), neighbours);
  }
  const auto measure = [&](std::size_t query, std::size_t row) {
    const float squared = squared_distance(&queries[query * dimensions_], &rows_[row * dimensions_], dimensions_);
    ++measured;
    lists[query].offer({static_cast<std::uint32_t>(row), squared});
    limits[query] = static_cast<float>((lists[query].worst() * (1 + doubt) + margins[query]) + 1e-30);
  };

  const std::size_t tiles = squares_.size() / kTileRows;
  const std::size_t tile_bytes = steps_ * kTileRows * step_bytes;
  const std::size_t block_tiles = std::max<std::size_t>(1, kBlockBytes / tile_bytes);
  const auto* bank = is_integer ? reinterpret_cast<const unsigned char*>(packed_.data())
                                : reinterpret_cast<const unsigned char*>(packed_floats_.data());
  Masks masks{};
  for (std::size_t block = 0; block < tiles; block += block_tiles) {
    const std::size_t block_end = std::min(tiles, block + block_tiles);
    for (std::size_t group = 0; group < groups; ++group) {
      const std::size_t first = group * kTileQueries;
      if (block == 0 && neighbours == 1) {
        // What was nearest to a query's neighbours is a good guess: patches side by side look alike.
        for (std::size_t query = std::max<std::size_t>(first, 1); query < std::min(first + kTileQueries, queries_count);
             ++query) {
          const std::uint32_t guess = lists[first == 0 ? 0 : first - 1].best().row;
          if (guess < count()) measure(query, guess);
        }
      }
      for (std::size_t tile = block; tile < block_end; ++tile) {
        const Tile work{packed.data() + first * steps_ * step_bytes,
                        bank + tile * tile_bytes,
                        steps_,
                        &squares_[tile * kTileRows],
                        &factors[first],
                        &limits[first]};
        if (!compare(work, masks)) continue;
        for (std::size_t q = 0; q < kTileQueries; ++q) {
          for (std::uint32_t mask = masks[q]; mask != 0; mask &= mask - 1) {
            const std::size_t row = tile * kTileRows + static_cast<std::size_t>(__builtin_ctz(mask));
            if (row < count()) measure(first + q, row);
          }
        }
      }
    }
  }
  return measured;
}

Status NearestBank::find(std::span<const float> queries, int neighbours, int threads,
                         std::span<Neighbour> found) const {
  if (neighbours < 1 || neighbours > kNeighboursMax || threads < 1 || threads > 64 ||
      queries.size() % dimensions_ != 0 ||
      found.size() != queries.size() / dimensions_ * static_cast<std::size_t>(neighbours)) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("nearest neighbours: {} of {} numbers in rows of {}, by {} threads, into {} places; neighbours "
                    "1..{}, threads 1..64",
                    neighbours, queries.size(), dimensions_, threads, found.size(), kNeighboursMax)};
  }
  for (const float value : queries) {
    if (!std::isfinite(value)) {
      return Error{ErrorCode::invalid_argument, "nearest neighbours: a query holds a number that is not finite"};
    }
  }
  const std::size_t total = queries.size() / dimensions_, places = static_cast<std::size_t>(neighbours);
  const std::size_t asked = std::min(places, count());
  const auto work = [&](std::size_t begin, std::size_t end) {
    for (; begin < end; begin += kQueriesPerTurn) {
      const std::size_t turn = std::min(kQueriesPerTurn, end - begin);
      find_some(queries.subspan(begin * dimensions_, turn * dimensions_), neighbours,
                found.subspan(begin * places, turn * places));
    }
  };
  const std::size_t groups = (total + kTileQueries - 1) / kTileQueries;
  const std::size_t workers = std::max<std::size_t>(1, std::min(static_cast<std::size_t>(threads), groups));
  std::vector<std::thread> others;
  for (std::size_t worker = 1; worker < workers; ++worker) {
    others.emplace_back(work, worker * groups / workers * kTileQueries,
                        std::min(total, (worker + 1) * groups / workers * kTileQueries));
  }
  work(0, std::min(total, groups / workers * kTileQueries));
  for (std::thread& other : others) other.join();
  for (std::size_t query = 0; asked < places && query < total; ++query) {
    std::fill_n(found.begin() + static_cast<std::ptrdiff_t>(query * places + asked), places - asked,
                found[query * places + asked - 1]);
  }
  return Done{};
}

}  // namespace verge::training
