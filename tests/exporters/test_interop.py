# SPDX-License-Identifier: Apache-2.0
#
# ctest: TIMEOUT 300 COST 30
"""Traces that cross our services and Python's OpenTelemetry SDK, both ways and back: one trace, one
sampling decision.

    desk (Python) -> backend (ours) -> AI engine's door (Python) -> AI engine (ours)
                                    -> execution (ours)

The door listens where the backend looks for the AI engine; it takes the request with the SDK and asks the
real one. All of them export to the same receiver.
"""
import collections
import concurrent.futures
import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support"),
                str(Path(__file__).parents[2] / "examples")]
from peers import missing

try:
    from opentelemetry import baggage, trace
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased
except ImportError as problem:
    missing(f"Python's OpenTelemetry SDK is not here (tests/requirements.txt): {problem}")
from check_traces import read_spans
from platform_service import Service, clean_environment
from sink_process import Sink

FORMATS = ("tracecontext,baggage", "b3,baggage", "b3multi,baggage")
TRADE = {"user_id": "user-7", "symbol": "BTCUSDT"}
TRADES = 200
SERVER, CLIENT = 2, 3


def propagator(names):
    """The propagators that the SDK makes from OTEL_PROPAGATORS."""
    return CompositePropagator([next(iter(entry_points(group="opentelemetry_propagator", name=name))).load()()
                                for name in names.split(",")])


def ask(address, method, path, body=None, headers=None):
    """Makes one request on a connection of its own; returns (status, body)."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


class Python:
    """One service in Python: a tracer of its own, exporting to the receiver."""

    def __init__(self, name, port, sampler):
        exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces", timeout=30)
        self.provider = TracerProvider(sampler, Resource.create({"service.name": name}), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100000))
        self.tracer = self.provider.get_tracer("test_interop")

    def stop(self):
        self.provider.shutdown()


class Door(Python):
    """A Python service in front of the AI engine. `came`: [(span context, baggage, header names)] of each
    request."""

    def __init__(self, port, formats, beyond):
        super().__init__("ai-engine-door", port, ParentBased(ALWAYS_ON))
        self.formats, self.came, self.beyond = formats, [], beyond
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                status, body = door.pass_on(self.path, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pass_on(self, path, headers):
        if path == "/health":
            return ask(self.beyond, "GET", path)
        context = self.formats.extract(headers, Context())
        with self.tracer.start_as_current_span("door", context, trace.SpanKind.SERVER) as span:
            self.came.append((span.get_span_context(), dict(baggage.get_all(context)), set(headers)))
            with self.tracer.start_as_current_span("ask the AI engine", trace.set_span_in_context(span, context),
                                                   trace.SpanKind.CLIENT) as client:
                onward = {}
                self.formats.inject(onward, trace.set_span_in_context(client, context))
                return ask(self.beyond, "GET", path, headers=onward)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        super().stop()


class World:
    """The receiver, our three services with the door in the AI engine's place, and a desk in Python."""

    def __init__(self, formats, sampler=ParentBased(ALWAYS_ON), **variables):
        self.formats, self.files, self.services = propagator(formats), Path(tempfile.mkdtemp()), []
        self.sink = Sink()
        environment = clean_environment(OTEL_PROPAGATORS=formats, OTLP_ENDPOINT=f"http://127.0.0.1:{self.sink.port}", **variables)

        def start(name, *options):
            self.services.append(Service(name, self.files, environment, *options))
            return self.services[-1].address
        self.door = Door(self.sink.port, self.formats, start("ai-engine"))
        self.backend = start("backend", "--execution", f"http://{start('execution')}", "--ai-engine", f"http://{self.door.address}",
                             "--timeout-ms", 30000)
        self.desk = Python("desk", self.sink.port, sampler)

    def trade(self, context=None):
        """Makes a trade at the desk; returns its span context."""
        context = context if context is not None else Context()
        with self.desk.tracer.start_as_current_span("trade", context, trace.SpanKind.CLIENT) as span:
            headers = {}
            self.formats.inject(headers, trace.set_span_in_context(span, context))
            self.place(headers)
            return span.get_span_context()

    def place(self, headers):
        status, body = ask(self.backend, "POST", "/api/trades/execute", TRADE, headers)
        if status != 201:
            raise AssertionError(f"{status}: {body.decode()}")

    def many(self, what):
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            return list(threads.map(lambda _: what(), range(TRADES)))

    def traces(self):
        """Ends everything; returns {trace id: [spans]} of what arrived."""
        self.desk.stop()
        self.door.stop()
        self.codes = [service.stop() for service in self.services]
        self.said = "".join(service.log() for service in self.services)
        self.sink.stop()
        found = collections.defaultdict(list)
        for span in read_spans(self.sink.output)[0].values():
            found[span.trace].append(span)
        return found

    def close(self):
        for service in self.services:
            if service.process.poll() is None:
                service.process.kill()
            service.process.wait()
        self.door.server.server_close()
        self.sink.__exit__()
        shutil.rmtree(self.files)


# Name, service and kind of each span that crosses services, with those of its parent.
PATH = [("trade", "desk", CLIENT), ("POST /api/trades/execute", "quantum-backend", SERVER),
        ("ai-engine: get_signal", "quantum-backend", CLIENT), ("door", "ai-engine-door", SERVER),
        ("ask the AI engine", "ai-engine-door", CLIENT), ("GET /signals/{symbol}", "ai-engine", SERVER)]
SIDE = [("POST /api/trades/execute", "quantum-backend", SERVER), ("execution: place_order", "quantum-backend", CLIENT),
        ("POST /orders", "execution", SERVER)]


class Interoperation(unittest.TestCase):
    def world(self, *arguments, **variables):
        world = World(*arguments, **variables)
        self.addCleanup(world.close)
        return world

    def assert_whole(self, spans, from_desk=True):
        """One tree, from its root through both languages to its leaves."""
        by_id = {span.id: span for span in spans}
        roots = [span for span in spans if span.parent not in by_id]
        path = PATH if from_desk else PATH[1:]
        self.assertEqual([span.name for span in roots], [path[0][0]], spans)
        for line in (path, SIDE):
            for above, below in zip(line, line[1:]):
                span, = [one for one in spans if (one.name, one.service, one.kind) == below]
                parent = by_id[span.parent]
                self.assertEqual((parent.name, parent.service, parent.kind), above)
        names = collections.Counter(span.name for span in spans)
        for leaf in ("validate_request", "load_models", "predict", "check_balance", "calculate_size", "submit_to_exchange", "store_trade"):
            self.assertEqual(names[leaf], 1, names)
        return len(spans)

    def test_one_trace(self):
        """The traces are complete in each format, and the desk's baggage reaches the door."""
        for formats in FORMATS:
            with self.subTest(formats):
                world = self.world(formats)
                carried = {"desk": "desk-7", "note": "50 % of ünï; a=b, c"}
                context = Context()
                for name, value in carried.items():
                    context = baggage.set_baggage(name, value, context)
                sent = world.trade(context)
                (came, received, headers), = world.door.came
                self.assertEqual(received, carried)
                self.assertEqual(came.trace_id, sent.trace_id)
                self.assertEqual(bool(headers & {"traceparent"}), formats.startswith("tracecontext"))
                self.assertEqual(bool(headers & {"b3"}), formats.startswith("b3,"))
                self.assertEqual(bool(headers & {"x-b3-traceid"}), formats.startswith("b3multi"))
                traces = world.traces()
                self.assertEqual(list(traces), [f"{sent.trace_id:032x}"])
                self.assert_whole(traces[f"{sent.trace_id:032x}"])
                self.assertEqual(world.codes, [0, 0, 0], world.said)

    def test_not_sampled(self):
        """If the desk does not sample, nobody exports anything, and the door learns the decision."""
        for formats in FORMATS:
            with self.subTest(formats):
                world = self.world(formats, ParentBased(ALWAYS_OFF))
                sent = world.trade(baggage.set_baggage("desk", "desk-7"))
                (came, received, _), = world.door.came
                self.assertEqual((came.trace_id, came.trace_flags.sampled, received), (sent.trace_id, False, {"desk": "desk-7"}))
                self.assertEqual(world.traces(), {})

    def test_the_desk_decides(self):
        for formats in FORMATS:
            with self.subTest(formats):
                world = self.world(formats, ParentBased(TraceIdRatioBased(0.5)))
                sent = world.many(world.trade)
                sampled = {f"{one.trace_id:032x}" for one in sent if one.trace_flags.sampled}
                self.assertEqual(len({one.trace_id for one in sent}), TRADES)
                self.check_decisions(world, sampled, from_desk=True)

    def test_we_decide(self):
        for formats in FORMATS:
            with self.subTest(formats):
                world = self.world(formats, TRACE_SAMPLE_RATE="0.5")
                world.many(lambda: world.place({}))
                self.assertEqual(len({came.trace_id for came, _, _ in world.door.came}), TRADES)
                for came, _, _ in world.door.came:
                    self.assertEqual(came.trace_flags.sampled, came.trace_id & (1 << 56) - 1 >= 1 << 55)
                    threshold = "th:8" if came.trace_flags.sampled and formats.startswith("tracecontext") else None
                    self.assertEqual(came.trace_state.get("ot"), threshold)
                sampled = {f"{came.trace_id:032x}" for came, _, _ in world.door.came if came.trace_flags.sampled}
                self.check_decisions(world, sampled, from_desk=False)

    def check_decisions(self, world, sampled, from_desk):
        """Sampled traces are complete, and nothing of the others arrives. For 200 coin tosses, 64 to 136
        heads are five sigma."""
        self.assertTrue(64 <= len(sampled) <= 136, len(sampled))
        traces = world.traces()
        self.assertEqual(world.codes, [0, 0, 0], world.said)
        self.assertEqual(set(traces), sampled)
        sizes = {self.assert_whole(spans, from_desk) for spans in traces.values()}
        self.assertEqual(len(sizes), 1, sizes)

    def test_tracestate_of_others(self):
        """The tracestate passes through both in its order; ours adds only one member, in front."""
        world = self.world("tracecontext,baggage")
        state = trace.TraceState([("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE"), ("fw529a3039@dt", "FfAz;9@!0~")])
        outside = trace.SpanContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True, trace.TraceFlags(1), state)
        sent = world.trade(trace.set_span_in_context(trace.NonRecordingSpan(outside), Context()))
        self.assertEqual(list(sent.trace_state.items()), list(state.items()))
        (came, _, _), = world.door.came
        members = [pair for pair in came.trace_state.items() if pair[0] != "ot"]
        self.assertEqual(members, list(state.items()))
        (identity, spans), = world.traces().items()
        self.assertEqual(identity, f"{outside.trace_id:032x}")
        self.assert_whole(spans)
        self.assertEqual([span.parent for span in spans if span.name == "trade"], [f"{outside.span_id:016x}"])

    def test_tracing_off_on_our_side(self):
        """Untraced services of ours pass on the context; the trace has only the Python spans, the door's
        below the desk's."""
        for formats in FORMATS:
            with self.subTest(formats):
                world = self.world(formats, ENABLE_TRACING="false")
                sent = world.trade(baggage.set_baggage("desk", "desk-7"))
                (came, received, _), = world.door.came
                self.assertEqual((came.trace_id, received), (sent.trace_id, {"desk": "desk-7"}))
                (_, spans), = world.traces().items()
                spans = {span.name: span for span in spans}
                self.assertEqual(set(spans), {"trade", "door", "ask the AI engine"})
                self.assertEqual(spans["door"].parent, spans["trade"].id)


if __name__ == "__main__":
    if not (Path(os.environ.get("NSP_BUILD_DIR", "build")) / "bin/platform-backend").exists():
        missing("the platform's services are not built")
    unittest.main()
