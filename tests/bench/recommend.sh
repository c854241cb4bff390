#!/bin/sh
# GET /v1/customers/{id}/recommendations, personalised, ten of 20,000 products, asked of customer after customer, against a bare
# libmicrohttpd that answers a constant of the same size, both with keep-alive, interleaved, the best of several rounds each; the same
# while a training runs; what a first answer costs; and what a customer and a product take of memory. Answers are checked: each is the
# customer's own, holds nothing that was bought, and is in the order in which POST /v1/rank, which keeps nothing, puts the same products.
name=recommend
. tests/bench/service.inc
[ "${FULL:-0}" = 1 ] && customers=100000 || customers=20000
products=20000

start_service MEROS_RECOMMEND_MEMORY_MB=1024
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$meros/status"; }
metric() { curl -sf -H "$auth" "$base/metrics" | awk -v m="$1" '$1 == m { print $2 }'; }

# Customer i likes one of 50 kinds of products, and buys 6 to 11 of its 400, now and then something else.
awk -v n=$products 'BEGIN { print "product_id,name,category,price"; for (p = 0; p < n; p++) printf "p%d,thing %d,kind%d,%d.5\n", p, p, p % 50, 3 + p % 40 }' |
    curl -sf -H "$auth" -H 'Content-Type: text/csv' --data-binary @- "$base/v1/imports/products" >/dev/null || fail "the import of products failed"
awk -v n=$customers -v m=$products 'BEGIN {
    print "order_id,customer_id,ordered_at,product_id,quantity,unit_price"
    s = 7
    for (i = 1; i <= n; i++) for (j = 0; j < 2 + i % 2; j++) for (l = 0; l < 3 + i % 2; l++) {
        s = (s * 16807) % 2147483647
        k = int(400 * (s / 2147483647) ^ 2) * 50 + (s % 8 == 0 ? s % 50 : i % 50)
        if (last[k] == i) continue # nobody buys a thing twice: nothing is due again
        last[k] = i
        printf "o%d-%d,c%d,2025-%02d-%02d,p%d,1,%d.5\n", i, j, i, 1 + (i + j) % 12, 1 + (i * 7 + j) % 28, k % m, 3 + i % 40
    }
}' >"$dir/orders"
curl -sf -H "$auth" -H 'Content-Type: text/csv' --data-binary @"$dir/orders" "$base/v1/imports/orders" >/dev/null || fail "the import of orders failed"
train() {
    job=$(submit '{"kind":"train.recommendations","params":{"algorithm":"als","factors":64,"iterations":10,"evaluate":false}}')
}
train
await_job "$job" 3000

answer=ok
items() { sed 's/.*"items"://' | grep -o '{"product_id":"[^"]*"' | sed 's/.*:"//; s/"//' | tr '\n' ' '; }
own=0
for i in 1 2 7 1234 19999; do
    got=$(curl -sf -H "$auth" "$base/v1/customers/c$i/recommendations" | tee "$dir/answer" | items) || fail "customer c$i was not answered"
    [ "$(echo "$got" | wc -w)" = 10 ] && grep -q '"personalised":true' "$dir/answer" || { answer=FAILED; echo "recommend: c$i: $(cat "$dir/answer")" >&2; }
    grep -F ",c$i," "$dir/orders" | cut -d, -f4 | sort -u >"$dir/bought"
    echo "$got" | tr ' ' '\n' | sort -u | comm -12 - "$dir/bought" | grep -q p && { answer=FAILED; echo "recommend: c$i bought some of $got" >&2; }
    back=$(echo "$got" | awk '{ for (k = NF; k > 0; k--) printf "\"%s\"%s", $k, (k > 1 ? "," : "") }')
    ranked=$(curl -sf -H "$auth" -H "$json" -d "{\"customer_id\":\"c$i\",\"products\":[$back]}" "$base/v1/rank" | items)
    [ "$ranked" = "$got" ] || { answer=FAILED; echo "recommend: c$i: $got is ranked $ranked" >&2; }
    own=$((own + $(echo "$got" | tr ' ' '\n' | sed -n 's/^p//p' | awk -v k=$((i % 50)) '$1 % 50 == k' | wc -l)))
    echo "$got" >>"$dir/all"
done
[ "$(sort -u "$dir/all" | wc -l)" = 5 ] && [ $own -ge 25 ] || { answer=FAILED; echo "recommend: of 50 products $own are of the customers' kinds" >&2; }
bytes=$(wc -c <"$dir/answer")
start_bare $bytes

# Requests formatted before the clock runs, so that wrk does the same work for both; each customer in turn, in an order that
# has nothing to do with numbers.
cat >"$dir/get.lua" <<'LUA'
local requests, n, i, step = {}, 0, 0, 7919
function init(args)
    n, i = tonumber(args[2]), tonumber(args[3]) * step
    for c = 1, n do requests[c] = wrk.format("GET", args[1] == "/" and "/" or "/v1/customers/c" .. c .. "/recommendations" .. (args[4] or "")) end
end
function request()
    i = (i + step) % n
    return requests[i + 1]
end
LUA
measure() { # url path seconds from query -> requests per second; -> $dir/wrk
    wrk -t1 -c64 -d"${3}s" --latency -s "$dir/get.lua" -H "$auth" "$1" -- "$2" "$customers" "${4:-0}" "${5:-}" >"$dir/wrk" 2>&1
    grep -q 'Non-2xx' "$dir/wrk" && answer=FAILED
    sed -n 's/^Requests\/sec: *//p' "$dir/wrk"
}
within() { sed -n "s/^ *$1% *//p" "$dir/wrk"; }
hz=$(getconf CLK_TCK)

# First answers: what is not in memory is read, scored and kept. Until everybody was asked once.
before=$(cpu $meros) asked=0 first=
while [ $asked -lt $((customers + customers / 20)) ]; do
    v=$(measure "$base" x 4 $asked)
    [ -n "$first" ] || first="$(printf '%.0f' "$v")/s, 99 % within $(within 99)"
    asked=$(awk "BEGIN { print int($asked + 4 * $v) }")
done
full=$(rss)
seconds=3 ours=0 peer=0
for round in 1 2 3; do
    b=$(measure "$bare_base" / $seconds)
    m0=$(cpu $meros)
    o=$(measure "$base" x $seconds)
    m1=$(cpu $meros)
    peer=$(echo "$peer $b" | awk '{ print ($2 > $1) ? $2 : $1 }')
    if [ "$(echo "$o $ours" | awk '{ print ($1 > $2) }')" = 1 ]; then
        ours=$o took="$(awk "BEGIN { printf \"%.1f\", ($m1 - $m0) / $hz * 1e6 / ($o * $seconds) }") us CPU a request, 50 % within $(within 50), 99 % within $(within 99)"
    fi
done
echo "$ours $peer $answer" | awk '{ printf "%-30s %12.0f/s %12.0f/s %8.2f  %-7s %s\n", "recommend", $1, $2, $1 / $2, $3, "ours/peer >= 0.5" }'
echo "  $took; answers of $bytes bytes to $customers customers in turn, $products products; first answers $first"
o=$(measure "$base" x $seconds 0 '?limit=20&category=kind3')
echo "  another query of each of the same customers (from the scores that are kept, or anew): $(printf '%.0f' "$o")/s, 99 % within $(within 99)"

train
n=0
until [ "$(state "$job")" = running ] || [ $n -gt 100 ]; do n=$((n + 1)); sleep 0.05; done
o=$(measure "$base" x $seconds)
[ "$(state "$job")" = running ] && during=throughout || during="for a part of it"
echo "$o $peer $answer" | awk '{ printf "%-30s %12.0f/s %12.0f/s %8.2f  %-7s %s\n", "recommend while training", $1, $2, $1 / $2, $3, "stated" }'
echo "  50 % within $(within 50), 99 % within $(within 99); an ALS was trained $during"
shelves=$(metric meros_shelf_bytes) kept=$(metric meros_shelf_customers) catalog=$(metric meros_catalog_bytes)
echo "  memory: $(awk "BEGIN { if (${kept:-0} > 0) printf \"%.0f bytes a customer (%d of them)\", $shelves / $kept, $kept }"), $(awk "BEGIN { printf \"%.0f bytes a product of the catalogue\", ${catalog:-0} / $products }"); the process $((full / 1024)) MB"
[ "$answer" = ok ]
