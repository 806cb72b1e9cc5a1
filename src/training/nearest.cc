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
constexpr double kIntegerMax = 32'767, kByteMax = 127;
constexpr int kByteZero = 128;  ///< What is added to a row's bytes.
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kAxesRowsMax = 2048, kTrialRowsMax = 4096, kTrials = 48;

/// What the first pass does at once: six queries against sixteen rows.
struct Tile {
  const void* queries = nullptr;  ///< [steps, 6] numbers, pairs of integers or fours of bytes.
  const void* rows = nullptr;     ///< [steps, 16] of the same.
  std::size_t steps = 0;
  const std::int32_t* starts = nullptr;  ///< [6] where sums of bytes begin.
  const float* squares = nullptr;        ///< [16]
  const float* factors = nullptr;        ///< [6] of the products.
  const float* limits = nullptr;         ///< [6]
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

VERGE_UNROLLED bool tile_of_bytes_plain(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const std::int8_t*>(tile.queries);
  const auto* rows = static_cast<const std::uint8_t*>(tile.rows);
  std::int32_t products[kTileQueries][kTileRows];
  for (std::size_t q = 0; q < kTileQueries; ++q) std::fill_n(products[q], kTileRows, tile.starts[q]);
  for (std::size_t step = 0; step < tile.steps; ++step, queries += 4 * kTileQueries, rows += 4 * kTileRows) {
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      for (std::size_t row = 0; row < kTileRows; ++row) {
        for (std::size_t i = 0; i < 4; ++i) products[q][row] += queries[4 * q + i] * rows[4 * row + i];
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

constexpr __mmask16 kEveryRow = 0xFFFF;

VERGE_AVX512 inline std::uint32_t judge_avx512(__m512 products, const Tile& tile, std::size_t q) {
  const __m512 bounds = _mm512_fnmadd_ps(_mm512_set1_ps(tile.factors[q]), products, _mm512_loadu_ps(tile.squares));
  return _mm512_cmp_ps_mask(bounds, _mm512_set1_ps(tile.limits[q]), _CMP_LE_OQ);
}

VERGE_AVX512 VERGE_UNROLLED bool tile_of_floats_avx512(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const float*>(tile.queries);
  const auto* rows = static_cast<const float*>(tile.rows);
  __m512 sums[kTileQueries];
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) sums[q] = _mm512_setzero_ps();
  for (std::size_t step = 0; step < tile.steps; ++step, queries += kTileQueries, rows += kTileRows) {
    const __m512 values = _mm512_loadu_ps(rows);
#pragma GCC unroll 6
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      sums[q] = _mm512_fmadd_ps(_mm512_set1_ps(queries[q]), values, sums[q]);
    }
  }
  std::uint32_t any = 0;
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) any |= masks[q] = judge_avx512(sums[q], tile, q);
  return any != 0;
}

/// Pairs of 16-bit integers, or fours of bytes: one instruction multiplies and adds either.
template <FirstPass Pass>
VERGE_AVX512 inline __m512i add_products(__m512i sums, __m512i rows, __m512i queries) {
  if constexpr (Pass == FirstPass::int8) return _mm512_dpbusd_epi32(sums, rows, queries);
  return _mm512_dpwssd_epi32(sums, rows, queries);
}

template <FirstPass Pass>
VERGE_AVX512 VERGE_UNROLLED bool tile_of_integers_avx512(const Tile& tile, Masks& masks) {
  const auto* queries = static_cast<const std::int32_t*>(tile.queries);
  const auto* rows = static_cast<const std::int32_t*>(tile.rows);
  __m512i sums[kTileQueries];
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) {
    sums[q] = Pass == FirstPass::int8 ? _mm512_set1_epi32(tile.starts[q]) : _mm512_setzero_si512();
  }
  for (std::size_t step = 0; step < tile.steps; ++step, queries += kTileQueries, rows += kTileRows) {
    const __m512i values = _mm512_loadu_si512(rows);
#pragma GCC unroll 6
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      sums[q] = add_products<Pass>(sums[q], values, _mm512_set1_epi32(queries[q]));
    }
  }
  std::uint32_t any = 0;
#pragma GCC unroll 6
  for (std::size_t q = 0; q < kTileQueries; ++q) {
    any |= masks[q] = judge_avx512(_mm512_maskz_cvtepi32_ps(kEveryRow, sums[q]), tile, q);
  }
  return any != 0;
}
#endif

TileFunction tile_function(const NearestOptions& options) {
  const FirstPass pass = options.first_pass;
#if defined(__x86_64__)
  if (options.level >= KernelLevel::avx512) {
    return pass == FirstPass::int8    ? tile_of_integers_avx512<FirstPass::int8>
           : pass == FirstPass::int16 ? tile_of_integers_avx512<FirstPass::int16>
                                      : tile_of_floats_avx512;
  }
  if (options.level >= KernelLevel::avx2 && pass != FirstPass::int8) {
    return pass == FirstPass::int16 ? tile_of_integers_avx2 : tile_of_floats_avx2;
  }
#endif
  return pass == FirstPass::int8    ? tile_of_bytes_plain
         : pass == FirstPass::int16 ? tile_of_integers_plain
                                    : tile_of_floats_plain;
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

/// pass  int16 or int8
double unit_for(const float* values, std::size_t count, FirstPass pass) {
  float largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  const double unit = pass == FirstPass::int8
                          ? largest / kByteMax
                          : std::max(std::sqrt(square_of(values, count)) / kIntegerLengthMax, largest / kIntegerMax);
  return std::max(unit, 1e-30);
}

/// target(i, integer) receives the i-th integer.
template <class Target>
Rounded round_vector(const float* values, std::size_t count, double unit, const Target& target) {
  double error = 0, length = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double rounded = std::nearbyint(values[i] / unit);
    target(i, static_cast<int>(rounded));
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
  bank.choose();
  bank.pack();
  return bank;
}

std::vector<float> NearestBank::lengthened(std::span<const float> vectors, std::vector<float>* lengths) const {
  const std::size_t count = vectors.size() / dimensions_;
  FloatRows centred(static_cast<Eigen::Index>(count), static_cast<Eigen::Index>(dimensions_));
  for (std::size_t at = 0; at < vectors.size(); at += dimensions_) {
    for (std::size_t i = 0; i < dimensions_; ++i) centred.data()[at + i] = vectors[at + i] - mean_[i];
  }
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

/// Some of the bank's rows, and for a few of them how far away the nearest other one is.
struct NearestBank::Trial {
  std::vector<float> rows;
  std::size_t row_count = 0;
  std::vector<std::size_t> asked;
  std::vector<float> nearest;

  Trial(const std::vector<float>& bank, std::size_t count, std::size_t dimensions)
      : row_count(std::min(count, kTrialRowsMax)) {
    for (std::size_t i = 0; i < row_count; ++i) {
      const float* row = bank.data() + i * count / row_count * dimensions;
      rows.insert(rows.end(), row, row + dimensions);
    }
    const std::size_t trials = std::min(kTrials, row_count);
    for (std::size_t trial = 0; trial < trials; ++trial) {
      const std::size_t self = trial * row_count / trials;
      float least = kInfinity;
      for (std::size_t row = 0; row < row_count; ++row) {
        if (row == self) continue;
        least = std::min(least, squared_distance(&rows[self * dimensions], &rows[row * dimensions], dimensions));
      }
      asked.push_back(self);
      nearest.push_back(least);
    }
  }
};

/// Work per row of the bank with the axes that are set, in products of 16 bits: those of the first pass, its end, and
/// the rows it lets through.
double NearestBank::work_of(const Trial& trial, FirstPass first_pass) const {
  constexpr double kEnd = 8, kPassed = 8;
  std::vector<float> lengths;
  const std::vector<float> vectors = lengthened(trial.rows, &lengths);
  const float length_max = *std::max_element(lengths.begin(), lengths.end());
  double error = 0;  // What 8 bits take away from any of them.
  if (first_pass == FirstPass::int8) {
    double unit = 0;
    for (std::size_t row = 0; row < trial.row_count; ++row) {
      unit = std::max(unit, unit_for(&vectors[row * compared_], compared_, first_pass));
    }
    for (std::size_t row = 0; row < trial.row_count; ++row) {
      error = std::max(error, round_vector(&vectors[row * compared_], compared_, unit, [](std::size_t, int) {}).error);
    }
  }
  std::size_t passed = 0;
  for (std::size_t i = 0; i < trial.asked.size(); ++i) {
    const float* self = &vectors[trial.asked[i] * compared_];
    const double margin = 2 * error * static_cast<double>(lengths[trial.asked[i]] + length_max);
    for (std::size_t row = 0; row < trial.row_count; ++row) {
      // The longest part left out and the axes: the distance of the lengthened vectors is the bound.
      passed +=
          static_cast<std::size_t>(static_cast<double>(squared_distance(self, &vectors[row * compared_], compared_)) <=
                                   static_cast<double>(trial.nearest[i]) + margin);
    }
  }
  const double share = static_cast<double>(passed) / static_cast<double>(trial.asked.size() * trial.row_count);
  const auto whole = static_cast<double>(dimensions_), numbers = static_cast<double>(compared_);
  const double axes = axes_.empty() ? 0 : numbers - 1;
  return numbers / (first_pass == FirstPass::int8 ? 2 : 1) + kEnd +
         whole * (share * kPassed + axes / static_cast<double>(count()));
}

/// All axes, the strongest first, [dimensions, dimensions]; empty when they cannot be found.
std::vector<float> NearestBank::principal_axes() const {
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
  if (solver.info() != Eigen::Success) return {};
  std::vector<float> vectors(dimensions_ * dimensions_);
  for (Eigen::Index axis = 0; axis < d; ++axis) {
    for (Eigen::Index j = 0; j < d; ++j) {
      vectors[static_cast<std::size_t>(axis * d + j)] = static_cast<float>(solver.eigenvectors()(j, d - 1 - axis));
    }
  }
  return vectors;
}

/// Tries on some of the bank's own rows what each first pass on each number of axes would cost.
void NearestBank::choose() {
  const bool is_tried = count() >= 64;
  const bool is_open = options_.first_pass == FirstPass::chosen;
  if (is_open) options_.first_pass = FirstPass::int16;
  std::vector<FirstPass> passes{options_.first_pass};
  if (is_open && is_tried && options_.level >= KernelLevel::avx512) passes.push_back(FirstPass::int8);
  const bool uses_axes = options_.uses_axes && dimensions_ >= 32 && is_tried;
  if (!uses_axes && passes.size() == 1) return;
  const Trial trial(rows_, count(), dimensions_);
  double best = kInfinity;
  std::size_t best_axes = 0;
  const auto look = [&](std::size_t axes, double handicap) {
    for (const FirstPass pass : passes) {
      const double work = work_of(trial, pass) * handicap;
      if (work >= best) continue;
      best = work;
      best_axes = axes;
      options_.first_pass = pass;
    }
  };
  look(0, 0.9);  // Axes must be worth it.
  const std::vector<float> vectors = uses_axes ? principal_axes() : std::vector<float>{};
  for (std::size_t axes = 16; !vectors.empty() && 2 * axes <= dimensions_ + dimensions_ / 2; axes *= 2) {
    set_axes(vectors, axes);
    look(axes, 1);
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

std::size_t NearestBank::numbers_per_step() const {
  switch (options_.first_pass) {
    case FirstPass::int8:
      return 4;
    case FirstPass::int16:
      return 2;
    default:
      return 1;
  }
}

void NearestBank::pack() {
  std::vector<float> lengths;
  const std::vector<float> vectors = lengthened(rows_, &lengths);
  const std::size_t tiles = (count() + kTileRows - 1) / kTileRows;
  steps_ = (compared_ + numbers_per_step() - 1) / numbers_per_step();
  squares_.assign(tiles * kTileRows, kInfinity);
  for (std::size_t row = 0; row < count(); ++row) {
    squares_[row] = lengths[row] * lengths[row];
    length_max_ = std::max(length_max_, lengths[row]);
  }
  if (options_.first_pass != FirstPass::float32) return pack_integers(vectors);
  packed_floats_.assign(tiles * steps_ * kTileRows, 0);
  for (std::size_t row = 0; row < count(); ++row) {
    float* target = packed_floats_.data() + row / kTileRows * steps_ * kTileRows + row % kTileRows;
    for (std::size_t i = 0; i < compared_; ++i) target[i * kTileRows] = vectors[row * compared_ + i];
  }
}

void NearestBank::pack_integers(const std::vector<float>& vectors) {
  const bool is_bytes = options_.first_pass == FirstPass::int8;
  double unit = 0;
  for (std::size_t row = 0; row < count(); ++row) {
    unit = std::max(unit, unit_for(&vectors[row * compared_], compared_, options_.first_pass));
  }
  unit_ = static_cast<float>(unit * (1 + 1e-6));
  const std::size_t numbers = squares_.size() * steps_ * numbers_per_step();
  if (is_bytes) packed_bytes_.assign(numbers, kByteZero);
  if (!is_bytes) packed_.assign(numbers, 0);
  double rounded_max = 0, error_max = 0;
  for (std::size_t row = 0; row < count(); ++row) {
    const std::size_t place = row / kTileRows * steps_ * kTileRows + row % kTileRows, step = numbers_per_step();
    const auto put = [&](std::size_t i, int number) {
      const std::size_t at = (place + i / step * kTileRows) * step + i % step;
      if (is_bytes) packed_bytes_[at] = static_cast<std::uint8_t>(number + kByteZero);
      if (!is_bytes) packed_[at] = static_cast<std::int16_t>(number);
    };
    const Rounded rounded = round_vector(&vectors[row * compared_], compared_, unit_, put);
    rounded_max = std::max(rounded_max, rounded.length);
    error_max = std::max(error_max, rounded.error);
  }
  rounded_max_ = static_cast<float>(rounded_max * (1 + 1e-6));
  error_max_ = static_cast<float>(error_max * (1 + 1e-6));
}

std::size_t NearestBank::find_some(std::span<const float> queries, int neighbours, std::span<Neighbour> found) const {
  const FirstPass pass = options_.first_pass;
  const TileFunction compare = tile_function(options_);
  const std::size_t queries_count = queries.size() / dimensions_;
  const std::size_t groups = (queries_count + kTileQueries - 1) / kTileQueries;
  std::vector<float> lengths;
  const std::vector<float> vectors = lengthened(queries, &lengths);
  constexpr std::size_t step_bytes = sizeof(float);  // Of one number, two integers or four bytes.
  std::vector<unsigned char> packed(groups * kTileQueries * steps_ * step_bytes);
  std::vector<float> factors(groups * kTileQueries, 2.0F), limits(groups * kTileQueries, -kInfinity);
  std::vector<std::int32_t> starts(groups * kTileQueries, 0);
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
    if (pass != FirstPass::float32) {
      const auto put = [&](std::size_t i, int number) {
        if (pass == FirstPass::int8) {
          reinterpret_cast<std::int8_t*>(target + i / 4 * kTileQueries * step_bytes)[i % 4] =
              static_cast<std::int8_t>(number);
          starts[query] -= kByteZero * number;
        } else {
          reinterpret_cast<std::int16_t*>(target + i / 2 * kTileQueries * step_bytes)[i % 2] =
              static_cast<std::int16_t>(number);
        }
      };
      const Rounded rounded = round_vector(vector, compared_, unit_for(vector, compared_, pass), put);
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
  const auto* bank = pass == FirstPass::int8    ? packed_bytes_.data()
                     : pass == FirstPass::int16 ? reinterpret_cast<const unsigned char*>(packed_.data())
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
                        &starts[first],
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
