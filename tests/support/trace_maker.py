# SPDX-License-Identifier: Apache-2.0
"""Traces that look like those of a trading platform, for tests of what shows traces: several services, root names, failures, kept
traces, times off the CPU, links and attributes of every type. A trace is a list of spans, which are dicts as
support/critical_path.py takes them, with more that goes into the file."""
import json
import random

START = 1_700_000_000_123_456_789
MARKETS = ["BTCUSDT", "ETHUSDT", "a*b", "two words", 'quo"te', "sl\\ash", "eur/usd"]
KEPT = ["slow", "slowest", "error", "asked"]


def value(what):
    if isinstance(what, list):
        return {"arrayValue": {"values": [value(one) for one in what]}}
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(what)]
    return {kind: str(what) if kind == "intValue" else what}


def attributes(pairs):
    return [{"key": key, "value": value(what)} for key, what in pairs.items()]


def span(number, name, start, end, parent=None, **more):
    """`more`: service, kind, attributes (a dict), events [(name, time, attributes)], links [(trace, span, attributes)], failed (a
    message), off [(name, start, length)]: times off the CPU."""
    made = {"id": number, "name": name, "start": start, "end": end, "parent": parent, **more}
    pauses = made.pop("off", [])
    made["events"] = [*made.get("events", []), *((word, at, {"nanospan.off_cpu_ns": length}) for word, at, length in pauses)]
    made["off"] = sum(length for _, _, length in pauses)
    return made


def otlp_span(trace, made):
    out = {"traceId": f"{trace:032x}", "spanId": f"{made['id']:016x}", "name": made["name"], "kind": made.get("kind", 1),
           "startTimeUnixNano": str(START + made["start"]), "endTimeUnixNano": str(START + made["end"]),
           "attributes": attributes(made.get("attributes", {})),
           "events": [{"name": name, "timeUnixNano": str(START + time), "attributes": attributes(pairs)}
                      for name, time, pairs in made["events"]],
           "links": [{"traceId": f"{other:032x}", "spanId": f"{number:016x}", "attributes": attributes(pairs)}
                     for other, number, pairs in made.get("links", [])]}
    if made["parent"]:
        out["parentSpanId"] = f"{made['parent']:016x}"
    if "failed" in made:
        out["status"] = {"code": 2, "message": made["failed"]}
    return out


def otlp(traces):
    """One request: an object of an OTLP JSON line."""
    by_service = {}
    for number, spans in traces.items():
        for made in spans:
            by_service.setdefault(made.get("service", "engine"), []).append(otlp_span(number, made))
    return {"resourceSpans": [{"resource": {"attributes": attributes({"service.name": service, "host.name": f"host of {service}"})},
                               "scopeSpans": [{"spans": spans}]} for service, spans in by_service.items()]}


def write(path, traces, in_a_line=50):
    """`traces`: lists of spans by their numbers, which become their ids."""
    numbers = list(traces)
    with open(path, "w", encoding="utf-8") as out:
        for at in range(0, len(numbers), in_a_line):
            out.write(json.dumps(otlp({number: traces[number] for number in numbers[at:at + in_a_line]})) + "\n")


def order(chance: random.Random, number, start, name="order", slower=1.0):
    """An order: a gateway sends it to a risk check, which may be retried, and to an engine. Phases overlap, and one outlives
    its parent."""
    def some(mean):
        return max(1, int(chance.lognormvariate(0, 0.7) * mean))

    check, match, report = some(900), int(some(2500) * slower), some(400)
    slow = chance.random() < 0.06
    match += some(90_000) if slow else 0
    at = start + 120
    spans = [span(2, "decode", start + 5, at, 1, service="gateway")]
    for attempt in range(1 + (chance.random() < 0.2)):
        spans.append(span(3 + attempt, "check_risk", at, at + check, 1, service="risk", kind=3, attributes={"attempt": attempt}))
        at += check
    pauses = [("preempted" if chance.random() < 0.6 else "waited", at + 20, match // 2)] if slow else []
    spans.append(span(5, "match", at - 50, at + match, 1, service="engine", off=pauses,
                      events=[("book", at, {"depth": chance.randint(1, 9)})]))
    spans.append(span(6, "fill", at + 10, at + match + report, 5, service="engine"))
    end = at + match + report + 30
    facts = {"order.id": 1000 + number, "symbol": chance.choice(MARKETS), "price": chance.randint(1, 900) / 8,
             "urgent": chance.random() < 0.3, "tags": ["x", chance.randint(0, 3)]}
    if slow:
        facts["nanospan.kept"] = chance.choice(KEPT)
    top = span(1, name, start, end, service="gateway", kind=2, attributes=facts)
    if chance.random() < 0.08:
        top["failed"] = chance.choice(["rejected", "no money"])
    if number > 3 and chance.random() < 0.2:
        top["links"] = [(number - 2, 1, {"why": "replaces"}), (999_999, 7, {})]
    return [top, *spans]


def platform(chance: random.Random, count, slower=1.0, first=1):
    """{number: spans}: orders, cancels, heartbeats of one span, and now and then a trace whose root is missing."""
    traces = {}
    for number in range(first, first + count):
        start = 1_000_000 * number + chance.randint(0, 900_000)
        kind = chance.random()
        if kind < 0.65:
            traces[number] = order(chance, number, start, slower=slower)
        elif kind < 0.8:
            traces[number] = order(chance, number, start, "cancel order", 0.1)
        elif kind < 0.95:
            traces[number] = [span(1, "heartbeat", start, start + chance.randint(40, 400), service="gateway")]
        else:
            traces[number] = order(chance, number, start)[1:]
    return traces
