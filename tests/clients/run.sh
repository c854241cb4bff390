#!/bin/sh
# Drives Meros with the SDKs of other people, unmodified, as their packages come from npm (package.json names the exact
# versions, package-lock.json their digests). Every *.test.js here is a file of tests (harness.js says how one is written).
#
#     tests/clients/run.sh [WORD…]    only tests whose "file: name" holds one of the words
#
# The program is MEROS_TEST_BINARY, else build/asan/meros, else build/meros. Writes TAP; the last line is
#     N passed, N failed, N skipped
# Without node, npm or the packages all is skipped, with the reason; without chromium the tests in a browser are.
set -u
cd "$(dirname "$0")/../.."

skip_all() { # REASON
    echo "1..1"
    echo "ok - clients # SKIP $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

command -v node >/dev/null 2>&1 || skip_all "node is not installed"
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || skip_all "node 18 or newer is needed, this is $(node --version)"
packages=$PWD/build/clients
lock=$(cat tests/clients/package.json tests/clients/package-lock.json | cksum)
if [ "$(cat "$packages/installed" 2>/dev/null)" != "$lock" ]; then
    command -v npm >/dev/null 2>&1 || skip_all "npm is not installed"
    mkdir -p "$packages"
    cp tests/clients/package.json tests/clients/package-lock.json "$packages/"
    # Nothing of a package runs when it is installed. A registry that hiccups is asked again, one that is silent given up.
    install() {
        (cd "$packages" && timeout 150 npm install --ignore-scripts --no-audit --no-fund --omit=optional --fetch-timeout=20000 \
            --fetch-retries=3 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=10000) >"$packages/npm.log" 2>&1
    }
    if ! install && ! install; then
        grep -iv '^npm warn' "$packages/npm.log" | tail -n 5 >&2
        skip_all "npm could not install the packages; see build/clients/npm.log"
    fi
    echo "$lock" >"$packages/installed"
fi
exec env NODE_PATH="$packages/node_modules" node tests/clients/main.js "$@"
