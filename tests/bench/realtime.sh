#!/bin/sh
# From the answer of an event, which follows its commit, to the moment at which the record says that the customer entered
# another segment: 300 single events, each moving its customer, one after the other. That 99 % of them take less than a
# second is a promise: a run that does not keep it has failed.
command -v python3 >/dev/null || { echo "realtime: skipped: python3 is not installed"; exit 77; }
[ -d /dev/shm ] && dir=$(mktemp -d /dev/shm/meros-bench-XXXXXX) || { echo "realtime: skipped: there is no /dev/shm"; exit 77; }
chmod 755 "$dir"
key=bench-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
meros=
stop() {
    [ -n "$meros" ] && kill "$meros" 2>/dev/null && wait "$meros" 2>/dev/null
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 2' INT TERM
MEROS_BOOTSTRAP_KEY=$key MEROS_DATA_DIR=$dir/var MEROS_PORT=0 MEROS_BIND=127.0.0.1 MEROS_ACCESS_LOG=false MEROS_LOG_FORMAT=text build/meros serve 2>"$dir/log" &
meros=$!
n=0 port=
until [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/readyz" >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 600 ] && kill -0 $meros 2>/dev/null || { echo "realtime: the service did not become ready" >&2; tail -n 3 "$dir/log" >&2; exit 1; }
    port=$(sed -n 's/.*http\.listening.*port=\([0-9]*\).*/\1/p' "$dir/log" | head -n 1)
    sleep 0.1
done
python3 tests/bench/realtime.py "$port" "$key"
