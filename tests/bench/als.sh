#!/bin/sh
# Implicit ALS against NumPy, a solve a user and item: quick 5,000 x 1,000 with 100,000 interactions, FULL=1
# 50,000 x 10,000 with 2,000,000; 64 factors, 15 iterations.
/usr/bin/python3 -c 'import numpy' 2>/dev/null || {
    echo "als: skipped: /usr/bin/python3 has no numpy (Debian: python3-sklearn)"
    exit 77
}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
# One BLAS thread: products this small only wait for each other with more.
OPENBLAS_NUM_THREADS=1 /usr/bin/python3 tests/bench/als.py "$dir" "${FULL:-0}"
