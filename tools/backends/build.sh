#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the real backends, Jaeger and the OpenTelemetry Collector, from their Go modules, once, into a cache
# outside the source tree. `build.sh --help` explains its use.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

JAEGER=1.76.0    # must match jaeger/go.mod
COLLECTOR=0.158.0 # must match collector/builder.yaml
GO_NEEDED=1.25    # the higher of their two requirements
JOBS=${JOBS:-$(nproc)}
[ -n "${HOME:-}" ] || { unset HOME; export HOME=~; } # as the system knows it
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/nanospan/backends

BUILD_FAILED=1 USAGE=2 NO_GO=3 NO_PROXY=4

usage() {
    cat <<TEXT
usage: ./run backends [--where | --check]

Builds Jaeger $JAEGER and the OpenTelemetry Collector $COLLECTOR from their Go modules into
$CACHE
and prints how to start them. The first build takes some minutes, about 3 GB for Go's own caches, and 120 MB
for the programs; later runs build nothing. Builds of older versions are kept.

  --where   only print where they are, a line NAME PATH for each; exit code 1 if one has not been built
  --check   only check whether they can be built: Go, its version, the module proxy

This needs Go $GO_NEEDED or newer (Debian 12 has an older one): the program in the variable GO, or go in PATH,
or /usr/local/go/bin/go. No toolchain is downloaded.

Exit codes: 0 they are built; 1 a build failed; 2 wrong usage; 3 Go is missing or too old; 4 the module proxy
does not answer
TEXT
}

say() { printf 'backends: %s\n' "$*" >&2; }
stop() { say "${@:2}"; exit "$1"; }

# The name of a program's folder contains a hash of its sources, so another version is another program.
key() { cat "$here/$1"/* <(uname -m) | sha256sum | cut -c 1-12; }
jaeger_path=$CACHE/jaeger-$JAEGER-$(key jaeger)/jaeger
collector_path=$CACHE/collector-$COLLECTOR-$(key collector)/collector

find_go() {
    local candidate version
    go=''
    for candidate in "${GO:-go}" /usr/local/go/bin/go; do
        if command -v "$candidate" >/dev/null; then
            version=$("$candidate" env GOVERSION 2>/dev/null) || continue
            go=$(command -v "$candidate")
            [ "$(printf '%s\n' "$GO_NEEDED" "${version#go}" | sort -V | head -n 1)" = "$GO_NEEDED" ] && return 0
            say "$go has version ${version:-unknown}"
        fi
    done
    [ -n "$go" ] || say "Go is not installed"
    stop $NO_GO "Jaeger and the Collector need Go $GO_NEEDED or newer: https://go.dev/dl/ (golang of Debian 12 is too old)"
}

# unreachable LOG: did the build fail because modules could not be fetched?
unreachable() { grep -qE 'dial tcp|no such host|connection refused|i/o timeout|TLS handshake|module lookup disabled|proxyconnect' "$1"; }

check_proxy() {
    local log
    log=$(mktemp)
    if ! "$go" list -m "github.com/jaegertracing/jaeger@v$JAEGER" >"$log" 2>&1; then
        say "$(tail -n 1 "$log")"
        rm -f "$log"
        stop $NO_PROXY "the Go module proxy does not answer: $("$go" env GOPROXY)"
    fi
    rm -f "$log"
}

# The builds run in separate folders, beside the final place of the programs, and do not change the source
# tree.
build_jaeger() {
    cd "$here/jaeger"
    "$go" build -mod=readonly -ldflags "-s -w -X github.com/jaegertracing/jaeger/internal/version.latestVersion=v$JAEGER" \
        -o "$1/jaeger" github.com/jaegertracing/jaeger/cmd/jaeger
}
build_collector() {
    mkdir "$1/sources" && cd "$1/sources" # builder.yaml makes it write to the current folder
    PATH=$(dirname "$go"):$PATH "$go" run "go.opentelemetry.io/collector/cmd/builder@v$COLLECTOR" \
        --config "$here/collector/builder.yaml"
    mv collector .. && rm -r "$1/sources"
}

# make NAME PATH: builds the program in a temporary folder, which becomes the real one when it is complete.
make() {
    local name=$1 path=$2 folder log work start=$SECONDS builder told=0
    folder=$(dirname "$path")
    if [ -x "$path" ]; then return 0; fi
    work=$(mktemp -d "$CACHE/building-$name-XXXXXX")
    log=$CACHE/$name.log
    say "$name: building with $("$go" env GOVERSION), $JOBS jobs; this takes minutes the first time (log: $log)"
    set -m # runs the build in its own process group, which can be ended as a whole
    ("build_$name" "$work") >"$log" 2>&1 </dev/null 9>&- &
    builder=$!
    set +m
    trap 'kill -- -"$builder" 2>/dev/null || true; rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    while kill -0 "$builder" 2>/dev/null; do
        sleep 1
        if [ $((SECONDS - start)) -ge $((told + 30)) ]; then
            told=$((SECONDS - start))
            say "$name: $told s, $(grep -c '^go: downloading' "$log" || true) modules fetched," \
                "$(grep -cvE '^go: |^#' "$log" || true) packages compiled"
        fi
    done
    if ! wait "$builder"; then
        tail -n 15 "$log" >&2
        if unreachable "$log"; then stop $NO_PROXY "$name: modules could not be fetched from $("$go" env GOPROXY)"; fi
        stop $BUILD_FAILED "$name: the build failed; its complete output is in $log"
    fi
    rm -rf "$folder"
    chmod 755 "$work"
    mv -T "$work" "$folder"
    trap - EXIT INT TERM
    say "$name: built in $((SECONDS - start)) s, $(($(stat -c %s "$path") / 1000000)) MB"
}

where() {
    local complete=0
    if [ -x "$jaeger_path" ]; then echo "jaeger $jaeger_path"; else complete=1; fi
    if [ -x "$collector_path" ]; then echo "collector $collector_path"; else complete=1; fi
    return $complete
}

manual() {
    cat <<TEXT
Jaeger $JAEGER is $jaeger_path
  ./run jaeger           starts it: OTLP on 4317 (gRPC) and 4318 (HTTP); received data: http://localhost:16686/api/v3/services
                         Its web pages are not part of its Go module; it shows a page that says so.
OpenTelemetry Collector $COLLECTOR is $collector_path
  PROGRAM --config FILE  starts it; PROGRAM validate --config FILE checks the file; PROGRAM components lists the components
TEXT
}

case ${1:-} in
--where) where && exit 0 || exit 1 ;;
--help | -h) usage && exit 0 ;;
--check | '') ;;
*) usage >&2 && exit $USAGE ;;
esac

# Overrides the user's own settings for Go, which may not fit these builds. -p limits the number of parallel
# jobs.
export GOTOOLCHAIN=local GOWORK=off GO111MODULE=on CGO_ENABLED=0
export GOFLAGS="-p=$JOBS -trimpath -buildvcs=false"

if [ "${1:-}" = --check ]; then
    find_go
    check_proxy
    say "$("$go" env GOVERSION) and the module proxy are available"
    exit 0
fi

if ! where >/dev/null; then
    find_go
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock -n 9 || { say "waiting for another build"; flock 9; }
    GOFLAGS="$GOFLAGS -v"
    make jaeger "$jaeger_path"
    make collector "$collector_path"
fi
manual
