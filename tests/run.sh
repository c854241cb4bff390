#!/bin/sh
# Runs every test that `make test` has built and ends with one summary; its last line is
#     N passed, N failed, N skipped
# Unit, store and HTTP suites and the fuzz corpora run under the address and undefined-behaviour sanitizers, the thread
# programs under the thread sanitizer. A suite's report is shown when it fails. A test counts once; a thread program and
# the replay of one fuzz corpus count as one test each. Finding nothing to run is a failure.
#
#     tests/run.sh [WORD…]    only suites whose name holds one of the words: unit_base, store, http, threads_x, fuzz_x, clients
set -u
cd "$(dirname "$0")/.."
MEROS_TEST_DATA=${MEROS_TEST_DATA:-../shared/data}
[ ! -d "$MEROS_TEST_DATA" ] || MEROS_TEST_DATA=$(cd "$MEROS_TEST_DATA" && pwd)
export MEROS_TEST_DATA
export OPENBLAS_NUM_THREADS=1
# Settings of whoever runs this are not the tests'.
for name in $(env | sed -n 's/^\(MEROS_[A-Z_]*\)=.*/\1/p'); do
    case $name in MEROS_TEST_*) ;; *) unset "$name" ;; esac
done
reports=$PWD/build/reports
rm -rf "$reports"
mkdir -p "$reports"

passed=0 failed=0 skipped=0
begin_all=$(date +%s)

wanted() { # NAME
    [ -n "${only:-}" ] || return 0
    for word in $only; do case $1 in *"$word"*) return 0 ;; esac; done
    return 1
}
only="$*"

# What the sanitizers wrote about a suite, if anything: criterion takes a leak for a pass, so this decides.
sanitizer_reports() { # NAME
    find "$reports" -name "$1.san.*" -size +0 2>/dev/null
}

sanitized() { # NAME SECONDS COMMAND…
    name=$1 limit=$2
    shift 2
    ASAN_OPTIONS="abort_on_error=1:log_path=$reports/$name.san" \
    UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:log_path=$reports/$name.san" \
        timeout --kill-after=10 "$limit" "$@" >"$reports/$name.log" 2>&1
}

# What failed, said again at the very end: whoever sees only the last lines of the output sees this.
failures=$reports/failures

show() { # NAME STATUS SANITIZER-REPORTS
    {
        echo "failed: $1 (exit status $2)"
        grep -h -s -A 2 '^not ok' "$reports/$1.tap" "$reports/$1.log" | cut -c1-200 | head -n 12 | sed 's/^/    /'
        grep -q -s '^not ok' "$reports/$1.tap" || tail -n 3 "$reports/$1.log" | cut -c1-200 | sed 's/^/    /'
        for report in $3; do grep -h -m 1 -e 'SUMMARY: ' -e 'runtime error: ' "$report" | cut -c1-200 | sed 's/^/    /'; done
    } >>"$failures"
    echo "----- $1 (exit status $2)"
    [ "$2" != 124 ] && [ "$2" != 137 ] || echo "It ran out of time."
    # passes are of no interest here; of a very long report, the end is
    grep -v -e '^\[PASS\]' -e '^\[RUN \]' "$reports/$1.log" | tail -n 300
    for report in $3; do
        echo "----- $report"
        head -n 120 "$report"
    done
    echo "-----"
}

line() { # NAME PASSED FAILED SKIPPED SECONDS
    printf '%-22s %4d passed, %d failed, %d skipped  (%d s)\n' "$@"
}

suite() { # NAME SECONDS: a criterion program; each of its tests counts
    wanted "$1" || return 0
    begin=$(date +%s)
    sanitized "$1" "$2" "build/asan/tests/$1" --tap="$reports/$1.tap"
    status=$?
    found=$(sanitizer_reports "$1")
    tap=$reports/$1.tap
    [ -e "$tap" ] || : >"$tap"
    planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$tap" | head -n 1)
    bad=$(grep -c '^not ok' "$tap")
    off=$(grep -c '^ok.*# SKIP' "$tap")
    good=$(($(grep -c '^ok' "$tap") - off))
    # tests that never reported, and faults that no test was blamed for, are failures too
    missing=$((${planned:-1} - good - bad - off))
    [ "$missing" -le 0 ] || bad=$((bad + missing))
    if [ "$bad" = 0 ] && { [ "$status" != 0 ] || [ -n "$found" ] || [ "${planned:-0}" = 0 ]; }; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + off))
    line "$1" "$good" "$bad" "$off" $(($(date +%s) - begin))
    sed -n 's/^ok - \(.*[^ ]\) *# SKIP */    skipped: \1: /p' "$tap"
    [ "$bad" = 0 ] || show "$1" "$status" "$found"
}

program() { # NAME SECONDS COMMAND…: counts as one test
    wanted "$1" || return 0
    begin=$(date +%s)
    sanitized "$@"
    status=$?
    found=$(sanitizer_reports "$1")
    if [ "$status" = 0 ] && [ -z "$found" ]; then
        passed=$((passed + 1))
        line "$1" 1 0 0 $(($(date +%s) - begin))
    else
        failed=$((failed + 1))
        line "$1" 0 1 0 $(($(date +%s) - begin))
        show "$1" "$status" "$found"
    fi
}

# The thread sanitizer needs addresses where it expects them; containers may forbid turning randomisation off, and newer
# kernels need it.
fixed_addresses=
! setarch -R true 2>/dev/null || fixed_addresses="setarch -R"

for source in tests/unit/*/; do
    layer=$(basename "$source")
    [ -n "$(find "$source" -name '*.c')" ] && suite "unit_$layer" 900
done
[ -n "$(find tests/store -name '*.c' 2>/dev/null)" ] && suite store 1500
[ -n "$(find tests/http -name '*.c' 2>/dev/null)" ] && suite http 1500
for source in tests/threads/*.c; do
    [ -e "$source" ] || continue
    name=threads_$(basename "$source" .c)
    export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:log_path=$reports/$name.san"
    # shellcheck disable=SC2086
    program "$name" 600 $fixed_addresses "build/tsan/tests/$name"
done
for source in tests/fuzz/*.c; do
    [ -e "$source" ] && [ "$(basename "$source")" != replay.c ] || continue
    name=fuzz_$(basename "$source" .c)
    program "$name" 300 "build/asan/tests/$name"
done

# Other people's SDKs against the real program; a program of its own, in TAP as the others.
clients() {
    wanted clients || return 0
    begin=$(date +%s)
    timeout --kill-after=10 900 sh tests/clients/run.sh >"$reports/clients.log" 2>&1
    status=$?
    good=$(grep '^ok - ' "$reports/clients.log" | grep -vc '# SKIP')
    bad=$(grep -c '^not ok' "$reports/clients.log")
    off=$(grep -c '^ok - .*# SKIP' "$reports/clients.log")
    if [ "$bad" = 0 ] && [ "$status" != 0 ]; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + off))
    line clients "$good" "$bad" "$off" $(($(date +%s) - begin))
    sed -n 's/^ok - \(.*\) # SKIP \(.*\)/    skipped: \1: \2/p' "$reports/clients.log"
    [ "$bad" = 0 ] || show clients "$status" ""
}
clients

echo "reports: build/reports; $(($(date +%s) - begin_all)) s"
if [ $((passed + failed)) = 0 ]; then
    echo "no test was found" >&2
    failed=1
fi
[ ! -s "$failures" ] || head -n 15 "$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
