#!/bin/sh
# The serving kernel: top 10 of 20,000 items by 64 factors with 40 excluded, on one thread. No peer: a time, and whether
# the answer is right.
line=$(build/bench topk --param users="$([ "${FULL:-0}" = 1 ] && echo 20000 || echo 2000)") || exit 1
us=$(printf '%s' "$line" | sed 's/.*"microseconds": \([0-9.]*\).*/\1/')
wrong=$(printf '%s' "$line" | sed 's/.*"wrong": \([0-9]*\).*/\1/')
answer=ok
[ "$wrong" = 0 ] || answer=FAILED
printf '%-30s %11s us %14s %8s  %-7s %s\n' 'topk 10 of 20000 x 64' "$us" - - "$answer" '(one user on one thread)'
[ "$wrong" = 0 ]
