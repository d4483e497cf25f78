#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the peers that nanospan-bench loads: build.sh FOLDER [--quill DIR] [--tracy DIR]
# [--opentelemetry-cpp DIR]. For a peer that cannot be built, it writes the reason to NAME.skipped, which the
# benchmark shows; for the others, it writes NAME.so, and their versions to NAME.about. A peer that is newer than
# its sources is not built again. If one of the source folders cannot be used, it builds nothing and exits with 2.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf 'peers: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 2; }

# ---- the arguments ----

declare -A source=() version=()

# take OPTION DIR WHAT FILE VERSIONS SED: notes the source folder and its version, which the sed script finds in
# the file. It must begin with one of the versions.
take() {
    local option=$1 folder=$2 what=$3 file=$4 versions=$5 found
    [ -d "$folder" ] || refuse "--$option '$folder': there is no such folder"
    [ -f "$folder/$file" ] || refuse "--$option '$folder': it is not the source folder of $what: it has no $file"
    found=$(sed -nE "$6" "$folder/$file" | paste -sd .)
    [[ " $versions " == *" ${found%%.*} "* || " $versions " == *" ${found%.*} "* ]] ||
        refuse "--$option '$folder': version '$found' of $what is not understood, but only: $versions"
    source[$option]=$(cd "$folder" && pwd)
    version[$option]=$found
}

out=${1:?usage: build.sh FOLDER [--quill DIR] [--tracy DIR] [--opentelemetry-cpp DIR]}
shift
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || refuse "$1 needs a source folder"
    case $1 in
    --quill) take quill "$2" Quill include/quill/Backend.h "9 10 11 12" \
        's/.* Version(Major|Minor|Patch) ?\{([0-9]+)\}.*/\2/p' ;;
    --tracy) take tracy "$2" Tracy public/common/TracyVersion.hpp 0.14 \
        's/.* (Major|Minor|Patch) = ([0-9]+);.*/\2/p' ;;
    --opentelemetry-cpp) take opentelemetry-cpp "$2" opentelemetry-cpp api/include/opentelemetry/version.h 1 \
        's/#define OPENTELEMETRY_VERSION "(.*)"/\1/p' ;;
    *) refuse "there is no option $1" ;;
    esac
    shift 2
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

# ---- what the peers share ----

# skip NAME REASON
skip() {
    say "$1: skipped: $2"
    rm -f "$out/$1.so" "$out/$1.about"
    printf '%s\n' "$2" >"$out/$1.skipped"
}

# current NAME FOLDER: is the build newer than the sources in the folder?
current() {
    [ -e "$out/$1.so" ] && [ -e "$out/$1.about" ] && [ ! -e "$out/$1.skipped" ] &&
        [ -z "$(find "${@:2}" "$here/peer.h" "$here/loops.h" "$here/build.sh" -newer "$out/$1.so" -print -quit)" ]
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
    # The first error in the log, or otherwise its last line. What CMake only reports begins with "-- ": much of
    # what it looks for may be absent.
    { grep -v '^-- ' "$log" | grep -iE 'error|cannot|failed|not found' || tail -n 1 "$log"; } | head -n 1 |
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

# ---- in C and C++ ----

# compile OUTPUT ARGUMENT...: a shared object in C++. Thread-local variables are accessed as in a program that
# is linked with the library.
compile() {
    "${CXX:-c++}" -std=c++17 -O2 -DNDEBUG -fPIC -shared -ftls-model=initial-exec -I "$here/.." -I "$here/../../core/include" \
        -o "$out/$1" "${@:2}"
}

# from_source NAME ABOUT COMMAND...: a peer whose source folder the caller gives. If not, one that was built
# before stays.
from_source() {
    local name=$1 about=$2
    if [ -z "${source[$name]:-}" ]; then
        current "$name" "$here/$name" || skip "$name" "its source folder is not given: ./run bench --peers --$name DIR"
        return
    fi
    about="$about ${version[$name]}, ${CXX:-c++} $("${CXX:-c++}" -dumpfullversion 2>/dev/null)"
    [ "$(cat "$out/$name.from" 2>/dev/null)" = "${source[$name]}" ] && current "$name" "$here/$name" "${source[$name]}" &&
        return
    command -v "${CXX:-c++}" >/dev/null || { skip "$name" "${CXX:-c++} is not installed; install g++"; return; }
    attempt "$name" "${@:3}" || return
    printf '%s\n' "$about" >"$out/$name.about"
    printf '%s\n' "${source[$name]}" >"$out/$name.from"
    rm -f "$out/$name.skipped"
}

quill_build() { compile quill.so -isystem "${source[quill]}/include" "$here/quill/quill.cpp" -pthread; }

# What needs privileges is left out: the kernel's scheduler and samples.
tracy_build() {
    local client=${source[tracy]}/public
    compile tracy.so -DTRACY_ENABLE -DTRACY_ONLY_LOCALHOST -DTRACY_NO_BROADCAST -DTRACY_NO_SYSTEM_TRACING \
        -DTRACY_NO_CRASH_HANDLER -isystem "$client" "$here"/tracy/*.cpp "$client/TracyClient.cpp" -pthread -ldl
}

opentelemetry_cpp_build() {
    local folder=$out/opentelemetry-cpp
    [ "$(cat "$out/opentelemetry-cpp.from" 2>/dev/null)" = "${source[opentelemetry-cpp]}" ] || rm -rf "$folder"
    cmake -S "$here/opentelemetry-cpp" -B "$folder" -G "${CMAKE_GENERATOR:-Ninja}" -DCMAKE_BUILD_TYPE=Release \
        -DOPENTELEMETRY_CPP="${source[opentelemetry-cpp]}" \
        ${OTELCPP_PROTO_PATH:+"-DOTELCPP_PROTO_PATH=$OTELCPP_PROTO_PATH"} &&
        cmake --build "$folder" -j "${JOBS:-$(nproc)}" --target peer && cp "$folder/libpeer.so" "$out/opentelemetry-cpp.so"
}

opentelemetry_cpp() {
    local folder=${source[opentelemetry-cpp]:-} needed=(nlohmann/json.hpp google/protobuf/message.h curl/curl.h zlib.h)
    if [ -n "$folder" ]; then
        if ! command -v protoc >/dev/null || ! printf '#include <%s>\n' "${needed[@]}" | "${CXX:-c++}" -x c++ -E - >/dev/null 2>&1; then
            skip opentelemetry-cpp "packages are missing; install libprotobuf-dev, protobuf-compiler, nlohmann-json3-dev, libcurl4-openssl-dev and zlib1g-dev"
            return
        fi
        if [ ! -e "${OTELCPP_PROTO_PATH:-$folder/third_party/opentelemetry-proto}/opentelemetry/proto" ]; then
            skip opentelemetry-cpp "there is no opentelemetry-proto; run git submodule update --init, or set OTELCPP_PROTO_PATH to its folder"
            return
        fi
    fi
    from_source opentelemetry-cpp opentelemetry-cpp opentelemetry_cpp_build
}

# The thread-local variables of DPDK's library exceed what the C library keeps for libraries that are loaded
# late; `run` therefore asks it for more before it starts the bench.
dpdk_build() {
    # shellcheck disable=SC2046 # several options
    ${CC:-cc} -std=gnu11 -O2 -fPIC -shared -ftls-model=initial-exec -DALLOW_EXPERIMENTAL_API -I "$here/.." \
        -I "$here/../../core/include" $(pkg-config --cflags libdpdk) -o "$out/dpdk.so" "$here"/dpdk/*.c -lrte_eal
}

dpdk_peer() {
    current dpdk "$here/dpdk" && return
    if ! pkg-config --exists libdpdk 2>/dev/null; then
        skip dpdk "the package is not installed; install dpdk-dev"
        return
    fi
    attempt dpdk dpdk_build || return
    printf 'DPDK %s\n' "$(pkg-config --modversion libdpdk)" >"$out/dpdk.about"
    rm -f "$out/dpdk.skipped"
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
dpdk_peer
from_source quill Quill quill_build
from_source tracy "Tracy's client" tracy_build
opentelemetry_cpp
true # a peer that was skipped is no failure
