// base/kernel.h -- marks the loops that are worth wider vector instructions where the machine has them.
//
// VERGE_KERNEL compiles a function twice and chooses at run time where the compiler can; elsewhere it is compiled once.
// Sanitizers cannot run inside the chooser. VERGE_UNROLLED only asks for more optimisation. Functions with intrinsics
// name their instructions themselves (VERGE_AVX2) and are called after asking has_avx2().
#pragma once

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

namespace verge {

inline bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") > 0 && __builtin_cpu_supports("fma") > 0;
  return has;
}

}  // namespace verge
#endif
