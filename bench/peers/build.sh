#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the peers that nanospan-bench loads: build.sh FOLDER. For a peer that cannot be built, it writes the
# reason to NAME.skipped, which the benchmark shows; for the others, it writes NAME.so, and their versions to
# NAME.about. A peer that is newer than its sources is not built again.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?usage: build.sh FOLDER}"
out=$(cd "$1" && pwd)

say() { printf 'peers: %s\n' "$*" >&2; }

# skip NAME REASON
skip() {
    say "$1: skipped: $2"
    rm -f "$out/$1.so" "$out/$1.about"
    printf '%s\n' "$2" >"$out/$1.skipped"
}

# current NAME FOLDER: is the build newer than the sources in the folder?
current() {
    [ -e "$out/$1.so" ] && [ -e "$out/$1.about" ] && [ ! -e "$out/$1.skipped" ] &&
        [ -z "$(find "${@:2}" "$here/peer.h" "$here/build.sh" -newer "$out/$1.so" -print -quit)" ]
}

# attempt NAME COMMAND...: runs the command with its output in a log. If it fails, skips the peer and returns
# false.
attempt() {
    local name=$1 log=$out/$1.log start=$SECONDS
    shift
    say "$name: building (${JOBS:-$(nproc)} jobs; this takes minutes the first time)"
    if "$@" >"$log" 2>&1; then
        say "$name: built in $((SECONDS - start)) s"
        return 0
    fi
    # The first error in the log, or otherwise its last line.
    { grep -iE 'error|cannot|failed|not found' "$log" || tail -n 1 "$log"; } | head -n 1 |
        LC_ALL=C tr -cd ' -~' | sed "s|$here/||g" | cut -c 1-90 >"$log.reason"
    skip "$name" "it does not build: $(cat "$log.reason")"
    rm -f "$log.reason"
    return 1
}

# locked CRATE: its version in Cargo.lock
locked() { awk -v name="\"$1\"" '/^name = / { found = $3 == name } found && /^version = / { gsub(/"/, "", $3); print $3; exit }' "$here/rust/Cargo.lock"; }

# rust NAME CRATE ABOUT
rust() {
    local name=$1 crate=$2 about=$3
    current "$name" "$here/rust" && return
    command -v cargo >/dev/null || { skip "$name" "cargo is not installed"; return; }
    attempt "$name" env CARGO_TARGET_DIR="$out/cargo" cargo build --release --locked --color never \
        -j "${JOBS:-$(nproc)}" --manifest-path "$here/rust/Cargo.toml" -p "$crate" || return
    cp "$out/cargo/release/lib${crate//-/_}.so" "$out/$name.so"
    printf '%s, %s\n' "$about" "$(rustc --version | cut -d ' ' -f 1,2)" >"$out/$name.about"
    rm -f "$out/$name.skipped"
}

# Builds in a separate folder, so that nothing is written beside the sources.
go_build() { (cd "$here/go" && CGO_ENABLED=1 go build -p "${JOBS:-$(nproc)}" -mod=readonly -trimpath -buildmode=c-shared -o "$out/go/peer.so" .); }

go_peer() {
    local name=opentelemetry-go
    current "$name" "$here/go" && return
    command -v go >/dev/null || { skip "$name" "go is not installed"; return; }
    mkdir -p "$out/go"
    attempt "$name" go_build || return
    mv "$out/go/peer.so" "$out/$name.so"
    printf 'OpenTelemetry Go %s, %s\n' \
        "$(awk '$1 == "go.opentelemetry.io/otel/sdk" { sub(/^v/, "", $2); print $2; exit }' "$here/go/go.mod")" \
        "$(go env GOVERSION)" >"$out/$name.about"
    rm -f "$out/$name.skipped"
}

lttng_build() {
    ${CC:-cc} -std=gnu11 -O2 -fPIC -shared -Wall -I "$here/lttng" -I "$here/.." -I "$here/../../core/include" -o "$out/lttng.so" \
        "$here/lttng/lttng.c" -llttng-ust -ldl
}

lttng_peer() {
    current lttng "$here/lttng" && return
    if ! echo '#include <lttng/tracepoint.h>' | ${CC:-cc} -E - >/dev/null 2>&1 || ! command -v lttng-sessiond >/dev/null; then
        skip lttng "the packages liblttng-ust-dev and lttng-tools are not installed"
        return
    fi
    attempt lttng lttng_build || return
    printf 'LTTng-UST and tools %s\n' "$(lttng --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" >"$out/lttng.about"
    rm -f "$out/lttng.skipped"
}

rust opentelemetry-rust peer-opentelemetry "OpenTelemetry Rust $(locked opentelemetry_sdk)"
rust fastrace peer-fastrace "fastrace $(locked fastrace) with fastrace-opentelemetry $(locked fastrace-opentelemetry)"
go_peer
lttng_peer
