#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that an engine that was killed, and its recovery, account for every span that it began.

    check_recovery.py FOLDER

The folder is one that demo.sh has filled: crashed.jsonl (what the receiver took from the engine and from the
recovery) and recovery.json (the account of `nanospan recover --json`). The exit code is 1 if anything
disagrees.
"""
import argparse
import json
import sys
from pathlib import Path

SETTLED_ELSEWHERE = ("engine_rejected", "engine_discarded", "engine_spooled", "dropped", "rejected", "skipped", "invalid",
                     "left", "lost_at_crash")


def read_spans(path):
    """For each distinct span, whether it is marked as unfinished; and how many came in total."""
    spans, total = {}, 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            for resource in json.loads(line).get("resourceSpans", ()):
                for scope in resource.get("scopeSpans", ()):
                    for span in scope.get("spans", ()):
                        marked = any(pair["key"] == "nanospan.unfinished" for pair in span.get("attributes", ()))
                        spans[span["traceId"], span["spanId"]] = marked
                        total += 1
    return spans, total


def main():
    parser = argparse.ArgumentParser(description="Compares the spans that arrived with those that the killed engine began.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    try:
        sessions = [json.loads(line) for line in (folder / "recovery.json").read_text(encoding="utf-8").splitlines()]
        spans, total = read_spans(folder / "crashed.jsonl")
    except (OSError, ValueError, KeyError) as error:
        print(f"check_recovery: {error}; the folder must be one that demo.sh has filled", file=sys.stderr)
        return 1
    if len(sessions) != 1 or sessions[0]["account"] is None:
        print(f"check_recovery: one recovered session was expected, not {len(sessions)}: {sessions}", file=sys.stderr)
        return 1
    account = sessions[0]["account"]
    elsewhere = sum(account[member] for member in SETTLED_ELSEWHERE)
    expected = account["attempted"] - elsewhere
    # Whether the receiver has these is not known.
    open_question = account["engine_unconfirmed"] + account["unconfirmed"]
    marked = sum(spans.values())
    twice = total - len(spans)
    good = (account["balanced"] and expected - open_question <= len(spans) <= expected and marked == account["unfinished"]
            and twice <= account["in_doubt"])
    print(f"  {account['attempted']:>9,}  spans were begun until the engine was killed")
    print(f"  {account['engine_exported']:>9,}  of them the engine had sent, and the receiver had confirmed")
    print(f"  {account['exported']:>9,}  were recovered, {account['unfinished']:,} of them unfinished")
    if elsewhere:
        print(f"  {elsewhere:>9,}  were dropped by the engine, or died with it before they were in memory")
    if open_question:
        print(f"  {open_question:>9,}  were sent and not confirmed")
    print(f"  {len(spans):>9,}  distinct spans has the receiver")
    if account["in_doubt"]:
        print(f"  {account['in_doubt']:>9,}  of them were in doubt: the engine died while it sent them, so they were sent again,")
        print(f"             and {twice:,} came twice")
    print("  OK     sent and recovered spans together are exactly those that were begun" if good else
          f"  WRONG  {expected:,} spans were expected, {account['unfinished']:,} of them unfinished: {account}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
