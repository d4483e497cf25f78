#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD SECONDS NAME: runs one target under libFuzzer, from its corpus and earlier findings, and prints
# the result.
set -uo pipefail
build=$1 seconds=$2 name=$3
seeds=tests/fuzz/corpus/$name found=$build/corpus/$name log=$build/$name.log
[ -d "$seeds" ] || { echo "fuzz: $name has no corpus folder $seeds"; exit 1; }
mkdir -p "$found"
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
    -artifact_prefix="$build/failed/$name-" "$found" "$seeds" </dev/null >"$log" 2>&1; then
    printf 'fuzz: %-16s %s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: */runs: /p' "$log")"
else
    tail -n 60 "$log"
    echo "fuzz: $name FAILED; the input is in $build/failed, the log is $log"
    exit 1
fi
