#!/bin/sh
# POST /v1/events on a PostgreSQL whose every flush to disk takes 2 ms (its files in memory, build/slowsync.so before its
# libc): single events against one INSERT and commit a request over a pool of 16 connections, from 64 and from 256 clients,
# in turns, the best round of each (the yardsticks are an HTTP service on the same library in front of the same indexed table,
# asked by the same clients, that keeps no statistics: its 16 threads wait for the database, or, the best that such a pool
# can do, 4 threads hand the requests to 16 others. A client's commit takes two flushes on the average, the one under way and its own:
# so the latter comes to 16 requests in two flushes, and from 64 clients nobody can be more than 4 times as fast); arrays of 500 against COPY of the same rows into the same indexed table
# as it was before them; the 99th percentile at a steady rate, alone and while a k-means trains. What was answered is
# compared with what is in the tables. On a machine that does other work too: chrt -r 1 sh tests/bench/run.sh events (then
# the training, which has to stand back otherwise, does not, and the last line means nothing).
for program in events_load events_peer slowsync.so; do
    [ -e build/$program ] || { echo "events: skipped: build/$program is not there: run make bench"; exit 77; }
done
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -x "$bin/initdb" ] && command -v psql >/dev/null || { echo "events: skipped: PostgreSQL's programs are not installed"; exit 77; }
[ -d /dev/shm ] && dir=$(mktemp -d /dev/shm/meros-bench-XXXXXX) || { echo "events: skipped: there is no /dev/shm"; exit 77; }
chmod 755 "$dir"
key=bench-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
port=$((20000 + $$ % 20000)) waiting_port=$((20001 + $$ % 20000)) suspended_port=$((20002 + $$ % 20000)) meros= peers=
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
stop() {
    [ -n "$peers" ] && kill $peers 2>/dev/null
    [ -n "$meros" ] && kill "$meros" 2>/dev/null && wait "$meros" 2>/dev/null
    [ -d "$dir/pg" ] && as "$bin/pg_ctl" -D "$dir/pg" -m immediate stop >/dev/null 2>&1
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 2' INT TERM
fail() { echo "events: $*" >&2; tail -n 3 "$dir/log" "$dir/pg.log" >&2; exit 1; }

cp build/slowsync.so "$dir/"
mkdir -m 700 "$dir/pg" && mkdir "$dir/run" && touch "$dir/pg.log" || exit 2
[ "$(id -u)" != 0 ] || chown postgres "$dir/pg" "$dir/run" "$dir/pg.log"
as "$bin/initdb" -D "$dir/pg" -U meros -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null || fail "initdb failed"
cat >>"$dir/pg/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/run'
wal_sync_method = fdatasync
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 1h
autovacuum_naptime = 10s
CONF
LD_PRELOAD="$dir/slowsync.so" SLOWSYNC_US=2000 as "$bin/pg_ctl" -D "$dir/pg" -s -w -l "$dir/pg.log" start || fail "PostgreSQL did not start"
url="postgresql://meros@/postgres?host=$dir/run"
sql() { psql -qAt -v ON_ERROR_STOP=1 "$url" -c "$1"; }

MEROS_BOOTSTRAP_KEY=$key MEROS_DATA_DIR=$dir/var MEROS_DATABASE_URL=$url MEROS_PORT=$port MEROS_ACCESS_LOG=false build/meros serve 2>"$dir/log" &
meros=$!
n=0
until curl -sf "http://127.0.0.1:$port/readyz" >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 300 ] && kill -0 $meros 2>/dev/null || fail "the service did not become ready"
    sleep 0.1
done
# The yardsticks write into a table of the same name and indexes in a schema of its own.
sql "create schema peer; create table peer.events (like public.events including all)" || fail "no table for the yardstick"
mkfifo "$dir/stdin" && exec 9<>"$dir/stdin" || exit 2 # it runs until its standard input ends
for how in waiting suspended; do
    eval "peer_port=\$${how}_port"
    build/events_peer $peer_port "$url&options=-csearch_path%3Dpeer" $how <"$dir/stdin" >"$dir/$how.log" 2>&1 &
    peers="$peers $!"
    n=0
    until grep -q ready "$dir/$how.log"; do
        n=$((n + 1))
        [ $n -lt 50 ] || fail "the yardstick did not start"
        sleep 0.1
    done
done

answer=ok accepted_all=0 round=0
cpu() { for p in "$@"; do cat "/proc/$p/stat" 2>/dev/null; done | awk '{ s += $14 + $15 } END { print s + 0 }'; }
# build/events_load's line in $posts … $took; of ours the accepted add up.
load() { # port clients seconds events-a-post [rate]
    round=$((round + 1))
    set -- "$@" "$(build/events_load "$1" "$key" "$2" "$3" "$4" 20000 "r$$-$round-" ${5:-})" || fail "the clients failed"
    eval "line=\${$#}"
    set -- "$1" $line
    to=$1 posts=$2 events=$3 accepted=$4 refused=$5 p50=$6 p99=$7 most=$8 took=$9
    [ "$refused" = 0 ] && [ "$accepted" = "$events" ] || { answer=FAILED; echo "events: $refused refused, $accepted of $events accepted" >&2; }
    [ "$to" != "$port" ] || accepted_all=$((accepted_all + accepted))
}
per_second() { awk "BEGIN { printf \"%.0f\", $accepted / $took }"; }
more() { awk "BEGIN { exit !($1 > $2) }"; }
[ "${FULL:-0}" = 1 ] && seconds=5 rounds=5 || { seconds=2; rounds=2; }
hz=$(getconf CLK_TCK)
load $port 64 1 1 && load $port 8 $seconds 500 # its customers and products

singles() { # clients target
    ours=0 ours_p99=0 ours_cpu=0 waiting=0 waiting_p99=0 suspended=0 suspended_p99=0
    for r in $(seq $rounds); do
        before=$(cpu $meros)
        load $port $1 $seconds 1
        v=$(per_second)
        if more $v $ours; then ours=$v ours_p99=$p99 ours_cpu=$(awk "BEGIN { printf \"%.0f\", ($(cpu $meros) - $before) / $hz * 1e6 / $accepted }"); fi
        load $waiting_port $1 $seconds 1
        v=$(per_second)
        if more $v $waiting; then waiting=$v waiting_p99=$p99; fi
        load $suspended_port $1 $seconds 1
        v=$(per_second)
        if more $v $suspended; then suspended=$v suspended_p99=$p99; fi
    done
    printf '%-30s %12s/s %12s/s %8s  %-7s %s\n' "events single $1 clients" $ours $waiting "$(awk "BEGIN { printf \"%.2fx\", $ours / $waiting }")" $answer \
        "at least $2x (99 % within $ours_p99 ms, $waiting_p99 ms; $ours_cpu us CPU of the service an event)"
    printf '%-30s %12s/s %12s/s %8s  %-7s %s\n' "  the same, threads that hand on" $ours $suspended "$(awk "BEGIN { printf \"%.2fx\", $ours / $suspended }")" $answer \
        "(99 % within $ours_p99 ms, $suspended_p99 ms)"
}
singles 64 4
singles 256 8

# Arrays: and COPY of the rows that came in by them, from a file in memory, into a table that holds the others already.
ours=0 theirs=0
for r in $(seq $rounds); do
    before=$(cpu $meros)
    load $port 8 $seconds 500
    v=$(per_second)
    more $v $ours && ours=$v ours_cpu=$(awk "BEGIN { printf \"%.1f\", ($(cpu $meros) - $before) / $hz * 1e6 / $accepted }")
    rows=$accepted
    sql "truncate peer.events; insert into peer.events select * from public.events where event_id not like 'r$$-$round-%';
         copy (select * from public.events where event_id like 'r$$-$round-%') to '$dir/run/rows' (format binary)" || fail "no rows"
    from=$(date +%s%N)
    sql "copy peer.events from '$dir/run/rows' (format binary)" || fail "the copy failed"
    v=$(awk "BEGIN { printf \"%.0f\", $rows * 1e9 / ($(date +%s%N) - $from) }")
    more $v $theirs && theirs=$v
done
printf '%-30s %12s/s %12s/s %8s  %-7s %s\n' "events arrays of 500" $ours $theirs "$(awk "BEGIN { printf \"%.2fx\", $ours / $theirs }")" $answer \
    "at least 0.5x of COPY ($ours_cpu us CPU of the service an event)"

# The 99th percentile at a rate that is well below the most, alone and beside a training.
rate=2000
load $port 256 $seconds 1 $rate
alone=$p99
awk 'BEGIN { print "customer_id,order_id,ordered_at,amount"; for (i = 0; i < 20000; i++) printf "c%d,o%d,2025-%02d-%02d,%d\n", i, i, 1 + i % 12, 1 + i % 28, 5 + i % 90 }' |
    curl -sf -H "Authorization: Bearer $key" -H 'Content-Type: text/csv' --data-binary @- "http://127.0.0.1:$port/v1/imports/orders" >/dev/null || fail "the import failed"
(while [ -e "$dir/train" ] || [ ! -e "$dir/over" ]; do
    curl -sf -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d '{"kind":"train.segments","params":{"k":"auto"}}' "http://127.0.0.1:$port/v1/jobs" >/dev/null
    sleep 0.2
done) &
trainer=$!
sleep 0.5
load $port 256 $seconds 1 $rate
touch "$dir/over"
wait $trainer
printf '%-30s %12sms %12sms %8s  %-7s %s\n' "events 99th percentile" $p99 $alone "$(awk "BEGIN { printf \"%.2fx\", $alone / $p99 }")" $answer \
    "$rate/s while k-means trains, and alone"

there=$(sql "select count(*) from public.events") sum=$(sql "select sum(count) from customer_event_stats")
[ "$there" = "$accepted_all" ] && [ "$sum" = "$there" ] || { answer=FAILED; echo "events: $accepted_all accepted, $there in the table, $sum in the statistics" >&2; }
[ $answer = ok ]
