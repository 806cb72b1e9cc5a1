// base/kernel.h -- marks the loops that are worth wider vector instructions where the machine has them.
//
// VERGE_KERNEL compiles a function twice and chooses at run time where the compiler can; elsewhere it is compiled once.
// Sanitizers cannot run inside the chooser. VERGE_UNROLLED only asks for more optimisation. Functions with intrinsics
// name their instructions themselves (VERGE_AVX2, VERGE_AVX512) and are called where kernel_level() says so. Of the
// AVX-512 intrinsics, those with `maskz` and a full mask: they become the plain instruction, and gcc 12 warns of the
// plain ones' own headers.
#pragma once

#include <cstdint>

#if defined(__GNUC__) && !defined(__clang__)
#define VERGE_UNROLLED __attribute__((optimize("O3")))
#else
#define VERGE_UNROLLED
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
// By level and not by a processor's name: a name means the maker's own processors only.
#define VERGE_KERNEL __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define VERGE_KERNEL VERGE_UNROLLED
#endif

#if defined(__x86_64__)
#define VERGE_AVX2 __attribute__((target("avx2,fma")))
#define VERGE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,fma")))
#endif

namespace verge {

/// What functions with intrinsics may use. Each level has all that the lower ones have.
enum class KernelLevel : std::uint8_t {
  plain,
  avx2,    ///< With FMA: Haswell, Zen and later.
  avx512,  ///< With byte permutations (VBMI) and sums of byte products (VNNI): Ice Lake, Zen 4 and later.
};

/// The highest level that this processor has.
inline KernelLevel kernel_level() {
#if defined(__x86_64__)
  static const KernelLevel level = [] {
    if (__builtin_cpu_supports("avx2") <= 0 || __builtin_cpu_supports("fma") <= 0) return KernelLevel::plain;
    const bool is_wide = __builtin_cpu_supports("avx512f") > 0 && __builtin_cpu_supports("avx512bw") > 0 &&
                         __builtin_cpu_supports("avx512dq") > 0 && __builtin_cpu_supports("avx512vl") > 0 &&
                         __builtin_cpu_supports("avx512vbmi") > 0 && __builtin_cpu_supports("avx512vnni") > 0;
    return is_wide ? KernelLevel::avx512 : KernelLevel::avx2;
  }();
  return level;
#else
  return KernelLevel::plain;
#endif
}

}  // namespace verge
