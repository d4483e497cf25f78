#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A single instruction can cost as much as a whole span without showing in a count of instructions: a fence, a
# locked operation, a division, a system call, a call into another library. This gate reads the machine code
# of the recorded hot path and fails if it finds one. It also prints the size of that code.
#
#     fences.sh BUILD
set -euo pipefail
build=${1:?usage: fences.sh BUILD}
bench=$build/bin/nanospan-bench
[ -x "$bench" ] || { echo "fences: $bench does not exist; build it first" >&2; exit 2; }
case $(uname -m) in
x86_64) ;;
*)
    echo "fences: skipped: this gate only works on x86-64"
    exit 0
    ;;
esac
if grep -q '^NSP_SANITIZE:.*=.' "$build/CMakeCache.txt" 2>/dev/null; then
    echo "fences: skipped: an instrumented build"
    exit 0
fi

# All paths of these functions, except those that the compiler has moved away as unlikely (NAME.cold).
functions='nsp__begin_root nsp__begin_child nsp__end_on nsp__next_on
    nsp__path_begin_root nsp__path_begin_child nsp__path_end_on'

failed=0
for function in $functions; do
    code=$(objdump -d --no-show-raw-insn "$bench" | awk -v name="<$function>:" '$2 == name { on = 1; next } /^$/ { on = 0 } on')
    if [ -z "$code" ]; then
        echo "FAIL $function: not found"
        failed=1
        continue
    fi
    found=$(grep -E $'\t(lock |[mls]fence|xchg +.*\\(|xchg .*,.*\\(|cpuid|rdtscp|i?div|syscall|cmpxchg|call .*@plt)' <<<"$code" || true)
    printf '%-21s %4d instructions, %5d bytes, ' "$function" "$(wc -l <<<"$code")" \
        "$((16#$(nm -S "$bench" | awk -v name="$function" '$4 == name { print $2 }')))"
    if [ -n "$found" ]; then
        printf 'FAIL:\n%s\n' "$found"
        failed=1
    else
        echo "no slow instructions"
    fi
done
exit "$failed"
