#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the traces of the demo against what the engine and the feed did.

    check_traces.py FOLDER [--slowest N]

The folder is one that demo.sh has filled: traces.jsonl and sink.json (what the receiver took), engine.json
and feed.json (what the programs counted themselves), drop_copy.bin (the exchange-side stream). The exit code
is 1 if anything disagrees.
"""
import argparse
import collections
import json
import math
import re
import struct
import sys
from pathlib import Path

NEW_STAGES = ["decode", "check_balance", "calculate_size", "match", "submit_to_exchange", "report"]
CANCEL_STAGES = ["decode", "match", "submit_to_exchange", "report"]
LIFE_RESULTS = ("filled", "expired", "cancelled", "withdrawn")
DROP_RECORD = struct.Struct("<QQQIIIHBB")
DROP_TRADE = 2
SERVER, CLIENT = 2, 3

Span = collections.namedtuple("Span", "service name kind trace state id parent start end attributes links events "
                                      "dropped_events status")


def value_of(value):
    for kind, convert in (("stringValue", str), ("intValue", int), ("boolValue", bool), ("doubleValue", float)):
        if kind in value:
            return convert(value[kind])
    return None


def attributes_of(entity):
    return {pair["key"]: value_of(pair["value"]) for pair in entity.get("attributes", ())}


def read_spans(path):
    """All spans of the file by trace id and span id, and how many came twice."""
    spans, twice = {}, 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            for resource in json.loads(line).get("resourceSpans", ()):
                service = attributes_of(resource.get("resource", {})).get("service.name", "")
                for scope in resource.get("scopeSpans", ()):
                    for raw in scope.get("spans", ()):
                        span = Span(service, raw["name"], raw.get("kind", 0), raw["traceId"],
                                    raw.get("traceState", ""), raw["spanId"], raw.get("parentSpanId", ""), 
                                    int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"]), attributes_of(raw),
                                    raw.get("links", ()), raw.get("events", ()), raw.get("droppedEventsCount", 0), raw.get("status", {}))
                        key = (span.trace, span.id)
                        twice += key in spans
                        spans[key] = span
    return spans, twice


class Report:
    """Prints each finding as a line, and remembers whether any was bad."""

    def __init__(self):
        self.good = True

    def note(self, good, what, detail=""):
        self.good &= bool(good)
        print(f"  {'OK   ' if good else 'WRONG'}  {what}" + (f": {detail}" if detail else ""))

    def same(self, what, left, right, slack=0):
        """Both numbers are equal; or, if spans were lost and counted as lost, the left one is lower by at
        most that."""
        self.note(right - slack <= left <= right, what, f"{left:,} and {right:,}")

    def each(self, what, faults, total):
        """No item has a fault; otherwise the first fault is shown."""
        self.note(not faults, what, f"{total:,} checked" if not faults else f"{len(faults):,} of {total:,} are wrong, "
                  f"the first: {faults[0]}")


def lost(accounting):
    """The number of spans that were begun and that the receiver may not have."""
    return accounting["attempted"] - accounting["exported"]


def missing(engine, feed):
    """By how many spans the sums may be too low: lost spans, and traces refused at their root under
    pressure."""
    return sum(lost(program["spans"]) + program["spans"]["roots_refused"] for program in (engine, feed))


def check_counts(report, spans, twice, sink, engine, feed):
    services = collections.Counter(span.service for span in spans.values())
    for service, accounting in (("execution", engine["spans"]), ("feed", feed["spans"])):
        most = accounting["exported"] + accounting["unconfirmed"] + accounting["rejected"]
        report.note(accounting["exported"] <= services[service] <= most, f"spans exported by {service}, and received",
                    f"{accounting['exported']:,} and {services[service]:,}")
        report.note(accounting["balanced"], f"the span counters of {service} balance", f"{accounting['attempted']:,} attempted")
    report.same("distinct spans in the receiver's file, and by the receiver's own count", len(spans),
                sink["distinct_span_ids"])
    sent = [program["spans"]["exported"] for program in (engine, feed)]
    spare = sum(program["spans"]["unconfirmed"] + program["spans"]["rejected"] for program in (engine, feed))
    report.note(sum(sent) <= len(spans) <= sum(sent) + spare, "spans of engine and feed together, and of the receiver",
                f"{sent[0]:,} + {sent[1]:,} = {sum(sent):,} sent, {len(spans):,} received")
    report.same("spans of other services", len(spans) - services["execution"] - services["feed"], 0)
    short = missing(engine, feed)
    report.note(True, "spans lost, or not begun because their trace was refused under pressure",
                f"{short:,}" + (", so the numbers below may be too low by as many" if short else ""))
    report.note(twice == 0 or engine["spans"]["unconfirmed"] + feed["spans"]["unconfirmed"]
                + engine["spans"]["batches_failed"] + feed["spans"]["batches_failed"] > 0,
                "spans received twice", f"{twice:,}")


def check_programs(report, engine, feed, drop_copy):
    report.same("orders sent by the feed, and received by the engine", feed["orders"], engine["orders"])
    report.same("rejections", feed["results"]["rejected"], engine["rejected"])
    report.same("trades", feed["fills"], engine["fills"])
    report.same("units traded", feed["filled_units"], engine["filled_units"])
    report.note(engine["conserved"], "the engine has conserved cash and units")
    report.note(feed["agreed"], "each order was answered once, and both sides of each trade agree")
    gaps = trades = units = 0
    for number, record in enumerate(DROP_RECORD.iter_unpack(drop_copy), 1):
        gaps += record[0] != number
        if record[8] == DROP_TRADE:
            trades += 1
            units += record[5]
    report.same("gaps in the drop copy", gaps, 0)
    report.same("trades in the drop copy", trades, engine["fills"])
    report.same("units in the drop copy", units, engine["filled_units"])


def stages_complaint(order, stages):
    """Why the stages are not the ones that this order must have had, or None."""
    stages = sorted(stages, key=lambda span: (span.start, span.end))
    names = [span.name for span in stages]
    whole = CANCEL_STAGES if order.attributes.get("order.type") == "cancel" else NEW_STAGES
    if order.attributes.get("order.result") == "rejected":
        refused = len(names) - 1  # some stages succeeded, the next one refused, then came the report
        right = names == whole[:refused] + ["report"] and 1 <= refused < len(whole) - 1
    else:
        right = names == whole
    if not right:
        return f"stages {names}"
    # A stage that began and ended on the same clock reading has no duration. It is sent with a duration of 1
    # ns, since Jaeger takes zero for an error. The stage after it then begins where it began.
    edges = {order.start}
    for span in stages:
        if span.start not in edges:
            return "stages do not touch"
        edges = {span.end, span.start} if span.end == span.start + 1 else {span.end}
    return None if order.end in edges else "stages do not touch"


def check_stages(report, orders, children, slack):
    faults = []
    for order in orders:
        complaint = stages_complaint(order, children.get((order.trace, order.id), ()))
        if complaint:
            faults.append(f"order {order.attributes.get('order.id')}: {complaint}")
    if slack and faults:
        report.note(len(faults) <= slack, "orders that lack stages, and spans lost",
                    f"{len(faults):,} and {slack:,}")
    else:
        report.each("the stages are complete, touch to the nanosecond and fill the order", faults, len(orders))
    report.each("orders have kind SERVER", [order.id for order in orders if order.kind != SERVER], len(orders))


def check_results(report, orders):
    """The result of each order fits the size and the trades in its span."""
    fits = {"resting": lambda size, filled: filled == 0, "partially_filled": lambda size, filled: 0 < filled < size,
            "filled": lambda size, filled: filled == size > 0, "expired": lambda size, filled: filled < size,
            "rejected": lambda size, filled: filled == 0}
    faults = []
    for order in orders:
        said = order.attributes
        result, filled = said.get("order.result"), said.get("trade.filled", 0)
        if said.get("order.type") == "cancel":
            good = result in ("cancelled", "rejected")
        else:
            good = (result in fits and fits[result](said.get("trade.size"), filled)
                    and (said.get("match.fills") == 0) == (filled == 0))
        if not good:
            faults.append(f"order {said.get('order.id')} is {result} with {filled} of {said.get('trade.size')} filled")
    report.each("results fit the sizes and the trades", faults, len(orders))


def check_parents(report, spans, orders, engine, feed):
    error = engine["spans"]["clock_error_ns"] + feed["spans"]["clock_error_ns"]
    faults, parents = [], 0
    for order in orders:
        number = order.attributes.get("order.id", 0)
        if not order.parent:
            if number % 2 == 1:
                faults.append(f"order {number} came with a context and has no parent")
            continue
        parents += 1
        sender = spans.get((order.trace, order.parent))
        if sender is None:
            if not lost(feed["spans"]):
                faults.append(f"order {number}: its parent span was not received")
        elif ((sender.service, sender.name, sender.kind) != ("feed", "send_order", CLIENT)
              or sender.attributes.get("order.id") != number):
            faults.append(f"order {number}: its parent span belongs to another order")
        elif sender.attributes.get("order.result") != order.attributes.get("order.result"):
            faults.append(f"order {number}: feed and engine report different results")
        elif order.start + error < sender.start or order.end > sender.end + error:
            faults.append(f"order {number}: it lies outside the time of its sender's span")
    report.each("orders with a context lie within their sender's span, the others are roots", faults, len(orders))
    senders = sum(1 for span in spans.values() if span.name == "send_order")
    report.same("send_order spans received, and recorded by the feed", senders, feed["spans_traced"],
                lost(feed["spans"]))
    slack = missing(engine, feed)
    report.same("orders with a sampled send_order span, and sampled send_order spans", parents, feed["spans_traced"],
                slack)


def share_of(state):
    """The share of traces that the sampler kept, by the threshold in the tracestate (ot=th:...); None: it has none."""
    threshold = re.search(r"(?:^|,)ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?=[;,]|$)", state)
    return 1 - int(threshold[1].ljust(14, "0"), 16) / 2 ** 56 if threshold else None


def check_sampling(report, orders, engine, feed):
    """From one pause of the feed to the next, as many orders are traced as the rate says; at rate 1, all of them. And
    each of them says with how many others it was chosen, so that a backend can count them all."""
    numbers = sorted(order.attributes["order.id"] for order in orders)
    slack = missing(engine, feed)
    report.note(len(numbers) == len(set(numbers)), "no order was traced twice")
    rates = feed["sample_rates"]
    for i, (after, rate) in enumerate(rates):
        until = rates[i + 1][0] if i + 1 < len(rates) else feed["orders"]
        traced = [order for order in orders if after < order.attributes["order.id"] <= until]
        count, total = len(traced), until - after
        # Six standard deviations: a false alarm in 500 million runs.
        spread = 6 * math.sqrt(total * rate * (1 - rate)) + (1 if 0 < rate < 1 else 0)
        good = total * rate - spread - slack <= count <= total * rate + spread
        report.note(good, f"orders {after + 1:,} to {until:,} at rate {rate:g}", f"{count:,} of {total:,} traced")
        report.each(f"ot=th: of orders {after + 1:,} to {until:,} says that rate",
                    [f"order {order.attributes['order.id']} has tracestate '{order.state}'" for order in traced
                     if not math.isclose(share_of(order.state) or 0, rate, rel_tol=1e-9)], len(traced))


def check_fills(report, orders, engine, feed):
    if feed["sample_rates"][0][1] != 1:
        return
    until = feed["first_pause_after"]
    traced = [order.attributes for order in orders if order.attributes["order.id"] <= until]
    fills = sum(attributes.get("match.fills", 0) for attributes in traced)
    units = sum(attributes.get("trade.filled", 0) for attributes in traced)
    slack = missing(engine, feed)
    report.same(f"trades in the traces of orders 1 to {until:,}, and in the answers to them", fills,
                feed["fills_before_pause"], fills if slack else 0)
    report.same(f"units in the traces of orders 1 to {until:,}, and in the answers to them", units,
                feed["units_before_pause"], units if slack else 0)


def check_lives(report, spans, children, lives, engine):
    slack = lost(engine["spans"])
    report.same("order_life spans received, and begun by the engine", len(lives), engine["lives_traced"], slack)
    faults = []
    for life in lives:
        number = life.attributes.get("order.id")
        link = life.links[0] if len(life.links) == 1 else {}
        order = spans.get((link.get("traceId"), link.get("spanId")))
        if order is None:
            if not slack:
                faults.append(f"life of order {number}: the span that its link names was not received")
            continue
        accepted = [span.start for span in children.get((order.trace, order.id), ()) if span.name == "match"]
        filled = sum(attributes_of(event).get("trade.size", 0) for event in life.events)
        if order.attributes.get("order.id") != number:
            faults.append(f"life of order {number}: its link leads to another order")
        elif accepted != [life.start] and not slack:
            faults.append(f"life of order {number}: it does not begin where the order was accepted")
        elif life.dropped_events == 0 and filled != life.attributes.get("trade.filled"):
            faults.append(f"life of order {number}: its trades do not add up to its filled quantity")
        elif life.attributes.get("order.result") not in LIFE_RESULTS:
            faults.append(f"life of order {number}: '{life.attributes.get('order.result')}' is not a final result")
        elif (life.attributes["order.result"] == "filled") != (life.attributes["trade.filled"]
                                                               == life.attributes["trade.size"]):
            faults.append(f"life of order {number}: its result does not fit its filled quantity")
    report.each("order_life spans begin at acceptance, link to their order, and add up", faults, len(lives))


def show_slowest(orders, children, count):
    print(f"the {count} slowest orders, by the time in the engine")
    print(f"  {'order':>8}  {'us':>9}  {'type':9}  {'symbol':8}  {'result':16}  {'fills':>5}  longest stage")
    for order in sorted(orders, key=lambda span: span.start - span.end)[:count]:
        stages = children.get((order.trace, order.id), ())
        longest = max(stages, key=lambda span: span.end - span.start, default=None)
        attributes = order.attributes
        stage = f"{longest.name}, {(longest.end - longest.start) / 1000:.1f} us" if longest else ""
        print(f"  {attributes['order.id']:>8}  {(order.end - order.start) / 1000:>9.1f}  {attributes['order.type']:9}  "
              f"{attributes.get('trade.symbol', ''):8}  {attributes['order.result']:16}  "
              f"{attributes.get('match.fills', 0):>5}  {stage}")


def main():
    parser = argparse.ArgumentParser(description="Compares the traces with what the engine and the feed counted.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slowest", type=int, default=0, help="also show this many of the slowest orders")
    options = parser.parse_args()
    try:
        engine = json.loads((options.folder / "engine.json").read_text())
        feed = json.loads((options.folder / "feed.json").read_text())
        sink = json.loads((options.folder / "sink.json").read_text())
        drop_copy = (options.folder / "drop_copy.bin").read_bytes()
        spans, twice = read_spans(options.folder / "traces.jsonl")
    except (OSError, ValueError, KeyError) as error:
        print(f"check_traces: {error}; the folder must be one that demo.sh has filled", file=sys.stderr)
        return 1
    if engine["spans"] is None or feed["spans"] is None:
        print("check_traces: tracing was off; there is nothing to compare", file=sys.stderr)
        return 1

    orders = [span for span in spans.values() if span.name == "order" and span.service == "execution"]
    lives = [span for span in spans.values() if span.name == "order_life"]
    children = collections.defaultdict(list)
    for span in spans.values():
        if span.parent:
            children[(span.trace, span.parent)].append(span)

    if options.slowest:
        show_slowest(orders, children, options.slowest)
    report = Report()
    print("the two programs and the exchange-side stream")
    check_programs(report, engine, feed, drop_copy)
    print("spans sent, and spans received")
    check_counts(report, spans, twice, sink, engine, feed)
    print("the contents of the traces")
    report.same("orders received, and recorded by the engine", len(orders), engine["orders_traced"],
                lost(engine["spans"]))
    check_stages(report, orders, children, lost(engine["spans"]))
    check_results(report, orders)
    check_parents(report, spans, orders, engine, feed)
    check_sampling(report, orders, engine, feed)
    check_fills(report, orders, engine, feed)
    check_lives(report, spans, children, lives, engine)
    print("everything agrees" if report.good else "NOT EVERYTHING AGREES")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
