/* Kernels that there are several of, for the instruction sets of different machines: which of them runs here. */
#ifndef MEROS_ML_KERNELS_PRIV_H
#define MEROS_ML_KERNELS_PRIV_H

#include <stdbool.h>

enum kernel_kind { KERNEL_AVX512, KERNEL_AVX2, KERNEL_PORTABLE, KERNEL_KINDS }; /* the best first */

enum kernel_kind kernel_best(void); /* that this machine runs */
/* By its name, "avx512", "avx2" or "portable"; false if there is none or this machine does not run it. */
bool kernel_named(const char *name, enum kernel_kind *out);

#endif
