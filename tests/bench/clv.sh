#!/bin/sh
# BG/NBD: fit and scoring of simulated customers against the usual way, SciPy's Nelder-Mead over the vectorised likelihood of
# every customer: quick 20,000 customers, FULL=1 1,000,000. Then recovery of known parameters by all three models.
/usr/bin/python3 -c 'import scipy' 2>/dev/null || {
    echo "clv: skipped: /usr/bin/python3 has no scipy (Debian: python3-scipy)"
    exit 77
}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
/usr/bin/python3 tests/bench/clv.py "$dir" "${FULL:-0}"
