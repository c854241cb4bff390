#include "meros/ml/matrix.h"

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "matrix_priv.h"

enum { LARGE_PAGE = 2 << 20, LARGE = 8 << 20 };

void ml_need_add(struct ml_need *need, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(need->bytes, bytes, &need->bytes)) {
        need->overflow = true;
    }
}

enum meros_code ml_need_check(const struct ml_need *need, size_t budget, const char *what,
                              struct meros_err *err)
{
    if (need->overflow) return err_set(err, MEROS_OUT_OF_MEMORY, "%s needs more memory than there is", what);
    if (budget == 0 || need->bytes <= budget) return MEROS_OK;
    return err_set(err, MEROS_OUT_OF_MEMORY, "%s needs %.1f MB of memory and may use %.1f MB", what,
                   (double)need->bytes / 1e6, (double)budget / 1e6);
}

/* Allocations until the one that a test wants to fail; negative: none. */
static atomic_long fail_in = -1;
static atomic_bool has_failed;

bool ml_alloc_fail_at(long n)
{
    bool before = atomic_exchange(&has_failed, false);
    atomic_store(&fail_in, n);
    return before;
}

static bool fails_for_a_test(void)
{
    if (atomic_load_explicit(&fail_in, memory_order_relaxed) < 0 || atomic_fetch_sub(&fail_in, 1) != 0) return false;
    atomic_store(&has_failed, true);
    return true;
}

void *ml_alloc_raw(size_t count, size_t size)
{
    size_t bytes;
    if (fails_for_a_test()) return NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - LARGE_PAGE) return NULL;
    bytes = bytes == 0 ? 64 : (bytes + 63) / 64 * 64;
    /* Large arrays get large pages where the system lends them: a tenth of the page faults, and fewer TLB
     * misses in the passes that stream through them. */
    if (bytes >= LARGE) bytes = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    void *p = aligned_alloc(bytes >= LARGE ? LARGE_PAGE : 64, bytes);
    if (p == NULL) return NULL;
    if (bytes >= LARGE) madvise(p, bytes, MADV_HUGEPAGE); /* only advice: failing changes nothing but speed */
    return p;
}

void *ml_alloc(size_t count, size_t size)
{
    void *p = ml_alloc_raw(count, size);
    return p == NULL ? NULL : memset(p, 0, count * size);
}

enum meros_code ml_check_finite(struct ml_matrix x, struct meros_err *err)
{
    for (size_t i = 0; i < x.rows; i++) {
        for (size_t j = 0; j < x.cols; j++) {
            float v = x.data[i * x.cols + j];
            if (!isfinite(v)) {
                return err_set(err, MEROS_UNPROCESSABLE,
                               "row %zu, column %zu is %s, not a number that can be used", i, j,
                               isnan(v) ? "NaN" : "infinite");
            }
        }
    }
    return MEROS_OK;
}
