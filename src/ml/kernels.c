#include "kernels_priv.h"

#include <string.h>

static bool runs_here(enum kernel_kind kind)
{
    switch (kind) {
#ifdef __x86_64__
    case KERNEL_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case KERNEL_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    default: return kind == KERNEL_PORTABLE;
    }
}

enum kernel_kind kernel_best(void)
{
    for (int k = 0; k < KERNEL_PORTABLE; k++)
        if (runs_here((enum kernel_kind)k)) return (enum kernel_kind)k;
    return KERNEL_PORTABLE;
}

bool kernel_named(const char *name, enum kernel_kind *out)
{
    static const char *const names[KERNEL_KINDS] = {[KERNEL_AVX512] = "avx512", [KERNEL_AVX2] = "avx2", [KERNEL_PORTABLE] = "portable"};
    for (int k = 0; k < KERNEL_KINDS; k++) {
        *out = (enum kernel_kind)k;
        if (strcmp(name, names[k]) == 0) return runs_here(*out);
    }
    return false;
}
