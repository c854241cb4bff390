#!/bin/sh
# EASE against LAPACK's spotrf and spotri alone, with all cores: quick 1,500 items, FULL=1 10,000.
/usr/bin/python3 -c 'import scipy' 2>/dev/null || {
    echo "ease: skipped: /usr/bin/python3 has no scipy (Debian: python3-sklearn)"
    exit 77
}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
/usr/bin/python3 tests/bench/ease.py "$dir" "${FULL:-0}"
