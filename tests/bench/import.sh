#!/bin/sh
# Import of order lines over HTTP against psql's \copy of the same rows into the same indexed tables (all that the import
# fills, with its internal keys already computed), on the same server, one after the other. Quick: 200,000 lines; FULL=1
# 1,000,000. Ours also reads CSV with the client's ids, checks every row, gives numbers to ids and keeps the statistics.
set -u
for tool in psql curl awk; do
    command -v $tool >/dev/null || { echo "import: skipped: no $tool"; exit 77; }
done
rows=200000 rounds=2
[ "${FULL:-0}" = 1 ] && rows=1000000 rounds=3
meros=$PWD/build/meros
dir=$(mktemp -d /tmp/meros-bench-XXXXXX) || exit 2
chmod 755 "$dir"
pid=
cleanup() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; }
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
for port in 18931 18947 18959 18973; do
    curl -s -o /dev/null "http://127.0.0.1:$port/" || break
done
key=bench-key-for-an-empty-private-database-only
MEROS_DATA_DIR=$dir/var MEROS_PORT=$port MEROS_BOOTSTRAP_KEY=$key "$meros" serve >"$dir/log" 2>&1 &
pid=$!
tries=0
until curl -fs "http://127.0.0.1:$port/readyz" >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] && kill -0 "$pid" 2>/dev/null || { echo "import: the service did not start:"; tail -5 "$dir/log"; exit 1; }
    sleep 0.1
done
sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$dir/var/postgres/run" -U meros -d meros -At "$@"; }

# A shop's year: orders of 1 to 7 lines, some customers far busier than others, one line in forty a return.
awk -v rows=$rows 'BEGIN {
    srand(7); print "order_id,customer_id,ordered_at,product_id,quantity,unit_price"
    for (n = 0; n < rows; o++) {
        c = int(rows / 20 * rand() ^ 2); lines = 1 + int(7 * rand()); m = int(o * 525600 / (rows / 4))
        at = sprintf("%04d-%02d-%02d %02d:%02d:%02d", 2023, 1 + int(m / 43800) % 12, 1 + int(m / 1440) % 28, int(m / 60) % 24, m % 60, o % 60)
        for (l = 0; l < lines && n++ < rows; l++)
            printf "ORD-%08d,customer-%06d,%s,SKU-%05d,%d,%.2f\n", o, c, at, int(5000 * rand() ^ 2), (rand() < .025 ? -1 : 1 + int(5 * rand())), 1 + int(9900 * rand()) / 100
    } }' >"$dir/import.csv"

tables="customer_ids customers products order_ids orders order_lines customer_stats customer_products customer_days"
checkpoint() { psql -X -q -h "$dir/var/postgres/run" -U meros_admin -d meros -c checkpoint; } # so that none falls into a measurement
empty() { sql -c "truncate $(echo $tables | tr ' ' ','), events, customer_event_stats" && checkpoint; }
now() { date +%s.%N; }
ours_best=999999 peer_best=999999
ours() {
    empty
    begin=$(now)
    answer=$(curl -s -H "Authorization: Bearer $key" -H 'Content-Type: text/csv' -H 'Expect:' -T "$dir/import.csv" -X POST "http://127.0.0.1:$port/v1/imports/orders")
    t=$(awk -v a=$begin -v b=$(now) 'BEGIN {print b - a}')
    case $answer in *"\"inserted\":$rows,"*) ;; *) echo "import: $answer" | cut -c1-300; exit 1 ;; esac
    ours_best=$(awk -v a=$t -v b=$ours_best 'BEGIN {print (a < b ? a : b)}')
}
peer() {
    sql -c 'set client_min_messages = error' -c 'drop schema if exists peer cascade' -c 'create schema peer'
    for t in $tables; do sql -c "create table peer.$t (like public.$t including all)"; done
    checkpoint
    begin=$(now)
    { echo 'begin;'; for t in $tables; do printf '%s\n' "\\copy peer.$t from '$dir/$t.csv' csv"; done; echo 'commit;'; } | sql -f - || exit 1
    t=$(awk -v a=$begin -v b=$(now) 'BEGIN {print b - a}')
    peer_best=$(awk -v a=$t -v b=$peer_best 'BEGIN {print (a < b ? a : b)}')
}
order_of() { # the order of the file, in which the rows would come to whoever copies them
    case $1 in order_lines) echo 'order_no, line_key' ;; orders|order_ids) echo order_no ;; products) echo product_no ;; *) echo customer_no ;; esac
}
round=0
while [ $round -lt $rounds ]; do
    ours
    if [ $round = 0 ]; then
        for t in $tables; do sql -c "\\copy (select * from $t order by $(order_of $t)) to '$dir/$t.csv' csv"; done
    fi
    peer
    round=$((round + 1))
done
peak=$(awk '/VmHWM/ {print int($2 / 1024)}' "/proc/$pid/status")

# The answer: what the file says, what ours holds, what the peer's tables hold.
file=$(awk -F, 'NR > 1 {n++; units += $5 > 0 ? $5 : 0; net += $5 * $6; c[$2] = 1; o[$1] = 1} END {
    for (k in c) nc++; for (k in o) no++; printf "%d|%d|%d|%d|%.2f", n, no, nc, units, net}' "$dir/import.csv")
held() { sql -c "select (select count(*) from $1.order_lines), (select count(*) from $1.orders), count(*), sum(units), round(sum(revenue), 2) from $1.customer_stats"; }
ok=ok
[ "$(held public)" = "$file" ] && [ "$(held peer)" = "$file" ] || { ok=FAILED; echo "import: file $file, ours $(held public), peer $(held peer)"; }
ratio=$(awk -v a=$peer_best -v b=$ours_best 'BEGIN {printf "%.2f", a / b}')
printf '%-30s %12.2f s %12.2f s %7sx  %-7s %s\n' "import $rows lines" $ours_best $peer_best $ratio $ok "at least 0.5x"
[ "$peak" -lt 200 ] || ok=${ok}_MEMORY
printf '%-30s %11d MB %14s %8s  %-7s %s\n' "import peak memory" $peak - - "$([ "$peak" -lt 200 ] && echo ok || echo FAILED)" "under 200 MB"
[ "$ok" = ok ]
