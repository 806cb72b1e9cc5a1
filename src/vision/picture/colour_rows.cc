#include "vision/picture/colour_rows.h"

#include <algorithm>
#include <cmath>

#include "base/kernel.h"
#include "vision/picture/row_sampler.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace verge::vision {
namespace {

using Columns = ColourRows::Columns;

struct ColumnPlan {
  std::vector<Columns> columns;  ///< None when they lie too far apart.
  int runs = 0;                  ///< The most of any.
};

ColumnPlan plan_columns(int plane_width, int picture_width, int target_width) {
  ColumnPlan plan;
  for (int from = 0; from < target_width; from += ColourRows::kAtOnce) {
    const int count = std::min(ColourRows::kAtOnce, target_width - from);
    const auto position = [&](int i) { return source_position(from + i, target_width, picture_width, plane_width); };
    const int first = position(0).first;
    const int runs = (position(count - 1).first + 1 - first) / ColourRows::kRunBytes + 1;
    if (runs > ColourRows::kRunsMax) return {};
    plan.runs = std::max(plan.runs, runs);
    Columns columns;
    for (int run = 0; run < ColourRows::kRunsMax; ++run) {  // Nothing behind the row is read.
      columns.begins[static_cast<std::size_t>(run)] =
          std::min(first + run * ColourRows::kRunBytes, plane_width - ColourRows::kRunBytes);
    }
    for (int i = 0; i < 2 * count; ++i) {
      const SourcePosition at = position(i / 2);
      const int source = at.first + i % 2;
      std::size_t run = 0;
      while (source >= columns.begins[run] + ColourRows::kRunBytes) ++run;
      const auto byte = static_cast<std::size_t>(2 * i);  // Pairs of 16 bits, whose upper halves are 0.
      columns.is_here[run] |= std::uint64_t{1} << byte;
      columns.places[run][byte] = static_cast<std::uint8_t>(source - columns.begins[run]);
      const auto weight = static_cast<std::int16_t>(std::lround(at.weight * 256));
      columns.weights[static_cast<std::size_t>(i)] = i % 2 == 0 ? static_cast<std::int16_t>(256 - weight) : weight;
    }
    plan.columns.push_back(columns);
  }
  return plan;
}

#if defined(__x86_64__)
constexpr __mmask16 kEvery = 0xFFFF;

/// One row: 256 times the values.
template <int Runs>
VERGE_AVX512 inline __m512 blend_across(const Columns& columns, const std::uint8_t* row) {
  __m512i pairs = _mm512_maskz_permutexvar_epi8(columns.is_here[0], _mm512_loadu_si512(columns.places[0].data()),
                                                _mm512_loadu_si512(row + columns.begins[0]));
  for (std::size_t run = 1; run < Runs; ++run) {
    pairs = _mm512_mask_permutexvar_epi8(pairs, columns.is_here[run], _mm512_loadu_si512(columns.places[run].data()),
                                         _mm512_loadu_si512(row + columns.begins[run]));
  }
  return _mm512_maskz_cvtepi32_ps(kEvery, _mm512_madd_epi16(pairs, _mm512_loadu_si512(columns.weights.data())));
}

/// Parts of one of 65,536, by which both rows' sums are multiplied.
struct Weights {
  __m512 above, below;
};

VERGE_AVX512 inline Weights weights_of(const PlaneRow& plane) {
  constexpr float kOne = 1.0F / 65536.0F;
  return {_mm512_set1_ps(static_cast<float>(256 - plane.lower_weight) * kOne),
          _mm512_set1_ps(static_cast<float>(plane.lower_weight) * kOne)};
}

template <int Runs>
VERGE_AVX512 inline __m512 sample(const Columns& columns, const PlaneRow& plane, const Weights& weights) {
  _mm_prefetch(reinterpret_cast<const char*>(plane.next + columns.begins[0]), _MM_HINT_T0);
  const __m512 above = _mm512_mul_ps(blend_across<Runs>(columns, plane.upper), weights.above);
  if (plane.lower_weight == 0) return above;
  return _mm512_fmadd_ps(blend_across<Runs>(columns, plane.lower), weights.below, above);
}

VERGE_AVX512 inline __m512 limited(__m512 value) {
  const __m512 least = _mm512_maskz_max_ps(kEvery, value, _mm512_setzero_ps());
  return _mm512_maskz_min_ps(kEvery, least, _mm512_set1_ps(255));
}

VERGE_AVX512 inline __m512 scaled(__m512 value, ChannelScale scale) {
  return _mm512_fmadd_ps(value, _mm512_set1_ps(scale.factor), _mm512_set1_ps(scale.offset));
}

VERGE_AVX512 inline void store(float* target, __m512 value, int count) {
  if (count >= ColourRows::kAtOnce) return _mm512_storeu_ps(target, value);
  _mm512_mask_storeu_ps(target, static_cast<__mmask16>((1U << static_cast<unsigned>(count)) - 1), value);
}

VERGE_AVX512 inline void store(std::uint8_t* target, __m512 value, int count) {
  // Cutting off what follows the point is rounding half up of what is half more; what is over 255 becomes 255.
  const __m512 half_more = _mm512_add_ps(_mm512_maskz_max_ps(kEvery, value, _mm512_setzero_ps()), _mm512_set1_ps(0.5F));
  const __m128i bytes = _mm512_maskz_cvtusepi32_epi8(kEvery, _mm512_maskz_cvttps_epi32(kEvery, half_more));
  if (count >= ColourRows::kAtOnce) return _mm_storeu_si128(reinterpret_cast<__m128i*>(target), bytes);
  _mm_mask_storeu_epi8(target, static_cast<__mmask16>((1U << static_cast<unsigned>(count)) - 1), bytes);
}

template <int LumaRuns, int ChromaRuns, class Value>
VERGE_AVX512 void convert_row_wide(const std::vector<Columns>& luma, const std::vector<Columns>& chroma,
                                   const std::array<PlaneRow, 3>& planes, const ColourMatrix& m,
                                   const ColourScales& scales, int width, Value* red, Value* green, Value* blue) {
  // Offsets are one number per channel, so that each term is one multiplication and addition.
  const float grey_offset = m.luma_offset * m.luma;
  const __m512 luma_factor = _mm512_set1_ps(m.luma);
  const __m512 red_offset = _mm512_set1_ps(-128 * m.red_v - grey_offset);
  const __m512 green_offset = _mm512_set1_ps(-128 * (m.green_u + m.green_v) - grey_offset);
  const __m512 blue_offset = _mm512_set1_ps(-128 * m.blue_u - grey_offset);
  const __m512 red_v = _mm512_set1_ps(m.red_v), green_v = _mm512_set1_ps(m.green_v);
  const __m512 green_u = _mm512_set1_ps(m.green_u), blue_u = _mm512_set1_ps(m.blue_u);
  const Weights y_weights = weights_of(planes[0]), u_weights = weights_of(planes[1]), v_weights = weights_of(planes[2]);
  for (std::size_t group = 0; group < luma.size(); ++group) {
    const __m512 y = sample<LumaRuns>(luma[group], planes[0], y_weights);
    const __m512 u = sample<ChromaRuns>(chroma[group], planes[1], u_weights);
    const __m512 v = sample<ChromaRuns>(chroma[group], planes[2], v_weights);
    const __m512 r = _mm512_fmadd_ps(red_v, v, _mm512_fmadd_ps(luma_factor, y, red_offset));
    const __m512 without_u = _mm512_fmadd_ps(green_v, v, _mm512_fmadd_ps(luma_factor, y, green_offset));
    const __m512 g = _mm512_fmadd_ps(green_u, u, without_u);
    const __m512 b = _mm512_fmadd_ps(blue_u, u, _mm512_fmadd_ps(luma_factor, y, blue_offset));
    const std::size_t at = group * ColourRows::kAtOnce;
    const int left = width - static_cast<int>(at);
    store(red + at, scaled(limited(r), scales.red), left);
    store(green + at, scaled(limited(g), scales.green), left);
    store(blue + at, scaled(limited(b), scales.blue), left);
  }
}

template <class Value>
void convert_any(int luma_runs, const std::vector<Columns>& luma, const std::vector<Columns>& chroma,
                 const std::array<PlaneRow, 3>& planes, const ColourMatrix& matrix, const ColourScales& scales,
                 int width, Value* red, Value* green, Value* blue) {
  if (luma_runs == 1) {
    convert_row_wide<1, 1>(luma, chroma, planes, matrix, scales, width, red, green, blue);
  } else if (luma_runs == 2) {
    convert_row_wide<2, 1>(luma, chroma, planes, matrix, scales, width, red, green, blue);
  } else {
    convert_row_wide<3, 2>(luma, chroma, planes, matrix, scales, width, red, green, blue);
  }
}
#endif

}  // namespace

bool ColourRows::prepare(int picture_width, int target_width) {
  if (picture_width == picture_width_ && target_width == target_width_) return !luma_.empty();
  picture_width_ = picture_width;
  target_width_ = target_width;
  luma_.clear();
  chroma_.clear();
  if (kernel_level() < KernelLevel::avx512 || picture_width < 2 * kRunBytes) return false;
  auto luma = plan_columns(picture_width, picture_width, target_width);
  auto chroma = plan_columns((picture_width + 1) / 2, picture_width, target_width);
  if (luma.columns.empty() || chroma.columns.empty()) return false;
  // Chroma has half of the columns: it needs one run where luma needs two, and at most two otherwise.
  luma_runs_ = chroma.runs > 1 ? kRunsMax : luma.runs;
  luma_ = std::move(luma.columns);
  chroma_ = std::move(chroma.columns);
  return true;
}

void ColourRows::convert([[maybe_unused]] const std::array<PlaneRow, 3>& planes,
                         [[maybe_unused]] const ColourMatrix& matrix, [[maybe_unused]] const ColourScales& scales,
                         [[maybe_unused]] float* red, [[maybe_unused]] float* green,
                         [[maybe_unused]] float* blue) const {
#if defined(__x86_64__)
  convert_any(luma_runs_, luma_, chroma_, planes, matrix, scales, target_width_, red, green, blue);
#endif
}
void ColourRows::convert([[maybe_unused]] const std::array<PlaneRow, 3>& planes,
                         [[maybe_unused]] const ColourMatrix& matrix, [[maybe_unused]] const ColourScales& scales,
                         [[maybe_unused]] std::uint8_t* red, [[maybe_unused]] std::uint8_t* green,
                         [[maybe_unused]] std::uint8_t* blue) const {
#if defined(__x86_64__)
  convert_any(luma_runs_, luma_, chroma_, planes, matrix, scales, target_width_, red, green, blue);
#endif
}

}  // namespace verge::vision
