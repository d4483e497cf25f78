#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that <nanospan/nanospan.hpp> costs nothing over the C calls. The same operations, in C and in C++, are linked
# with the shared library, and callgrind counts the instructions of each. Those in C are compiled by both compilers: what
# counts is the C++ compiler, because that is what calls C from C++; it may place a block, and a jump, differently. Fails
# if an operation takes one more in C++, or if the gate does not notice one instruction more, which it adds to every operation
# on purpose in another program. Then checks the same of the code that is left with NSP_DISABLE, and that this needs no
# library.
#
#     cpp.sh BUILD
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
build=$(cd "${1:?usage: cpp.sh BUILD}" && pwd)

skip() { echo "cpp: skipped: $1"; exit 0; }
setting() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt" 2>/dev/null || true; }
[ "$(uname -m)" = x86_64 ] || skip 'this gate only works on x86-64'
case $(setting CMAKE_BUILD_TYPE) in
RelWithDebInfo | Release | '') ;;
*) skip 'instructions are counted in an optimised build' ;;
esac
[ -z "$(setting NSP_SANITIZE)" ] || skip 'an instrumented build'
[ "$(setting NSP_BUILD_SHARED)" != OFF ] || skip 'there is no shared library'
[ -e "$build/libnanospan.so" ] || { echo "cpp: $build/libnanospan.so does not exist; build it first" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "cpp: valgrind is missing (./run install-deps)" >&2; exit 2; }
# The pair of compilers that the build uses, or gcc's.
cc=$(setting CMAKE_C_COMPILER)
cc=${cc:-gcc}
name=${cc##*/}
case $name in
clang*) cxx=${cc%"$name"}${name/clang/clang++} ;;
*) cxx=g++ ;;
esac
command -v "$cxx" >/dev/null || skip "there is no C++ compiler $cxx"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Wconversion -Wshadow -Werror)
c=("$cc" -std=gnu11 -O2 "${warnings[@]}" "-I$root/core/include")
cpp=("$cxx" -std=c++17 -O2 "${warnings[@]}" -Weffc++ "-I$root/core/include")

# program NAME OBJECT
program() {
    "$cxx" "$work/program.o" "$2" -o "$work/$1" -Wl,--no-as-needed "$build"/libnanospan{,-core}.so "-Wl,-rpath,$build"
}
"${c[@]}" -c "$here/cpp/program.c" -o "$work/program.o"
programs=(c c_in_cpp cpp sabotaged)
"${c[@]}" -c "$here/cpp/operations.c" -o "$work/c.o"
"${cpp[@]}" -c -xc++ "$here/cpp/operations.c" -o "$work/c_in_cpp.o"
"${cpp[@]}" -c "$here/cpp/operations.cpp" -o "$work/cpp.o"
"${cpp[@]}" -DSABOTAGE -c "$here/cpp/operations.cpp" -o "$work/sabotaged.o"
for name in "${programs[@]}"; do program "$name" "$work/$name.o"; done

# count NAME: prints OPERATION INSTRUCTIONS for each operation of the program.
count() {
    local folder=$work/counts_$1 name times index=0 once twice
    mkdir "$folder"
    env -i PATH="$PATH" HOME="$work" TMPDIR="$work" NSP_SHM_DIR=none OTEL_TRACES_EXPORTER=none OTEL_LOG_LEVEL=error \
        valgrind --tool=callgrind --quiet --collect-atstart=no --toggle-collect=counted_run --dump-after=counted_run \
        --callgrind-out-file="$folder/counts" "$work/$1" >"$folder/names" 2>"$folder/errors" ||
        { cat "$folder/errors" >&2; echo "cpp: FAIL: the instructions could not be counted" >&2; return 1; }
    while read -r name times; do
        once=$(awk '/^totals:/ { print $2 }' "$folder/counts.$((index + 1))")
        twice=$(awk '/^totals:/ { print $2 }' "$folder/counts.$((index + 2))")
        awk -v "name=$name" -v "count=$((twice - once))" -v "times=$times" 'BEGIN { printf "%s %.2f\n", name, count / times }'
        index=$((index + 2))
    done <"$folder/names"
}
for name in "${programs[@]}"; do count "$name" >"$work/$name.txt"; done

# NAME and INSTRUCTIONS of each program, side by side. What happens once in a while, such as another look at what was
# drained, may fall into one of the counted runs and not into the other; that is far less than half an instruction for each
# of their 256 operations.
(cd "$work" && paste -d ' ' "${programs[@]/%/.txt}") | awk '
    BEGIN { printf "%-17s %9s %22s %9s %14s\n", "cpp: instructions", "C", "C by the C++ compiler", "C++", "C++ and a nop" }
    {
        word = "ok"
        if ($1 != $3 || $1 != $5 || $1 != $7) word = "FAIL: the programs differ"
        else if ($6 > $4 + 0.5) word = sprintf("FAIL: %+.2f in C++", $6 - $4)
        else if ($8 < $6 + 0.5) word = "FAIL: an instruction more is not noticed"
        if (word ~ /^FAIL/) failed = 1
        printf "%-17s %9.2f %22.2f %9.2f %14.2f  %s\n", $1, $2, $4, $6, $8, word
    }
    END {
        if (NR == 0) { print "cpp: FAIL: nothing was counted"; failed = 1 }
        exit failed
    }'

"${cpp[@]}" -DNSP_DISABLE -c -xc++ "$here/cpp/operations.c" -o "$work/c.o"
"${cpp[@]}" -DNSP_DISABLE -c "$here/cpp/operations.cpp" -o "$work/cpp.o"
# needed OBJECT: the symbols that it needs, but for the linker's and the one that operations write to
needed() { nm -u "$1" | awk '$2 != "fields_bytes" && $2 != "_GLOBAL_OFFSET_TABLE_" { print $2 }'; }
if [ -n "$(needed "$work/cpp.o")" ]; then
    echo "cpp: FAIL: with NSP_DISABLE, the operations in C++ need $(needed "$work/cpp.o" | tr '\n' ' ')"
    exit 1
fi
# left OBJECT: the instructions that are left of all operations, without those between functions
left() { objdump -d --no-show-raw-insn "$1" | awk '$1 ~ /^[0-9a-f]+:$/ && $2 !~ /^(nop|nopl|nopw|cs|data16|xchg)$/' | wc -l; }
in_c=$(left "$work/c.o") in_cpp=$(left "$work/cpp.o")
echo "cpp: with NSP_DISABLE, $in_c instructions are left of all operations in C, and $in_cpp in C++"
[ "$in_cpp" -le "$in_c" ] || { echo "cpp: FAIL: $((in_cpp - in_c)) more in C++"; exit 1; }
