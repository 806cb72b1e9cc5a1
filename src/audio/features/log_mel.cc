#include "audio/features/log_mel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <numbers>

#include "audio/features/mel_scale.h"
#include "base/kernel.h"

namespace verge::audio {
namespace {

constexpr std::size_t kLanesCount = LogMel::kLanes;
#define VERGE_LANES_INLINE inline __attribute__((always_inline))
/// Products and sums in one instruction: C++ mode alone does not let the compiler.
#if defined(__GNUC__) && !defined(__clang__)
#define VERGE_FUSED __attribute__((optimize("O3", "fp-contract=fast")))
#else
#define VERGE_FUSED
#endif

/// One number of each frame. The compiler makes one or two registers of it, as the machine has them.
using LaneFloats = float __attribute__((vector_size(4 * kLanesCount), aligned(4)));
using LaneInts = std::int32_t __attribute__((vector_size(4 * kLanesCount), aligned(4)));

/// Radices whose product is `size`, the large ones first; empty when there is another prime in it.
std::vector<std::size_t> radices_of(std::size_t size) {
  std::vector<std::size_t> radices;
  for (const std::size_t radix : {5UL, 4UL, 3UL, 2UL}) {
    while (size % radix == 0) {
      radices.push_back(radix);
      size /= radix;
    }
  }
  if (size != 1) radices.clear();
  return radices;
}

struct LanePair {
  LaneFloats re, im;
};
VERGE_LANES_INLINE LanePair operator+(const LanePair& a, const LanePair& b) { return {a.re + b.re, a.im + b.im}; }
VERGE_LANES_INLINE LanePair operator-(const LanePair& a, const LanePair& b) { return {a.re - b.re, a.im - b.im}; }
VERGE_LANES_INLINE LanePair operator*(const LanePair& a, float factor) { return {a.re * factor, a.im * factor}; }
VERGE_LANES_INLINE LanePair by_minus_i(const LanePair& a) { return {a.im, -a.re}; }
VERGE_LANES_INLINE LanePair turned(const LanePair& a, const float* turn) {
  return {a.re * turn[0] - a.im * turn[1], a.re * turn[1] + a.im * turn[0]};
}

template <std::size_t Radix>
VERGE_LANES_INLINE void butterfly(LanePair (&x)[Radix]) {
  if constexpr (Radix == 2) {
    const LanePair a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  } else if constexpr (Radix == 3) {
    const LanePair sum = x[1] + x[2], rest = by_minus_i((x[1] - x[2]) * 0.86602540378F);
    const LanePair middle = x[0] - sum * 0.5F;
    x[0] = x[0] + sum;
    x[1] = middle + rest;
    x[2] = middle - rest;
  } else if constexpr (Radix == 4) {
    const LanePair a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = by_minus_i(x[1] - x[3]);
    x[0] = a + c;
    x[1] = b + d;
    x[2] = a - c;
    x[3] = b - d;
  } else {
    constexpr float kCos1 = 0.30901699437F, kCos2 = -0.80901699437F, kSin1 = 0.95105651629F, kSin2 = 0.58778525229F;
    const LanePair a = x[1] + x[4], b = x[2] + x[3], c = x[1] - x[4], d = x[2] - x[3];
    const LanePair first = x[0] + a * kCos1 + b * kCos2, second = x[0] + a * kCos2 + b * kCos1;
    const LanePair turn1 = by_minus_i(c * kSin1 + d * kSin2), turn2 = by_minus_i(c * kSin2 - d * kSin1);
    x[0] = x[0] + a + b;
    x[1] = first + turn1;
    x[4] = first - turn1;
    x[2] = second + turn2;
    x[3] = second - turn2;
  }
}

/// One Stockham step, decimation in frequency: y[q + s (R p + r)] = w^(p r) sum_k x[q + s (p + m k)] w_R^(k r).
template <std::size_t Radix>
VERGE_LANES_INLINE void step_of(const LanePair* source, LanePair* target, std::size_t groups, std::size_t stride,
                                const float* twiddles) {
  for (std::size_t p = 0; p < groups; ++p, twiddles += 2 * (Radix - 1)) {
    for (std::size_t q = 0; q < stride; ++q) {
      LanePair x[Radix];
      for (std::size_t k = 0; k < Radix; ++k) x[k] = source[q + stride * (p + groups * k)];
      butterfly(x);
      LanePair* out = target + q + stride * Radix * p;
      out[0] = x[0];
      for (std::size_t r = 1; r < Radix; ++r) out[stride * r] = turned(x[r], twiddles + 2 * (r - 1));
    }
  }
}

/// Rows become columns.
VERGE_LANES_INLINE void transpose(LaneFloats (&rows)[kLanesCount]) {
  LaneFloats a[8], b[8];
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = __builtin_shuffle(rows[2 * i], rows[2 * i + 1], LaneInts{0, 8, 1, 9, 4, 12, 5, 13});
    a[2 * i + 1] = __builtin_shuffle(rows[2 * i], rows[2 * i + 1], LaneInts{2, 10, 3, 11, 6, 14, 7, 15});
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      b[4 * i + 2 * j] = __builtin_shuffle(a[4 * i + j], a[4 * i + 2 + j], LaneInts{0, 1, 8, 9, 4, 5, 12, 13});
      b[4 * i + 2 * j + 1] = __builtin_shuffle(a[4 * i + j], a[4 * i + 2 + j], LaneInts{2, 3, 10, 11, 6, 7, 14, 15});
    }
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = __builtin_shuffle(b[i], b[4 + i], LaneInts{0, 1, 2, 3, 8, 9, 10, 11});
    rows[4 + i] = __builtin_shuffle(b[i], b[4 + i], LaneInts{4, 5, 6, 7, 12, 13, 14, 15});
  }
}

/// Becomes the natural logarithm. Of normal positive numbers, within 2 units in the last place. Source: Cephes logf
/// (Moshier 1992).
VERGE_LANES_INLINE void take_logarithm(LaneFloats& x) {
  LaneInts bits;
  std::memcpy(&bits, &x, sizeof bits);
  LaneInts exponent = (bits >> 23) - 126;
  bits = (bits & 0x007fffff) | 0x3f000000;
  LaneFloats m;
  std::memcpy(&m, &bits, sizeof m);
  const LaneInts is_small = m < 0.70710678F;
  exponent += is_small;
  m = (is_small ? m + m : m) - 1.0F;
  const LaneFloats e = __builtin_convertvector(exponent, LaneFloats);
  LaneFloats y = m * 7.0376836292e-2F - 1.1514610310e-1F;
  y = y * m + 1.1676998740e-1F;
  y = y * m - 1.2420140846e-1F;
  y = y * m + 1.4249322787e-1F;
  y = y * m - 1.6668057665e-1F;
  y = y * m + 2.0000714765e-1F;
  y = y * m - 2.4999993993e-1F;
  y = y * m + 3.3333331174e-1F;
  const LaneFloats z = m * m;
  y = y * m * z + e * -2.12194440e-4F - z * 0.5F;
  x = m + y + e * 0.693359375F;
}

Error option_mistake(std::string_view name, double value, std::string_view range) {
  return Error{ErrorCode::invalid_argument, fmt::format("log-mel: {} is {:g}; give {}", name, value, range)};
}

}  // namespace

Result<LogMel> LogMel::make(const LogMelOptions& given) {
  LogMelOptions options = given;
  if (options.rate_hz < 1000 || options.rate_hz > 192'000)
    return option_mistake("rate_hz", options.rate_hz, "1000..192000");
  if (options.window < 16 || options.window > 8192 || options.window % 2 != 0 ||
      radices_of(static_cast<std::size_t>(options.window) / 2).empty())
    return option_mistake("window", options.window,
                          "an even number of 16..8192 whose half is a product of 2, 3 and 5, such as 400 or 512");
  if (options.hop < 1 || options.hop > options.window) return option_mistake("hop", options.hop, "1..window");
  if (options.mels < 1 || options.mels > 256) return option_mistake("mels", options.mels, "1..256");
  if (options.high_hz == 0) options.high_hz = options.rate_hz / 2.0;
  if (!(options.high_hz > 0 && options.high_hz <= options.rate_hz / 2.0))
    return option_mistake("high_hz", options.high_hz, "more than 0 and at most half the rate");
  if (!(options.low_hz >= 0 && options.low_hz < options.high_hz))
    return option_mistake("low_hz", options.low_hz, "0 to less than high_hz");
  if (!(options.floor >= 1e-30F && options.floor <= 1)) return option_mistake("floor", options.floor, "1e-30..1");
  return LogMel(options);
}

LogMel::Compute LogMel::compute_at(KernelLevel level) {
  if (level == KernelLevel::plain) return &LogMel::compute_plain;
  return level == KernelLevel::avx2 ? &LogMel::compute_avx2 : &LogMel::compute_avx512;
}

LogMel::LogMel(const LogMelOptions& options)
    : options_(options), half_(static_cast<std::size_t>(options.window) / 2), compute_(compute_at(kernel_level())) {
  const auto window = static_cast<std::size_t>(options.window);
  for (std::size_t at = 0; at < window; ++at) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(at) / static_cast<double>(window);
    window_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(turn)));
  }
  plan_transform();
  plan_triangles();
  const std::size_t padded = (static_cast<std::size_t>(options.mels) + kLanes - 1) / kLanes * kLanes;
  scratch_.resize(kLanes * (4 * half_ + bins() + padded));
}

void LogMel::plan_transform() {
  std::size_t stride = 1, left = half_;
  for (const std::size_t radix : radices_of(half_)) {
    const std::size_t groups = left / radix;
    steps_.push_back({radix, groups, stride, twiddles_.size()});
    for (std::size_t p = 0; p < groups; ++p) {
      for (std::size_t r = 1; r < radix; ++r) {
        const double turn = -2 * std::numbers::pi * static_cast<double>(p * r) / static_cast<double>(left);
        twiddles_.push_back(static_cast<float>(std::cos(turn)));
        twiddles_.push_back(static_cast<float>(std::sin(turn)));
      }
    }
    stride *= radix;
    left = groups;
  }
  for (std::size_t k = 0; k <= half_ / 2; ++k) {
    const double turn = -std::numbers::pi * static_cast<double>(k) / static_cast<double>(half_);
    turns_.push_back(static_cast<float>(std::cos(turn)));
    turns_.push_back(static_cast<float>(std::sin(turn)));
  }
}

void LogMel::plan_triangles() {
  const double low = mel_of(options_.low_hz), high = mel_of(options_.high_hz);
  const auto corner = [&](int at) { return hz_of(low + (high - low) * at / (options_.mels + 1)); };
  for (int mel = 0; mel < options_.mels; ++mel) {
    const double left = corner(mel), peak = corner(mel + 1), right = corner(mel + 2);
    Band band{0, 0, band_weights_.size()};
    for (std::size_t bin = 0; bin < bins(); ++bin) {
      const double hz = static_cast<double>(bin) * options_.rate_hz / options_.window;
      const double weight = std::min((hz - left) / (peak - left), (right - hz) / (right - peak));
      if (weight <= 0) continue;
      if (band.end == 0) band.begin = bin;
      band.end = bin + 1;
      band_weights_.push_back(static_cast<float>(weight));
    }
    bands_.push_back(band);
  }
}

std::vector<float> LogMel::triangle(std::size_t mel) const {
  std::vector<float> weights(bins(), 0.0F);
  const Band& band = bands_[mel];
  for (std::size_t bin = band.begin; bin < band.end; ++bin)
    weights[bin] = band_weights_[band.weights + bin - band.begin];
  return weights;
}

/// Up to 8 frames from `samples` on; lanes beyond `valid` repeat the last one.
template <class Lanes>
VERGE_LANES_INLINE void LogMel::compute_lanes(const float* samples, std::size_t valid, float* frames) {
  auto* first = reinterpret_cast<LanePair*>(scratch_.data());
  auto* second = first + half_;
  auto* power = reinterpret_cast<Lanes*>(second + half_);
  auto* mels = power + bins();
  const auto hop = static_cast<std::size_t>(options_.hop), window = static_cast<std::size_t>(options_.window);

  // Samples times window, frames into lanes; even samples are real parts, odd ones imaginary.
  const float* starts[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) starts[lane] = samples + hop * std::min(lane, valid - 1);
  auto* packed = reinterpret_cast<Lanes*>(first);
  std::size_t at = 0;
  for (; at + kLanes <= window; at += kLanes) {
    Lanes weights, rows[kLanes];
    std::memcpy(&weights, window_.data() + at, sizeof weights);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      std::memcpy(&rows[lane], starts[lane] + at, sizeof rows[lane]);
      rows[lane] *= weights;
    }
    transpose(rows);
    for (std::size_t i = 0; i < kLanes; ++i) packed[at + i] = rows[i];
  }
  for (; at < window; ++at) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) packed[at][lane] = starts[lane][at] * window_[at];
  }

  LanePair* source = first;
  LanePair* target = second;
  for (const Step& step : steps_) {
    const float* twiddles = twiddles_.data() + step.twiddles;
    switch (step.radix) {
      case 2:
        step_of<2>(source, target, step.groups, step.stride, twiddles);
        break;
      case 3:
        step_of<3>(source, target, step.groups, step.stride, twiddles);
        break;
      case 4:
        step_of<4>(source, target, step.groups, step.stride, twiddles);
        break;
      default:
        step_of<5>(source, target, step.groups, step.stride, twiddles);
        break;
    }
    std::swap(source, target);
  }

  // Spectrum of the real signal: X[k] = E[k] + w^k O[k], and X[half - k] = conj(E[k] - w^k O[k]).
  for (std::size_t k = 0; k <= half_ / 2; ++k) {
    const LanePair a = source[k], other = source[k == 0 ? 0 : half_ - k];
    const LanePair b{other.re, -other.im};
    const LanePair even = (a + b) * 0.5F, odd = turned(by_minus_i((a - b) * 0.5F), turns_.data() + 2 * k);
    const LanePair up = even + odd, down = even - odd;
    power[k] = up.re * up.re + up.im * up.im;
    power[half_ - k] = down.re * down.re + down.im * down.im;
  }

  const auto count = static_cast<std::size_t>(options_.mels);
  const Lanes lowest = options_.floor - Lanes{};
  for (std::size_t mel = 0; mel < count; ++mel) {
    const Band& band = bands_[mel];
    const float* weights = band_weights_.data() + band.weights;
    Lanes sum{};
    for (std::size_t bin = band.begin; bin < band.end; ++bin) sum += power[bin] * *weights++;
    if (options_.is_logarithm) {
      sum = sum > lowest ? sum : lowest;
      take_logarithm(sum);
    }
    mels[mel] = sum;
  }
  for (std::size_t mel = 0; mel < count; mel += kLanes) {
    Lanes rows[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) rows[i] = mels[mel + i];
    transpose(rows);
    const std::size_t kept = std::min(kLanes, count - mel);
    for (std::size_t lane = 0; lane < valid; ++lane) std::memcpy(frames + lane * count + mel, &rows[lane], 4 * kept);
  }
}

VERGE_UNROLLED void LogMel::compute_plain(const float* samples, std::size_t valid, float* frames) {
  compute_lanes<LaneFloats>(samples, valid, frames);
}

#if defined(__x86_64__)
VERGE_AVX2 VERGE_FUSED void LogMel::compute_avx2(const float* samples, std::size_t valid, float* frames) {
  compute_lanes<LaneFloats>(samples, valid, frames);
}
VERGE_AVX512 VERGE_FUSED void LogMel::compute_avx512(const float* samples, std::size_t valid, float* frames) {
  compute_lanes<LaneFloats>(samples, valid, frames);
}
#else
void LogMel::compute_avx2(const float* samples, std::size_t valid, float* frames) {
  compute_plain(samples, valid, frames);
}
void LogMel::compute_avx512(const float* samples, std::size_t valid, float* frames) {
  compute_plain(samples, valid, frames);
}
#endif

void LogMel::add(std::span<const float> samples, std::vector<float>& frames) {
  const auto window = static_cast<std::size_t>(options_.window), hop = static_cast<std::size_t>(options_.hop);
  const auto mels = static_cast<std::size_t>(options_.mels);
  waiting_.insert(waiting_.end(), samples.begin(), samples.end());
  if (waiting_.size() < window) return;
  const std::size_t count = (waiting_.size() - window) / hop + 1;
  const std::size_t begin = frames.size();
  frames.resize(begin + count * mels);
  for (std::size_t frame = 0; frame < count; frame += kLanes) {
    const std::size_t valid = std::min(kLanes, count - frame);
    const float* source = waiting_.data() + frame * hop;
    float* target = frames.data() + begin + frame * mels;
    (this->*compute_)(source, valid, target);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count * hop));
}

}  // namespace verge::audio
