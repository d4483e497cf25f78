#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that what outlier rules kept is exactly what was slow.

    check_outliers.py FOLDER

The folder is one that demo.sh has filled: outliers.jsonl (what the receiver took of an engine that samples
nothing, and has the rule that keeps what is slow) and slow_orders.json (what the engine's own stopwatch found
slow). The exit code is 1 if they differ in an order, or in a nanosecond.
"""
import argparse
import collections
import json
import sys
from pathlib import Path

from check_traces import Report, read_spans, stages_complaint

FAULTS = {"preemption": "another thread had their processor", "page-fault": "the kernel had to bring memory",
          "lock": "another thread had a lock", "strategy": "the strategy computed", "none": "nothing was done to them"}


def has_event(span, name):
    return any(event.get("name") == name for event in span.events)


def show(slow, roots, whole, orders, bound):
    """What the demo promises: how many were slow, whether they are here, why they were slow."""
    here = sum(order["id"] in roots for order in slow)
    print(f"  of {orders:,} orders {len(slow):,} were slower than {bound / 1000:g} us; "
          + ("all are here" if here == len(slow) else f"{here:,} are here"))
    for kind, count in collections.Counter(order["fault"] for order in slow).most_common():
        print(f"  {count:>7,}  {FAULTS[kind]}" + ("" if kind == "none" else f" (engine --faults {kind})"))
    preempted = sum(any(has_event(span, "preempted") for span in spans) for spans in whole.values())
    if preempted:
        print(f"  {preempted:>7,}  of them were preempted, and say for how long (events preempted, nanospan.off_cpu_ns)")
    return preempted


def check_orders(report, slow, roots, orders):
    report.each("every slow order is here", [order["id"] for order in slow if order["id"] not in roots], len(slow))
    known = {order["id"]: order for order in slow}
    report.each("no other order is here", sorted(set(roots) - set(known)), len(roots))
    report.each("each took as long by the engine's stopwatch as by its span, to the nanosecond",
                [f"order {number}: {known[number]['ns']} ns and {span.end - span.start} ns" for number, span in roots.items()
                 if number in known and known[number]["ns"] != span.end - span.start], len(roots))
    report.each("each says what has held it up on purpose",
                [f"order {number}" for number, span in roots.items()
                 if number in known and span.attributes.get("order.held_up_by", "none") != known[number]["fault"]], len(roots))
    report.same("spans of orders, and different orders", orders, len(roots))


def check_spans(report, roots, whole, spans):
    report.each("each has nanospan.kept=slow, and no share (ot=th:) to count others by",
                [f"order {number}: {span.attributes.get('nanospan.kept')}, '{span.state}'" for number, span in roots.items()
                 if span.attributes.get("nanospan.kept") != "slow" or "th:" in span.state], len(roots))
    report.each("each is whole: its stages touch and fill it",
                [f"order {number}: {complaint}" for number, span in roots.items()
                 for complaint in [stages_complaint(span, whole[number])] if complaint], len(roots))
    report.same("spans of slow orders, and all spans that arrived", len(roots) + sum(map(len, whole.values())), len(spans))


def main():
    parser = argparse.ArgumentParser(description="Compares the orders that arrived with those that the engine found slow.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    try:
        said = json.loads((folder / "slow_orders.json").read_text(encoding="utf-8"))
        spans, twice = read_spans(folder / "outliers.jsonl")
        slow = said["slow"]
    except (OSError, ValueError, KeyError) as error:
        print(f"check_outliers: {error}; the folder must be one that demo.sh has filled", file=sys.stderr)
        return 1
    orders = [span for span in spans.values() if span.name == "order"]
    roots = {span.attributes.get("order.id"): span for span in orders}
    children = collections.defaultdict(list)
    for span in spans.values():
        children[span.trace, span.parent].append(span)
    whole = {number: children[span.trace, span.id] for number, span in roots.items()}

    told = show(slow, roots, {number: [roots[number], *stages] for number, stages in whole.items()}, said["orders"],
                said["slower_ns"])
    report = Report()
    check_orders(report, slow, roots, len(orders))
    check_spans(report, roots, whole, spans)
    report.same("spans that came twice", twice, 0)
    report.same("slow orders that the stopwatch had no room for", said["lost"], 0)
    # Where the kernel tells it. What it counts as preempted is then in the trace, or was counted as lost: on a machine that
    # leaves the collector waiting, the kernel's ring may overflow.
    if told:
        untold = [f"order {order['id']}" for order in slow if order["preempted"] and order["id"] in roots
                  and not any(has_event(span, "preempted") for span in [roots[order["id"]], *whole[order["id"]]])]
        lost = said["switches_lost"]
        report.each("each order that the kernel counts as preempted while it was held up says so"
                    + (f", or is among {lost:,} switches and spans that were counted as lost" if lost else ""),
                    untold[lost:], sum(order["preempted"] for order in slow))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
