#!/bin/sh
# Item neighbours by cosine against a SciPy sparse product with the best 100 of each row: quick 5,000 x 1,000 with
# 100,000 interactions, FULL=1 50,000 x 10,000 with 2,000,000.
/usr/bin/python3 -c 'import scipy' 2>/dev/null || {
    echo "item_knn: skipped: /usr/bin/python3 has no scipy (Debian: python3-sklearn)"
    exit 77
}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
/usr/bin/python3 tests/bench/item_knn.py "$dir" "${FULL:-0}"
