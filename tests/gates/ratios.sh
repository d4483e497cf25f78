#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks generous time budgets, given as ratios to code that is timed in the same rounds. Fails only if a budget
# is exceeded in three runs out of three.
#
#     ratios.sh BUILD [NAME...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:?usage: ratios.sh BUILD [NAME...]}
shift
bench=$build/bin/nanospan-bench
[ -x "$bench" ] || { echo "ratios: $bench does not exist; build it first" >&2; exit 2; }
for setting in CMAKE_BUILD_TYPE NSP_SANITIZE; do
    value=$(sed -n "s/^$setting:[A-Z]*=//p" "$build/CMakeCache.txt" 2>/dev/null || true)
    case $setting=$value in
    CMAKE_BUILD_TYPE=RelWithDebInfo | CMAKE_BUILD_TYPE=Release | *=) ;;
    *)
        echo "ratios: skipped: the budgets do not apply to a build with $setting=$value"
        exit 0
        ;;
    esac
done

names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(awk '!/^#/ && NF { print $1 }' "$here/ratios.txt")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Each run repeats only the budgets that the previous run did not show as kept.
for attempt in 1 2 3; do
    "$bench" --quick --only "$(IFS=,; echo "${names[*]}")" --check "$here/ratios.txt" \
        >"$work/log" 2>"$work/errors" || true
    grep -q '^budgets from' "$work/log" || { cat "$work/log" "$work/errors" >&2; exit 2; }
    sed -n '/^budgets from/,$p' "$work/log" | grep -E '^(pass|FAIL)' || true
    grep -E '^FAIL' "$work/log" >"$work/failed" || true
    [ -s "$work/failed" ] || { echo "ratios: all budgets kept"; exit 0; }
    mapfile -t names < <(awk '{ print $2 }' "$work/failed")
    [ "$attempt" -eq 3 ] || echo "ratios: again: ${names[*]}"
done
echo "ratios: FAIL: ${names[*]}: over budget in each of 3 runs"
exit 1
