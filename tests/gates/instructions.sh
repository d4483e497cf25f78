#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Counts the instructions that each operation of the hot path executes, and those that tracing adds to an
# order of the example engine. Unlike times, the counts are the same in each run and on each machine. Fails if
# an operation needs more than instructions.txt allows, or if two runs differ.
#
#     instructions.sh BUILD [--allowed FILE] [NAME...]            compare
#     instructions.sh BUILD [--allowed FILE] --update [NAME...]   record the counts as the new limits
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
allowed=$here/instructions.txt

build=${1:?usage: instructions.sh BUILD [--allowed FILE] [--update] [NAME...]}
shift
bench=$build/bin/nanospan-bench
if [ "${1:-}" = --allowed ]; then
    allowed=$2
    shift 2
fi
update=''
if [ "${1:-}" = --update ]; then
    update=1
    shift
fi

[ -x "$bench" ] || { echo "instructions: $bench does not exist; build it first" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "instructions: valgrind is missing (./run install-deps)" >&2; exit 2; }
type=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
case $type in
RelWithDebInfo | Release | '') ;;
*)
    echo "instructions: skipped: the limits do not apply to a build of type $type"
    exit 0
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
only=instructions
if [ $# -gt 0 ]; then
    printf -v only 'instructions_%s,' "$@"
fi
if ! "$bench" --quick --only "$only" --json "$work/json" >"$work/log" 2>&1; then
    grep -B 1 'NOT VALID' "$work/log" || cat "$work/log"
    echo "instructions: FAIL: they could not be counted, or two runs differed"
    exit 1
fi
# NAME COUNT BY_SPAN
python3 - "$work/json" >"$work/measured" <<'PYTHON'
import json, sys
for result in json.load(open(sys.argv[1]))["results"]:
    count, span = (result["figures"][name]["value"] for name in ("instructions_count", "instructions_per_span_count"))
    print(f"{result['name'].removeprefix('instructions_')} {count:.2f} {span:.2f}")
PYTHON
[ -s "$work/measured" ] || { echo "instructions: nothing was counted" >&2; exit 2; }

if [ -n "$update" ]; then
    {
        sed -n '/^#/p' "$allowed"
        awk '{ printf "%-17s %8.2f\n", $1, $2 }' "$work/measured"
    } >"$work/new"
    cp "$work/new" "$allowed"
fi

# The tolerance for differences between similar compilers: 3 instructions or 3 percent.
awk '
    FILENAME == ARGV[1] { if ($1 !~ /^#/ && NF) allowed[$1] = $2; next }
    FNR == 1 { printf "%-17s %10s %10s %10s\n", "instructions", "operation", "by span", "allowed" }
    {
        slack = allowed[$1] * 0.03
        if (slack < 3) slack = 3
        word = "ok"
        if ($2 < allowed[$1] - slack) word = "better: --update records it"
        if ($2 > allowed[$1] + slack) word = "FAIL: " sprintf("%+.2f", $2 - allowed[$1])
        if (!($1 in allowed)) word = "FAIL: not in instructions.txt"
        if (word ~ /^FAIL/) failed = 1
        printf "%-17s %10.2f %10.2f %10.2f  %s\n", $1, $2, $3, allowed[$1], word
    }
    END { exit failed }
' "$allowed" "$work/measured"
