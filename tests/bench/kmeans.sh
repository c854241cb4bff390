#!/bin/sh
# k-means against scikit-learn's Lloyd with all cores, from the same start: quick 100,000 x 16,
# FULL=1 1,000,000 x 16.
/usr/bin/python3 -c 'import sklearn' 2>/dev/null || {
    echo "kmeans: skipped: /usr/bin/python3 has no sklearn (Debian: python3-sklearn)"
    exit 77
}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
/usr/bin/python3 tests/bench/kmeans.py "$dir" "${FULL:-0}"
