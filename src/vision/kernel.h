// vision/kernel.h -- marks the loops that are worth wider vector instructions where the machine has them.
//
// Such a function is compiled twice and chosen at run time where the compiler can; elsewhere once. Sanitizers cannot
// run inside the chooser.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define VERGE_KERNEL __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define VERGE_KERNEL
#endif
