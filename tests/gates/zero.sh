#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that the hot path makes no allocation, system call, page fault, wait or log line. They are counted
# over some hundred thousand spans of each operation, after each counter has proved that it works. Fails if a
# count is not zero.
#
#     zero.sh BUILD [NAME...]
#
# NAME: an operation such as span3; without a name, all of them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:?usage: zero.sh BUILD [NAME...]}
shift
bench=$build/bin/nanospan-bench
[ -x "$bench" ] || { echo "zero: $bench does not exist; build it first" >&2; exit 2; }
only=zero
if [ $# -gt 0 ]; then
    printf -v only 'zero_%s,' "$@"
    only=control_zero,$only
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
code=0
"$bench" --quick --only "$only" --check "$here/zero.txt" >"$work/log" 2>"$work/errors" || code=$?
if missing=$(grep -m 1 '^control_zero .*skipped: ' "$work/log"); then
    echo "zero: NOT JUDGED: ${missing#*skipped: }"
    exit 0
fi
if [ "$code" -eq 0 ]; then
    sed -n '/^zero: /,/^$/p' "$work/log" | cut -c 1-"${COLUMNS:-170}"
    sed -n '$p' <<<"$(grep -E '^[0-9]+ (of|budgets)|pass' "$work/log" || true)"
    exit 0
fi
grep -E -A 1 '^(FAIL|control_zero|.*NOT VALID)' "$work/log" || cat "$work/log" "$work/errors"
echo "zero: FAIL"
exit 1
