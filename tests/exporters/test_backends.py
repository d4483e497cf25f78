# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 50
"""What arrives in the real Jaeger and the real OpenTelemetry Collector, seen through their own outputs:
Jaeger's query API and the file that the Collector writes. `./run backends` builds both; without them this
test is skipped, but fails in CI."""
import copy
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import backends
import expected
from backends import wait_until
from certificates import Certificates
from peers import needs
from receivers import Emitted

PROTOCOLS = ("grpc", "http/protobuf", "http/json")
SETS = 3  # of spans, by each way


def setUpModule():
    global certificates, jaeger, collector
    backends.programs()
    holder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(holder.cleanup)
    folder = Path(holder.name)
    certificates = Certificates(folder)
    jaeger = unittest.enterModuleContext(backends.Jaeger(folder, certificates))
    collector = unittest.enterModuleContext(backends.Collector(folder, certificates))


def variables(backend, protocol, service, receiver="clear", **more):
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint(protocol, receiver), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
             "OTEL_SERVICE_NAME": service, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50", "NSP_RETRY_MIN_MS": "20",
             "NSP_RETRY_MAX_MS": "200", **more}
    if receiver != "clear":
        named["OTEL_EXPORTER_OTLP_CERTIFICATE"] = certificates.path("ca")
    if receiver == "mutual":
        named["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"] = certificates.path("client")
        named["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = certificates.path("client_key")
    return named


def traces_of(spans):
    return sorted({span["traceId"] for span in spans})


MINUS_ZERO, ZERO = expected.f64_bits(-0.0), expected.f64_bits(0.0)
WARNINGS = "@jaeger@warnings"
ORPHAN = "parent span ID={} is not in the trace; skipping clock skew adjustment"


def as_jaeger_has_it(span):
    """Jaeger has its own order of attributes and events, does not distinguish -0 from 0, and, with storage
    in memory, adds its warnings again each time a trace is queried."""
    span = copy.deepcopy(span)
    for holder in [span] + span["events"] + span["links"]:
        holder["attributes"] = sorted([key, kind, ZERO if (kind, value) == ("f64", MINUS_ZERO) else value]
                                      for key, kind, value in holder["attributes"])
    for attribute in span["attributes"]:
        if attribute[0] == WARNINGS:
            attribute[2] = sorted(set(attribute[2]))
    span["events"].sort(key=lambda event: (int(event["time"]), event["name"]))
    return span


def as_jaeger_shows(spans):
    """How Jaeger must show these spans: with warnings only for those whose parents were not sent."""
    sent = {(span["traceId"], span["spanId"]) for span in spans}
    shown = []
    for span in map(as_jaeger_has_it, spans):
        if span["parentSpanId"] and (span["traceId"], span["parentSpanId"]) not in sent:
            span["attributes"].insert(0, [WARNINGS, "strs", [ORPHAN.format(span["parentSpanId"])]])
        shown.append(span)
    return shown


class BackendTest(unittest.TestCase):
    def assert_same(self, emitted, received):
        found = expected.differences(emitted, received)
        if found:
            self.fail(expected.report(found))


class EverySpan(BackendTest):
    """Spans with everything that a span can have, by every transport."""

    def deliver(self, backend, protocol, receiver, gzip):
        service = "-".join([protocol.replace("/", "-"), receiver, gzip])
        emitted = Emitted(variables(backend, protocol, service, receiver, OTEL_EXPORTER_OTLP_COMPRESSION=gzip), count=SETS)
        self.assertEqual(emitted.code, 0, emitted.said)
        self.assertEqual(emitted.accounting["exported"], len(emitted.spans))
        if gzip == "gzip":
            self.assertLess(emitted.accounting["bytes_sent"], emitted.accounting["bytes_encoded"] / 2)
        return service, emitted

    def each_way(self, backend, check):
        ways = list(itertools.product(PROTOCOLS, backends.RECEIVERS, ("none", "gzip")))
        with ThreadPoolExecutor(4) as pool:
            sent = pool.map(lambda way: self.deliver(backend, *way), ways)
            for way, (service, emitted) in zip(ways, sent):
                with self.subTest(way=way):
                    check(service, emitted)
        return ways

    def test_collector(self):
        def check(service, emitted):
            groups = [group for group in collector.groups() if group[0]["service.name"] == service]
            self.assertEqual({scope for _, scope, _ in groups}, {"nanospan"})
            self.assert_same(emitted.spans, [span for _, _, spans in groups for span in spans])
            for resource, _, _ in groups:
                self.assertEqual((resource["telemetry.sdk.language"], resource["service.name"]), ("c", service))

        self.each_way(collector, check)

    def test_jaeger(self):
        def check(service, emitted):
            received = jaeger.spans(traces_of(emitted.spans), service)
            self.assert_same(as_jaeger_shows(emitted.spans), [as_jaeger_has_it(span) for span in received])
            self.assert_old_api_agrees(emitted)
            services.append(service)

        services = []
        self.each_way(jaeger, check)
        self.assertLessEqual(set(services), set(jaeger.ask("/api/v3/services")["services"]))
        self.assertLessEqual(set(services), set(jaeger.ask("/api/services")["data"]))

    def assert_old_api_agrees(self, emitted):
        """The API of the web pages shows a trace too, without warnings. (It cannot show the trace of the
        set, which has attributes that are not finite.)"""
        root = next(span for span in emitted.spans if span["name"] == "new root within a trace")
        (trace,) = jaeger.ask(f"/api/traces/{root['traceId']}")["data"]
        (span,) = trace["spans"]
        self.assertEqual((span["spanID"], span["operationName"], span["references"]), (root["spanId"], root["name"], []))
        self.assertFalse(span.get("warnings"))


class Interruptions(BackendTest):
    """A backend goes away in the middle and comes back."""

    SETS = 250

    def interrupt(self, backend, protocol, how, begun):
        """Emits, stops the backend once some spans have arrived, and starts it again; returns the name of the
        service, and what was emitted and logged. begun(service) returns what says that some have arrived."""
        for attempt in range(5):  # all may have been sent before this process gets a processor
            service = f"interrupted-{protocol.replace('/', '-')}-{attempt}"
            arrived = begun(service)
            with ThreadPoolExecutor(1) as pool:
                emission = pool.submit(Emitted, variables(backend, protocol, service), self.SETS, 60)
                wait_until(lambda: arrived() or emission.done(), "nothing came")
                backend.stop(how)
                over = emission.done()
                backend.start()
                emitted = emission.result()
            if not over:
                break
        self.assertFalse(over, "it was over before anything was interrupted")
        accounting = emitted.accounting
        self.assertIn(emitted.code, (0, 3), emitted.said)  # 2 would mean that the accounting does not balance
        self.assertEqual(accounting["attempted"], sum(accounting[where] for where in ("open", "dropped", "discarded", "in_rings",
                                                                            "in_batches", "unconfirmed", "rejected",
                                                                            "exported", "spooled")))
        self.assertEqual((accounting["open"], accounting["in_rings"], accounting["in_batches"], accounting["rejected"]), (0, 0, 0, 0), emitted.said)
        self.assertGreater(accounting["exported"], len(emitted.spans) / 2, emitted.said)
        return service, emitted

    def test_killed_collector(self):
        """All spans that the counters call exported have arrived complete, and nothing else has."""
        def written():
            return collector.output.stat().st_size if collector.output.exists() else 0

        for protocol in PROTOCOLS:
            with self.subTest(protocol=protocol):
                service, emitted = self.interrupt(collector, protocol, signal.SIGKILL,
                                                  lambda _: lambda before=written(): written() > before)
                received = {}
                for span in collector.spans(service):
                    # A request that was accepted but not answered is sent again, so a span may arrive twice
                    # with the same content.
                    self.assertEqual(received.setdefault((span["traceId"], span["spanId"]), span), span)
                self.assert_same([span for span in emitted.spans if (span["traceId"], span["spanId"]) in received],
                                 list(received.values()))
                accounting = emitted.accounting
                self.assertGreaterEqual(len(received), accounting["exported"])
                self.assertLessEqual(len(received), accounting["exported"] + accounting["unconfirmed"])

    def test_restarted_jaeger(self):
        """Spans after the restart are complete; earlier ones are gone with Jaeger's memory."""
        for protocol in ("grpc", "http/protobuf"):
            with self.subTest(protocol=protocol):
                service, emitted = self.interrupt(
                    jaeger, protocol, signal.SIGTERM,
                    lambda name: lambda: name in jaeger.ask("/api/v3/services").get("services", []))
                received = {(span["traceId"], span["spanId"]): as_jaeger_has_it(span)
                            for span in jaeger.spans(traces_of(emitted.spans), service)}
                shown = as_jaeger_shows([span for span in emitted.spans if (span["traceId"], span["spanId"]) in received])
                self.assert_same(shown, list(received.values()))
                last = [span for span in emitted.spans if span["name"] == "set"][-1]
                self.assertIn((last["traceId"], last["spanId"]), received)


BUILD = Path(os.environ.get("NSP_BUILD_DIR", backends.SOURCES / "build"))


@needs((BUILD / "bin/platform-backend").exists(), "the example platform was not built")
class Platform(BackendTest):
    """The trading platform's traces: `./run platform` sends them, and its own check runs on what the
    backend shows."""

    PROGRAMS = backends.SOURCES / "examples/platform"
    SERVICES = ("quantum-backend", "ai-engine", "execution")

    def run_platform(self, backend, protocol, receiver, gzip, folder):
        """The ENVIRONMENT of this run, which marks its spans in the backend."""
        case = folder.name
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith(("OTEL_", "OTLP_", "NSP_", "SERVICE_", "TRACE_", "ENABLE_"))}
        named = variables(backend, protocol, "", receiver, OTEL_EXPORTER_OTLP_COMPRESSION=gzip)
        named["OTLP_ENDPOINT"] = named.pop("OTEL_EXPORTER_OTLP_ENDPOINT")
        done = subprocess.run(["bash", self.PROGRAMS / "platform.sh", BUILD, "--duration", "1", "--rate", "100", "--files", folder],
                              env={**kept, **named, "ENVIRONMENT": case}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180)
        self.assertEqual(done.returncode, 0, done.stdout)
        return case

    def prove(self, folder, case, trees):
        """Writes the case's part of the trees to where the check looks for traces, and runs the check."""
        lines = []
        for tree in trees:
            mine = [resource_spans for resource_spans in tree["resourceSpans"]
                    if {"key": "deployment.environment.name", "value": {"stringValue": case}}
                    in resource_spans["resource"]["attributes"]]
            lines.append(json.dumps({"resourceSpans": mine}) + "\n")
        found = re.search(f'"{WARNINGS}".{{,300}}', "".join(lines))
        self.assertIsNone(found, found and found[0])
        (folder / "traces.jsonl").write_text("".join(lines), encoding="utf-8")
        done = subprocess.run([sys.executable, self.PROGRAMS / "check_platform.py", folder], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("each trace has exactly the tree that its result demands", done.stdout)

    def each_way(self, backend, ways, trees):
        with tempfile.TemporaryDirectory() as holder, ThreadPoolExecutor(2) as pool:
            folders = [Path(holder, "-".join((backend.name, *way)).replace("/", "-")) for way in ways]
            cases = list(pool.map(lambda way, folder: self.run_platform(backend, *way, folder), ways, folders))
            # Only once everything has arrived, because Jaeger never forgets that it has shown a span before
            # its parent.
            found = trees()
            for way, folder, case in zip(ways, folders, cases):
                with self.subTest(way=way):
                    self.prove(folder, case, found)

    def test_jaeger(self):
        self.each_way(jaeger, list(itertools.product(("grpc", "http/protobuf"), ("clear", "tls"), ("none", "gzip"))),
                      lambda: [jaeger.search("quantum-backend")["result"]])
        self.assertLessEqual(set(self.SERVICES), set(jaeger.ask("/api/services")["data"]))

    def test_collector(self):
        self.each_way(collector, [("grpc", "mutual", "gzip"), ("http/protobuf", "clear", "none"), ("http/json", "tls", "gzip")],
                      collector.trees)


if __name__ == "__main__":
    unittest.main()
