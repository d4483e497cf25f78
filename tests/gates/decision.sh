#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Counts the instructions that decide, where a root ends, whether its trace may be taken back: those of one statement of
# nsp__end_current (core/trace/speculation.c), with what the compiler has inlined into it. The duration and its place
# among the measured ones are looked up before it, and are what a root needs that is only measured. callgrind counts how
# often each instruction is executed, so the count is the same in each run. Fails if they are more than 12.
#
#     decision.sh BUILD
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/core/trace/speculation.c
allowed=12

build=${1:?usage: decision.sh BUILD}
bench=$build/bin/nanospan-bench
[ -x "$bench" ] || { echo "decision: $bench does not exist; build it first" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "decision: valgrind is missing (./run install-deps)" >&2; exit 2; }
type=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
if [ "$type" != RelWithDebInfo ]; then
    echo "decision: skipped: the machine code has to be optimised and to say which lines it comes from"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As the bench runs itself (bench/zero/callgrind.c), but the dumps say how often each instruction was executed.
env -i PATH="$PATH" HOME="$work" TMPDIR="$work" NSP_SHM_DIR=none valgrind --tool=callgrind --quiet --collect-atstart=no \
    --toggle-collect=counted_run --dump-after=counted_run --dump-instr=yes --compress-pos=no --compress-strings=no \
    --callgrind-out-file="$work/counts" "$bench" --instructions=speculative0 >"$work/calls" 2>"$work/errors" ||
    { cat "$work/errors"; echo "decision: FAIL: the instructions could not be counted"; exit 1; }

python3 - "$bench" "$source" "$work" "$allowed" <<'PYTHON'
import subprocess, sys
from collections import Counter

bench, source, work, allowed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def fail(text):
    sys.exit(f"decision: FAIL: {text}")


# The lines of the statement: from the one behind the comment to the one that ends the condition.
with open(source, encoding="utf-8") as file:
    text = file.read().splitlines()
marks = [number for number, line in enumerate(text, 1) if "tests/gates/decision.sh" in line]
if len(marks) != 1:
    fail(f"{len(marks)} lines of {source} name this gate, not one")
first = last = marks[0] + 1
while not text[last - 1].endswith("{"):
    last += 1

with open(f"{work}/calls", encoding="utf-8") as file:
    ends = [int(line.split()[2]) for line in file if line.startswith("speculative0 ")]
if len(ends) != 2:
    fail("the bench did not run two times")


def executed(dump):
    """How often each instruction of nsp__end_current was executed."""
    counts, function, of_call = Counter(), "", False
    with open(f"{work}/counts.{dump}", encoding="utf-8") as file:
        for line in file:
            if line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith("calls="):
                of_call = True  # the next line is what the function that is called executes
            elif line.startswith("0x"):
                address, _, count = line.split()
                if not of_call and function == "nsp__end_current":
                    counts[int(address, 16)] += int(count)
                of_call = False
    return counts


before, after = executed(1), executed(2)
done = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", bench, *map(hex, sorted(after))], stdout=subprocess.PIPE, text=True, check=True)
# An address, then pairs of lines: a function and a place. The last pair is the function that the others are inlined into.
place, address = {}, None
for line in done.stdout.splitlines():
    if line.startswith("0x"):
        address = int(line, 16)
    else:
        place[address] = line.split(" (")[0]
total, code = 0, 0
for address, count in after.items():
    file, _, number = place[address].rpartition(":")
    if file.endswith("/core/trace/speculation.c") and number.isdigit() and first <= int(number) <= last:
        total += count - before[address]
        code += 1
if total == 0:
    fail(f"no instruction of lines {first} to {last} of core/trace/speculation.c was executed")
by_end = total / (ends[1] - ends[0])
word = "ok" if by_end <= allowed else f"FAIL: {by_end - allowed:+.2f}"
print(f"decision: {by_end:.2f} instructions at a root's end, of {code} in {last - first + 1} lines; {allowed} allowed  {word}")
sys.exit(0 if by_end <= allowed else 1)
PYTHON
