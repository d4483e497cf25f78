#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Counts the pages and the lines that an operation touches, code and data apart, in a program that is linked
# with the shared library. After a quiet spell they are what the first span costs: most of all the pages,
# because each takes a walk through the page tables. valgrind lists every access, so the counts are the same in
# each run. Fails if an operation touches a page more than touched.txt allows, and then says what lies on its
# pages. Fails too if the first span after nsp_thread_attach causes a page fault.
#
#     touched.sh BUILD [--allowed FILE]            compare
#     touched.sh BUILD [--allowed FILE] --update   record the counts as the new limits
#     touched.sh BUILD --pages                     also print what lies on the pages
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
allowed=$here/touched.txt

build=$(cd "${1:?usage: touched.sh BUILD [--allowed FILE] [--update | --pages]}" && pwd)
shift
program=$build/bin/nanospan-touched
if [ "${1:-}" = --allowed ]; then
    allowed=$2
    shift 2
fi
option=${1:-}

skip() { echo "touched: skipped: $1"; exit 0; }
[ "$(uname -m)" = x86_64 ] || skip 'this gate only works on x86-64'
case $(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null) in
RelWithDebInfo | Release | '') ;;
*) skip 'the limits do not apply to this type of build' ;;
esac
! grep -q '^NSP_SANITIZE:.*=.' "$build/CMakeCache.txt" 2>/dev/null || skip 'an instrumented build'
! grep -q '^NSP_BUILD_SHARED:.*=OFF' "$build/CMakeCache.txt" 2>/dev/null || skip 'there is no shared library'
[ -x "$program" ] || { echo "touched: $program does not exist; build it first" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "touched: valgrind is missing (./run install-deps)" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A minimal environment, because variables could change the counts. The list of accesses goes to descriptor 9.
environment=(PATH="$PATH" HOME="$work" TMPDIR="$work" LD_LIBRARY_PATH="$build" OTEL_TRACES_EXPORTER=none)
# shellcheck disable=SC2094 # the output is read once the program has ended
if ! env -i "${environment[@]}" \
    valgrind --tool=lackey --trace-mem=yes --log-fd=9 "$program" 9>&1 >"$work/output" 2>"$work/errors" |
    python3 "$here/touched/count.py" "$work/output" "$work/pages" >"$work/measured"; then
    cat "$work/errors"
    echo "touched: FAIL: they could not be counted"
    exit 1
fi

if [ "$option" = --update ]; then
    {
        sed -n '/^#/p' "$allowed"
        awk '{ printf "%-15s %5d %5d  %5d %5d\n", $1, $2, $3, $4, $5 }' "$work/measured"
    } >"$work/new"
    cp "$work/new" "$allowed"
fi

failed=0
# The kernel may cause a fault by itself, but not each time.
faults=''
for _ in 1 2 3; do
    [ "$faults" = "first_span 0 first_trace 0 first_path 0" ] || faults=$(env -i "${environment[@]}" "$program" first 2>"$work/errors")
done
if [ "$faults" != "first_span 0 first_trace 0 first_path 0" ]; then
    echo "touched: FAIL: page faults after nsp_thread_attach: ${faults:-they could not be counted}"
    failed=1
fi
awk '
    FILENAME == ARGV[1] { if ($1 !~ /^#/ && NF) for (i = 2; i <= 5; i++) allowed[$1, i] = $i; next }
    FNR == 1 { printf "%-15s %11s %11s %11s %11s\n", "touched", "code pages", "code lines", "data pages", "data lines" }
    {
        split("x code~pages code~lines data~pages data~lines", what, " ")
        word = ""
        for (i = 2; i <= 5; i++) {
            slack = i % 2 == 1 ? 2 : 0
            gsub("~", " ", what[i])
            if (!(($1, i) in allowed)) word = "FAIL: not in the file of limits"
            else if ($i > allowed[$1, i] + slack) word = word " FAIL: " $i - allowed[$1, i] " more " what[i] " than allowed"
            else if ($i < allowed[$1, i] - slack && word == "") word = "better: --update records it"
        }
        if (word ~ /FAIL/) failed = 1
        printf "%-15s %11d %11d %11d %11d  %s\n", $1, $2, $3, $4, $5, word == "" ? "ok" : word
    }
    END { exit failed }
' "$allowed" "$work/measured" || failed=1
if [ "$failed" -ne 0 ] || [ "$option" = --pages ]; then
    cat "$work/pages"
fi
exit "$failed"
