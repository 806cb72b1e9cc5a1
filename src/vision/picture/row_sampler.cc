#include "vision/picture/row_sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace verge::vision {
namespace {

/// target = upper * (256 - weight) + lower * weight, for whole rows.
VERGE_KERNEL void blend_rows(const std::uint8_t* upper, const std::uint8_t* lower, std::uint16_t weight, int count,
                             std::uint16_t* target) {
  const auto other = static_cast<std::uint16_t>(256 - weight);
  for (int i = 0; i < count; ++i) {
    target[i] = static_cast<std::uint16_t>(upper[i] * other + lower[i] * weight);
  }
}

/// Neighbours lie side by side, so one load brings both (the first one in the lower half: little-endian, as all that
/// we build for). Loads first, then arithmetic: only so does the second loop become vector code.
VERGE_KERNEL void sample_columns(const std::uint16_t* row, const std::int32_t* left, const std::int32_t* weight,
                                 int count, float* target) {
  static_assert(std::endian::native == std::endian::little);
  constexpr float kOne = 1.0F / 65536.0F;
  constexpr int kLookedUpAtOnce = 64;
  std::uint32_t pairs[kLookedUpAtOnce];
  for (int begin = 0; begin < count; begin += kLookedUpAtOnce) {
    const int at_once = std::min(kLookedUpAtOnce, count - begin);
    for (int i = 0; i < at_once; ++i) std::memcpy(&pairs[i], row + left[begin + i], sizeof(pairs[i]));
    for (int i = 0; i < at_once; ++i) {
      const auto a = static_cast<std::int32_t>(pairs[i] & 0xFFFFU);
      const auto b = static_cast<std::int32_t>(pairs[i] >> 16U);
      target[begin + i] = static_cast<float>(a * 256 + (b - a) * weight[begin + i]) * kOne;
    }
  }
}

#if defined(__x86_64__)
VERGE_AVX2 inline __m128i load_16(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

/// Eight columns of one row: 256 times the value.
template <int Loads>
VERGE_AVX2 inline __m256 blend_columns(const std::uint8_t* row, const __m128i* places, __m256i weights) {
  __m128i pairs = _mm_shuffle_epi8(load_16(row), places[0]);
  for (int i = 1; i < Loads; ++i) {
    pairs = _mm_or_si128(pairs, _mm_shuffle_epi8(load_16(row + std::ptrdiff_t{16} * i), places[i]));
  }
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_cvtepu8_epi16(pairs), weights));
}

template <int Loads, class Group>
VERGE_AVX2 void sample_with_shuffles(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight,
                                     const std::vector<Group>& groups, float* target) {
  constexpr float kOne = 1.0F / 65536.0F;
  const __m256 above = _mm256_set1_ps(static_cast<float>(256 - lower_weight) * kOne);
  const __m256 below = _mm256_set1_ps(static_cast<float>(lower_weight) * kOne);
  for (const Group& group : groups) {
    __m128i places[Loads];
    for (int i = 0; i < Loads; ++i) places[i] = load_16(group.places[static_cast<std::size_t>(i)].data());
    const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group.weights.data()));
    __m256 sum = _mm256_mul_ps(blend_columns<Loads>(upper + group.begin, places, weights), above);
    if (lower_weight != 0) {
      sum = _mm256_fmadd_ps(blend_columns<Loads>(lower + group.begin, places, weights), below, sum);
    }
    _mm256_storeu_ps(target, sum);
    target += 8;
  }
}
#endif

}  // namespace

SourcePosition source_position(int target_index, int target_count, int picture_count, int plane_count) {
  const float scale = static_cast<float>(picture_count) / static_cast<float>(target_count);
  float at = (static_cast<float>(target_index) + 0.5F) * scale - 0.5F;
  // A chroma sample stands for two pixels; its centre lies between them.
  if (plane_count != picture_count) at = (at + 0.5F) / 2 - 0.5F;
  at = std::clamp(at, 0.0F, static_cast<float>(plane_count - 1));
  const int first = std::min(static_cast<int>(at), std::max(0, plane_count - 2));
  return {first, plane_count == 1 ? 0.0F : at - static_cast<float>(first)};
}

void RowSampler::prepare(int plane_count, int picture_count, int target_count) {
  if (plane_count == plane_count_ && picture_count == picture_count_ && target_count == target_count_) return;
  plane_count_ = plane_count;
  picture_count_ = picture_count;
  target_count_ = target_count;
  left_.resize(static_cast<std::size_t>(target_count));
  weight_.resize(static_cast<std::size_t>(target_count));
  for (int i = 0; i < target_count; ++i) {
    const SourcePosition at = source_position(i, target_count, picture_count, plane_count);
    left_[static_cast<std::size_t>(i)] = at.first;
    weight_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(std::lround(at.weight * 256));
  }
  prepare_groups();
}

void RowSampler::prepare_groups() {
  groups_.clear();
  if (level_ < KernelLevel::avx2) return;
  int widest = 0;
  for (std::size_t at = 0; at + kAtOnce <= left_.size(); at += kAtOnce) {
    widest = std::max(widest, left_[at + kAtOnce - 1] + 2 - left_[at]);
  }
  loads_ = (widest + 15) / 16;
  const int bytes = 16 * loads_;
  if (loads_ < 1 || loads_ > kLoadsMax || bytes > plane_count_) return;
  for (std::size_t at = 0; at + kAtOnce <= left_.size(); at += kAtOnce) {
    Group group;
    group.begin = std::min(left_[at], plane_count_ - bytes);  // Nothing behind the row is read.
    for (auto& places : group.places) places.fill(0x80);
    for (std::size_t i = 0; i < 2 * std::size_t{kAtOnce}; ++i) {
      const std::size_t column = at + i / 2;
      const auto place = static_cast<std::size_t>(left_[column] - group.begin) + i % 2;
      group.places[place / 16][i] = static_cast<std::uint8_t>(place % 16);
      const int weight = weight_[column];
      group.weights[i] = static_cast<std::int16_t>(i % 2 == 0 ? 256 - weight : weight);
    }
    groups_.push_back(group);
  }
}

int RowSampler::sample_groups(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight,
                              float* target) const {
#if defined(__x86_64__)
  if (groups_.empty()) return 0;
  if (loads_ == 1) sample_with_shuffles<1>(upper, lower, lower_weight, groups_, target);
  if (loads_ == 2) sample_with_shuffles<2>(upper, lower, lower_weight, groups_, target);
  if (loads_ == 3) sample_with_shuffles<3>(upper, lower, lower_weight, groups_, target);
#endif
  return kAtOnce * static_cast<int>(groups_.size());
}

void RowSampler::sample(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight, float* target) {
  const int done = sample_groups(upper, lower, lower_weight, target);
  if (done == 0) return sample_plain(upper, lower, lower_weight, target);
  for (int i = done; i < target_count_; ++i) {
    const std::int32_t left = left_[static_cast<std::size_t>(i)];
    const std::int32_t weight = weight_[static_cast<std::size_t>(i)];
    const auto blended = [&](const std::uint8_t* row) { return row[left] * (256 - weight) + row[left + 1] * weight; };
    target[i] = static_cast<float>(blended(upper) * (256 - lower_weight) + blended(lower) * lower_weight) / 65536.0F;
  }
}

void RowSampler::sample_plain(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight, float* target) {
  const auto count = static_cast<std::size_t>(plane_count_);
  blended_.resize(count + 1);  // One more: the last column's right neighbour.
  blend_rows(upper, lower, static_cast<std::uint16_t>(lower_weight), plane_count_, blended_.data());
  blended_[count] = blended_[count - 1];
  sample_columns(blended_.data(), left_.data(), weight_.data(), target_count_, target);
}

}  // namespace verge::vision
