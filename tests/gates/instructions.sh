#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The gate of the hot path: how many instructions each operation executes, which is the same in each run and on each
# machine, as no time is. Fails where one needs more than instructions.txt allows.
#
#     instructions.sh BUILD [NAME...]            compare
#     instructions.sh BUILD --update             write down what was counted as the new allowance
#
# callgrind counts inside nanospan-bench's function counted_run alone, which runs each operation N and then 2 N times; the
# difference by N is one operation.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
allowed=$here/instructions.txt

build=${1:?usage: instructions.sh BUILD [--update | NAME...]}
shift
bench=$build/bin/nanospan-bench
update=''
if [ "${1:-}" = --update ]; then
    update=1
    shift
fi
names=${*:-all}
names=${names// /,}

[ -x "$bench" ] || { echo "instructions: there is no $bench: build it first" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "instructions: valgrind is missing (./run install-deps)" >&2; exit 2; }
type=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
case $type in
RelWithDebInfo | Release | '') ;;
*)
    echo "instructions: skipped: a build of type $type counts other instructions"
    exit 0
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The environment must not change what is measured.
if ! env -i PATH="$PATH" HOME="$work" NSP_SHM_DIR=none \
    valgrind --tool=callgrind --quiet --callgrind-out-file="$work/counts" --collect-atstart=no \
    --toggle-collect=counted_run --dump-after=counted_run \
    "$bench" --instructions "$names" >"$work/calls" 2>"$work/errors"; then
    cat "$work/errors" >&2
    exit 2
fi

# One dump for each line: NAME SPANS TIMES.
number=0
while read -r name spans times; do
    number=$((number + 1))
    count=$(sed -n 's/^\(totals\|summary\): *//p' "$work/counts.$number" | head -n 1)
    echo "$name $spans $times $count"
done <"$work/calls" |
    awk '$1 == name { printf "%s %.2f %d\n", name, ($4 - count) / ($3 - times), $2 }
         { name = $1; times = $3; count = $4 }' >"$work/measured"
[ -s "$work/measured" ] || { echo "instructions: nothing was counted" >&2; exit 2; }

if [ -n "$update" ]; then
    {
        sed -n '/^#/p' "$allowed"
        awk '{ printf "%-17s %8.2f\n", $1, $2 }' "$work/measured"
    } >"$work/new"
    cp "$work/new" "$allowed"
fi

# What compilers of one family differ by: 3 instructions, or 3 of a hundred.
awk '
    FNR == NR { if ($1 !~ /^#/ && NF) allowed[$1] = $2; next }
    FNR == 1 { printf "%-17s %10s %10s %10s\n", "instructions", "operation", "by span", "allowed" }
    {
        slack = allowed[$1] * 0.03
        if (slack < 3) slack = 3
        word = "ok"
        if ($2 < allowed[$1] - slack) word = "better: --update writes it down"
        if ($2 > allowed[$1] + slack) word = "FAIL: " sprintf("%+.2f", $2 - allowed[$1])
        if (!($1 in allowed)) word = "FAIL: not in instructions.txt"
        if (word ~ /^FAIL/) failed = 1
        printf "%-17s %10.2f %10.2f %10.2f  %s\n", $1, $2, $2 / $3, allowed[$1], word
    }
    END { exit failed }
' "$allowed" "$work/measured"
