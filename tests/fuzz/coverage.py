#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py BUILD NAME...: the branches of the parsers that no input reaches.

Runs these targets, built with clang's source-based coverage (./run fuzz --coverage does it), over their
corpus and over what fuzzing has found so far. For the files that a target names in its lines
"// Parsers: ..." it prints the branches that none of the targets takes. Those that unreached.txt explains are
only counted. Fails if there are others, and if an explanation fits no branch.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def explained():
    """unreached.txt: {(file, condition, side): reason}."""
    found = {}
    for line in (HERE / "unreached.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            file, *condition, side, reason = (part.strip() for part in line.split(" | "))
            found[file, " | ".join(condition), side] = reason
    return found


def parsers(name):
    return re.findall(r"\S+\.[ch]\b", " ".join(
        re.findall(r"^// Parsers: (.*)$", (HERE / f"fuzz_{name}.c").read_text(), re.M)))


def run(build, name):
    """Runs all inputs of one target; returns the recorded profile."""
    program, raw = build / "tests/fuzz" / f"fuzz_{name}", build / f"{name}.profraw"
    folders = [HERE / "corpus" / name, build.parent / "fuzz" / "corpus" / name]
    options = ["-runs=0", "-rss_limit_mb=2048", "-timeout=10", f"-artifact_prefix={raw}-"]
    result = subprocess.run(
        [program, *options, *filter(pathlib.Path.is_dir, folders)],
        env={**os.environ, "LLVM_PROFILE_FILE": str(raw)}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=600)
    if result.returncode != 0:
        sys.exit(f"{result.stderr}\nfuzz: {name} FAILED")
    return raw


def branches_of(file, functions):
    """Returns the number of a file's branches, and those never taken as (line, condition, which branch)."""
    lines, calls, taken = (ROOT / file).read_text().splitlines(), {}, {}
    for name, line, count, branches in functions:  # a function in a header has one entry for each user
        calls[line] = (name, calls.get(line, ("", 0))[1] + count)
        for begin, column, last, end, true, false, *_ in branches:
            both = taken.setdefault((line, begin, column, last, end), [0, 0])
            both[0] += true
            both[1] += false
    count = 0
    gaps = [(line, name, "never called") for line, (name, called) in sorted(calls.items()) if called == 0]
    for (line, begin, column, last, end), (true, false) in sorted(taken.items()):
        before = lines[begin - 1][:column - 1]
        text = lines[begin - 1][column - 1:end - 1 if last == begin else None]
        if calls[line][1] == 0 or before.endswith("switch ("):
            continue
        if re.match(r"(case|default)\b", text):
            count += 1
            side = "never taken" if true == 0 else ""
        else:
            count += 2
            side = "never evaluated" if true == false == 0 else \
                "never true" if true == 0 else "never false" if false == 0 else ""
        if side:
            gaps.append((begin, text, side))
    return count, gaps


def main():
    build, names = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    profile, programs = build / "all.profdata", []
    profiles = [run(build, name) for name in names]
    subprocess.run(["llvm-profdata-14", "merge", "-o", profile, *profiles], check=True)
    for name in names:
        programs += ["-object", build / "tests/fuzz" / f"fuzz_{name}"]
    export = subprocess.run(["llvm-cov-14", "export", f"-instr-profile={profile}", *programs],
                            check=True, capture_output=True)
    functions = {}
    for one in json.loads(export.stdout)["data"][0]["functions"]:
        functions.setdefault(os.path.relpath(one["filenames"][0], ROOT), []).append(
            (one["name"].split(":")[-1], one["regions"][0][0], one["count"], one["branches"]))
    known, used, failed = explained(), set(), False
    for name in names:
        for file in parsers(name):
            count, gaps = branches_of(file, functions[file])
            news = [gap for gap in gaps if (file, *gap[1:]) not in known]
            used.update((file, *gap[1:]) for gap in gaps)
            failed |= bool(news)
            print(f"{name}: {file}: {count} branches, {len(gaps)} not reached, "
                  f"{len(gaps) - len(news)} of them explained")
            for line, text, side in news:
                print(f"    {file}:{line}: {side}: {text}")
    for key in sorted(key for key in known.keys() - used if not known[key].startswith("depends on")):
        failed = True
        print(f"unreached.txt: this is reached, or is not there: {' | '.join(key)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
