#!/bin/sh
# GET /v1/customers/{id} (reads the database, judges with two models) against a bare libmicrohttpd that answers a constant
# of the same size, both with keep-alive, interleaved, the best of several rounds each. Prints what the time went to.
# Then, with a model of lifetime value besides, GET /v1/customers/{id}/clv against GET /v1/customers/{id}.
name=customer_get
. tests/bench/service.inc
start_service

# Customer i has 1 + i % 9 orders of 2 lines; the answers are checked against that.
[ "${FULL:-0}" = 1 ] && customers=200000 || customers=10000
awk -v n=$customers 'BEGIN {
    print "order_id,customer_id,ordered_at,product_id,quantity,unit_price"
    for (i = 1; i <= n; i++) for (j = 0; j <= i % 9; j++) for (l = 0; l < 2; l++)
        printf "o%d-%d,c%d,2025-%02d-%02d,p%d,%d,%d.5\n", i, j, i, 1 + (i + j) % 12, 1 + (i * 7 + j) % 28, (i * 3 + l) % 500, 1 + i % 4, 3 + i % 40
}' | curl -sf -H "$auth" -H 'Content-Type: text/csv' --data-binary @- "$base/v1/imports/orders" >/dev/null || fail "the import failed"
for params in '"k":5,"as_of":"2026-01-01"' '"name":"rfm","method":"rfm","as_of":"2026-01-01"'; do
    await_job "$(submit "{\"kind\":\"train.segments\",\"params\":{$params}}")" 1200
done

answer=ok
for i in 1 8 9 4321; do
    curl -sf -H "$auth" "$base/v1/customers/c$i" >"$dir/answer" || fail "customer c$i was not answered"
    grep -q "\"orders\":$((1 + i % 9))," "$dir/answer" && grep -q '"behaviour":{"id":"s' "$dir/answer" && grep -q '"rfm":{"id":' "$dir/answer" || answer=FAILED
done
bytes=$(wc -c <"$dir/answer")
start_bare $bytes

# Requests formatted before the clock runs, so that wrk does the same work for both.
cat >"$dir/get.lua" <<'LUA'
local requests, i = {}, 0
function init(args)
    for c = 1, 2000 do requests[c] = wrk.format("GET", args[1] .. (args[1] == "/" and "" or c)) end
end
function request()
    i = i % 2000 + 1
    return requests[i]
end
LUA
postmaster=$(find "$dir/var" -name postmaster.pid -exec head -1 {} + | head -1)
measure() { # url path -> requests per second; -> $dir/wrk
    wrk -t1 -c256 -d"${seconds}s" --latency -s "$dir/get.lua" -H "$auth" "$1" -- "$2" >"$dir/wrk" 2>&1
    grep -q 'Non-2xx' "$dir/wrk" && answer=FAILED
    sed -n 's/^Requests\/sec: *//p' "$dir/wrk"
}
seconds=1
measure "$base" /v1/customers/c >/dev/null # warm
seconds=3 ours=0 peer=0
for round in 1 2 3; do
    b0=$(cpu $bare)
    b=$(measure "$bare_base" /)
    b1=$(cpu $bare)
    m0=$(cpu $meros) p0=$(cpu $(pgrep -P "$postmaster"))
    o=$(measure "$base" /v1/customers/c)
    m1=$(cpu $meros) p1=$(cpu $(pgrep -P "$postmaster"))
    peer=$(echo "$peer $b" | awk '{ print ($2 > $1) ? $2 : $1 }')
    if [ "$(echo "$o $ours" | awk '{ print ($1 > $2) }')" = 1 ]; then
        ours=$o
        split=$(echo "$((m1 - m0)) $((p1 - p0)) $o $seconds $(getconf CLK_TCK) $(getconf _NPROCESSORS_ONLN) $((b1 - b0)) $b" | awk '{
            us = 1e6 / $5 / $4
            printf "meros %.1f us a request, PostgreSQL %.1f (bare %.1f), busy %.0f %% of %d cores", $1 * us / $3, $2 * us / $3, $7 * us / $8, 100 * ($1 + $2) / $5 / $4 / $6, $6 }')
        p99=$(sed -n 's/^ *99% *//p' "$dir/wrk")
    fi
done
echo "$ours $peer $answer" | awk '{ printf "%-30s %12.0f/s %12.0f/s %8.2f  %-7s %s\n", "customer_get", $1, $2, $1 / $2, $3, "ours/peer >= 0.20" }'
echo "  CPU: $split; p99 $p99; $customers customers, answers of $bytes bytes"

# These customers are too regular for chance to explain: a small penalty keeps the parameters where those of shops are.
await_job "$(submit '{"kind":"train.clv","params":{"as_of":"2026-01-01","penalty":0.001}}')" 1200
clv_answer=ok
for i in 1 8 9 4321; do # what one answer says the other says too
    one=$(curl -sf -H "$auth" "$base/v1/customers/c$i/clv" | sed -n 's/.*"expected_order_value":[0-9.]*,"clv":\([0-9.]*\),.*/\1/p')
    other=$(curl -sf -H "$auth" "$base/v1/customers/c$i" | sed -n 's/.*"expected_order_value":[0-9.]*,"clv":\([0-9.]*\),.*/\1/p')
    [ -n "$one" ] && [ "$one" = "$other" ] || clv_answer=FAILED
done
cat >"$dir/get.lua" <<'LUA'
local requests, i = {}, 0
function init(args)
    for c = 1, 2000 do requests[c] = wrk.format("GET", "/v1/customers/c" .. c .. args[1]) end
end
function request()
    i = i % 2000 + 1
    return requests[i]
end
LUA
clv=0 whole=0
for round in 1 2 3; do
    o=$(measure "$base" /clv) b=$(measure "$base" "")
    clv=$(echo "$clv $o" | awk '{ print ($2 > $1) ? $2 : $1 }')
    whole=$(echo "$whole $b" | awk '{ print ($2 > $1) ? $2 : $1 }')
done
echo "$clv $whole $clv_answer" | awk '{ printf "%-30s %12.0f/s %12.0f/s %8.2f  %-7s %s\n", "customer_clv", $1, $2, $1 / $2, $3, "ours/GET customer >= 1.0" }'
[ "$answer" = ok ] && [ "$clv_answer" = ok ]
