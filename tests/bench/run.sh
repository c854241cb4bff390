#!/bin/sh
# Runs every benchmark beside this file (all *.sh but this one) and prints a line for each:
#   name, ours, peer, ratio (peer / ours unless the line says otherwise), answer ok or FAILED, target
# A benchmark is a script that prints such lines itself and exits 0 when its answers are right, 77 when
# something it needs is not installed (having said what), anything else when an answer is wrong. FULL=1 asks for
# full sizes. Ours and the peer run interleaved, the best of several runs of each counts. Exits non-zero when an
# answer is wrong; a missed target is printed, not failed: the machine may be busy.
# With arguments, only the benchmarks so named: tests/bench/run.sh kmeans
cd "$(dirname "$0")/../.." || exit 2
[ -x build/bench ] || { echo "tests/bench/run.sh: build/bench is not there: run make bench" >&2; exit 2; }
export FULL="${FULL:-0}"
failed=0 skipped=0 run=0
printf '%-30s %14s %14s %8s  %-7s %s\n' benchmark ours peer ratio answer target
for script in tests/bench/*.sh; do
    [ "$script" = tests/bench/run.sh ] && continue
    [ $# -gt 0 ] && ! printf '%s\n' "$@" | grep -qx "$(basename "$script" .sh)" && continue
    run=$((run + 1))
    sh "$script"
    case $? in
    0) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
done
echo "$run benchmarks, $failed with wrong answers, $skipped skipped"
[ "$run" -gt 0 ] && [ "$failed" -eq 0 ]
