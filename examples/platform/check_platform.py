#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the traces of the trading platform against what its programs counted.

    check_platform.py FOLDER [--sample-rate R] [--no-tracing]

The folder is one that platform.sh has filled: what the services counted (backend.json, ai-engine.json,
execution.json), the requests and answers of the load driver (load*.json), and what the receiver took
(traces.jsonl, sink.json). Without traces.jsonl, because the traces went elsewhere, only the counters are
compared. Writes the ids of some traces worth seeing to shown.txt. The exit code is 1 if anything disagrees.
"""
import argparse
import collections
import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from check_traces import Report, read_spans  # noqa: E402 (the folder above is not on the path)

INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2
SIGNALS, EXECUTE = "HTTP GET /api/signals", "POST /api/trades/execute"
BACKEND, AI_ENGINE, EXECUTION = "quantum-backend", "ai-engine", "execution"
REFUSED_BY_EXCHANGE = ("symbol_not_listed", "symbol_halted", "price_out_of_band", "size_over_limit",
                       "no_quotes_at_limit")

# The expected shape of a trace: each node has a service, a kind, a name, whether it failed, and the nodes
# below it.
Node = collections.namedtuple("Node", "service kind name failed below")


def inside(service, name, *below, failed=False):
    return Node(service, INTERNAL, name, failed, below)


def call(name, failed, *server):
    return Node(BACKEND, CLIENT, name, failed, server)


def signals_tree():
    return (inside(BACKEND, "query_signals", inside(BACKEND, "connect_db"), inside(BACKEND, "execute_query")),
            inside(BACKEND, "filter_signals"), inside(BACKEND, "format_response"))


def ai_call(failed=None):
    """The call to the AI engine, up to the step that failed."""
    steps = [inside(AI_ENGINE, name, failed=name == failed) for name in ("load_models", "predict")]
    return call("ai-engine: get_signal", failed is not None,
                Node(AI_ENGINE, SERVER, "GET /signals/{symbol}", False, tuple(steps)))


def execution_call(failed=None):
    steps = []
    for name in ("check_balance", "calculate_size", "submit_to_exchange"):
        steps.append(inside(EXECUTION, name, failed=name == failed))
        if name == failed:
            break
    return call("execution: place_order", failed is not None,
                Node(EXECUTION, SERVER, "POST /orders", False, tuple(steps)))


def trade_tree(result):
    """The spans below POST /api/trades/execute for this result; None if the result is unknown here."""
    valid = inside(BACKEND, "validate_request")
    if result == "executed":
        return valid, ai_call(), execution_call(), inside(BACKEND, "store_trade")
    if result == "invalid_request":
        return (inside(BACKEND, "validate_request", failed=True),)
    if result == "unknown_symbol":
        return valid, ai_call("predict")
    if result in ("insufficient_balance", "unknown_user"):
        return valid, ai_call(), execution_call("check_balance")
    if result == "size_below_lot":
        return valid, ai_call(), execution_call("calculate_size")
    if result in REFUSED_BY_EXCHANGE:
        return valid, ai_call(), execution_call("submit_to_exchange")
    if result == "upstream_unreachable":  # of the AI engine, which is called first
        return valid, call("ai-engine: get_signal", True)
    return None


def expected(root):
    """The tree that this root must have, or None."""
    result = root.attributes.get("result")
    failed = root.attributes.get("http.response.status_code", 0) >= 500
    if root.name == SIGNALS:
        below = {"ok": signals_tree(), "invalid_query": ()}.get(result)
    else:
        below = trade_tree(result) if root.name == EXECUTE else None
    return None if below is None else Node(BACKEND, SERVER, root.name, failed, below)


class Traces:
    def __init__(self, spans):
        self.roots = [span for span in spans.values() if not span.parent]
        self.spans = spans
        self.children = collections.defaultdict(list)
        for span in spans.values():
            if span.parent:
                self.children[(span.trace, span.parent)].append(span)
        for below in self.children.values():
            below.sort(key=lambda span: (span.start, span.end))

    def below(self, span):
        return self.children.get((span.trace, span.id), ())


def complaint_about_status(span, failed):
    if failed != (span.status.get("code", 0) == ERROR):
        return "it has failed, but should not" if not failed else "it has not failed, but should"
    if failed != ("error.type" in span.attributes):
        return "error.type does not fit the status"
    if failed and span.kind == INTERNAL and not (span.status.get("message") and span.attributes.get("error") is True):
        return "it failed without a message or without error = true"
    return None


def complaint(traces, span, node, slack):
    """Why this span or the spans below it differ from the expected shape, or None."""
    if (span.service, span.kind, span.name) != (node.service, node.kind, node.name):
        return f"found {span.service} {span.name} of kind {span.kind}, expected {node.service} {node.name}"
    why = complaint_about_status(span, node.failed)
    if why:
        return f"{span.name}: {why}"
    below = traces.below(span)
    if [child.name for child in below] != [child.name for child in node.below]:
        return f"{span.name} contains {[child.name for child in below]}, not {[child.name for child in node.below]}"
    last = span.start
    for child, wanted in zip(below, node.below):
        far = slack if child.service != span.service else 0
        if child.start < last - far:
            return f"{child.name} begins too early"
        # A server span ends when its answer has been sent; by then the caller may already have moved on.
        if (child.start if far else child.end) > span.end + far:
            return f"{child.name} lies outside {span.name}"
        last = child.end if not far else child.start
        why = complaint(traces, child, wanted, slack)
        if why:
            return why
    return None


def find(traces, root, name):
    """The span with this name in the root's trace, or None."""
    waiting = [root]
    while waiting:
        span = waiting.pop()
        if span.name == name:
            return span
        waiting.extend(traces.below(span))
    return None


def near(left, right):
    return left is not None and right is not None and math.isclose(left, right, rel_tol=1e-6)


def complaint_about_trade(traces, root):
    """How the spans of an executed trade, from three processes, contradict each other, or None."""
    said, predict = root.attributes, find(traces, root, "predict").attributes
    submit = find(traces, root, "submit_to_exchange")
    if not str(said.get("user.id", "")).startswith("user-") or said.get("error") is not False:
        return "user.id or error is wrong"
    if not near(said.get("ai.confidence"), predict.get("confidence")) or predict.get("result") not in ("BUY", "SELL"):
        return "the confidence is not the one that was predicted"
    if said.get("trade.symbol") != predict.get("symbol") or not near(said.get("trade.size"),
                                                                     submit.attributes.get("trade.size")):
        return "the symbol or the size is not the one that was predicted or submitted"
    if not any(event.get("name") == "fill" for event in submit.events):
        return "there are no fill events"
    for name in ("load_models", "check_balance", "store_trade"):
        if find(traces, root, name).attributes.get("db.system.name") != "sqlite":
            return f"{name} does not describe its database"
    return None


def complaint_about_query(traces, root):
    query = find(traces, root, "execute_query").attributes
    good = (query.get("db.system.name") == "sqlite" and query.get("db.operation.name") == "SELECT"
            and query.get("db.collection.name") == "signals" and query.get("db.response.returned_rows", 0) > 0
            and "?1" in query.get("db.query.text", ""))
    return None if good else "execute_query does not describe its statement"


def check_trees(report, traces, slack):
    faults, kinds = [], collections.Counter()
    for root in traces.roots:
        wanted = expected(root)
        why = "it is not a root span of the backend, or has an unknown result"
        if wanted is not None:
            why = complaint(traces, root, wanted, slack)
            result = root.attributes["result"]
            if not why and (root.name, result) == (EXECUTE, "executed"):
                why = complaint_about_trade(traces, root)
            if not why and (root.name, result) == (SIGNALS, "ok"):
                why = complaint_about_query(traces, root)
        if why:
            faults.append(f"{root.name} ({root.attributes.get('result')}), trace {root.trace}: {why}")
        kinds[(root.name, root.attributes.get("result"))] += 1
    for (name, result), count in sorted(kinds.items(), key=lambda entry: (entry[0][0], -entry[1])):
        print(f"         {name:26} {result or '':24} {count:>8,}")
    report.each("each trace has exactly the tree that its result demands: names, nesting, kinds, services, errors, times",
                faults, len(traces.roots))
    lost = [f"{span.name} of {span.service}" for span in traces.spans.values()
            if span.parent and (span.trace, span.parent) not in traces.spans]
    report.each("each span's parent was received, in the same trace", lost, len(traces.spans))
    report.same("traces, and root spans", len({span.trace for span in traces.spans.values()}), len(traces.roots))
    health = [span.name for span in traces.spans.values()
              if span.attributes.get("url.path") in ("/health", "/ready")]
    report.each("health checks left no spans", health, len(traces.spans))


def check_answers(report, traces, answers, rate):
    """There is one root span for each answer that the load driver received, with the same status and
    result."""
    found = collections.Counter((root.attributes.get("http.request.method"),
                                 root.attributes.get("http.response.status_code"), root.attributes.get("result"))
                                for root in traces.roots)
    total = sum(answers.values())
    if rate >= 1:
        faults = [f"{key}: {answers.get(key, 0)} answered, {found.get(key, 0)} traced"
                  for key in answers.keys() | found.keys() if answers.get(key, 0) != found.get(key, 0)]
        report.each("methods, statuses and results of all answers agree with the traces", faults, total)
    else:
        # Six standard deviations: a false alarm in 500 million runs.
        spread = 6 * math.sqrt(total * rate * (1 - rate)) + 1
        report.note(abs(len(traces.roots) - total * rate) <= spread, f"traces at a sample rate of {rate:g}",
                    f"{len(traces.roots):,} of {total:,}")


def check_accounting(report, services, spans):
    for name, service in services.items():
        accounting = service["spans"]
        report.note(accounting["balanced"] and accounting["attempted"] == accounting["exported"],
                    f"span counters of {name}: the receiver accepted all spans that were begun",
                    f"{accounting['attempted']:,} and {accounting['exported']:,}")
        if spans is not None:
            received = sum(1 for span in spans.values() if span.service == name)
            report.same(f"spans of {name} sent, and received", accounting["exported"], received)
        report.note(not accounting.get("roots_refused"), f"traces that {name} refused under pressure",
                    f"{accounting.get('roots_refused', 0)}")


def choose_shown(traces, path):
    """Writes one trace of each kind that a reader should see: the trace id, and what the request does."""
    wanted = [("reads signals", SIGNALS, "ok"), ("executes a trade across the three services", EXECUTE, "executed"),
              ("is refused: the balance is too low", EXECUTE, "insufficient_balance"),
              ("is refused by the exchange", EXECUTE, "symbol_halted"),
              ("fails: the AI engine is down", EXECUTE, "upstream_unreachable")]
    lines = []
    for what, name, result in wanted:
        found = [root for root in traces.roots if (root.name, root.attributes.get("result")) == (name, result)]
        found.sort(key=lambda root: root.end - root.start)
        if found:
            lines.append(f"{found[len(found) // 2].trace} {what}\n")  # the median one
    path.write_text("".join(lines), encoding="utf-8")


def read_numbers(folder):
    services = {name: json.loads((folder / file).read_text())
                for name, file in ((BACKEND, "backend.json"), (AI_ENGINE, "ai-engine.json"),
                                   (EXECUTION, "execution.json"))}
    answers = collections.Counter()
    for file in sorted(folder.glob("load*.json")):
        for answer in json.loads(file.read_text())["answers"]:
            answers[(answer["method"], answer["status"], answer["result"])] += answer["count"]
    return services, answers


def main():
    parser = argparse.ArgumentParser(description="Compares the platform's traces with what its programs counted.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample-rate", type=float, default=1.0, help="the TRACE_SAMPLE_RATE of the run")
    parser.add_argument("--no-tracing", action="store_true", help="tracing was off, so there must be no spans")
    options = parser.parse_args()
    try:
        services, answers = read_numbers(options.folder)
        path = options.folder / "traces.jsonl"
        spans, twice = read_spans(path) if path.exists() else (None, 0)
    except (OSError, ValueError, KeyError) as error:
        print(f"check_platform: {error}; the folder must be one that platform.sh has filled", file=sys.stderr)
        return 1
    report = Report()
    print("the load driver and the services")
    report.same("requests answered by the backend, and sent by the load driver", services[BACKEND]["requests"],
                sum(answers.values()))
    if options.no_tracing:
        begun = sum((service["spans"] or {}).get("attempted", 0) for service in services.values())
        report.note(not spans and not begun, "tracing is off: no spans were begun, and none arrived",
                    f"{begun:,} and {len(spans or ()):,}")
    else:
        print("spans sent, and spans received")
        check_accounting(report, services, spans)
        report.note(twice == 0, "spans received twice", f"{twice:,}")
        if spans is not None:
            print("the contents of the traces")
            traces = Traces(spans)
            # By how much the clocks of two processes may differ: the bounds of their errors, plus a margin.
            slack = 100_000 + sum(service["spans"].get("clock_error_ns", 0) for service in services.values())
            check_trees(report, traces, slack)
            check_answers(report, traces, answers, options.sample_rate)
            choose_shown(traces, options.folder / "shown.txt")
    print("everything agrees" if report.good else "NOT EVERYTHING AGREES")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
