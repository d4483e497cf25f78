# SPDX-License-Identifier: Apache-2.0
"""What a span costs in Python, beside OpenTelemetry's SDK: both in one process, turn by turn, sending by OTLP over HTTP to
the same receiver.

    python bindings/python/bench/cost.py [--rounds N] [--spans N] [--command build/bin/nanospan]

Needs this package, and opentelemetry-sdk with opentelemetry-exporter-otlp-proto-http. `the thread` is CPU time of
the thread that makes the spans; `the whole process` is that of all threads, divided by the spans: encoding and sending
included. Both are medians over the rounds, in microseconds. The exit code is 1 if spans are missing at the receiver.
"""

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

import nanospan

UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def bare(tracer, spans, _):
    for _ in range(spans):
        with tracer.start_as_current_span("bare"):
            pass


def three_attributes(tracer, spans, _):
    for number in range(spans):
        with tracer.start_as_current_span("order") as span:
            span.set_attribute("trade.symbol", "BTCUSDT")
            span.set_attribute("trade.size", 0.1)
            span.set_attribute("order.id", number)


def trace_of_five(tracer, spans, _):
    for _ in range(spans // 5):
        with tracer.start_as_current_span("request"):
            for name in ("query", "filter", "price", "format"):
                with tracer.start_as_current_span(name) as span:
                    span.set_attribute("rows", 7)


def unsampled(tracer, spans, parent):
    for number in range(spans):
        with tracer.start_as_current_span("order", context=parent) as span:
            span.set_attribute("trade.symbol", "BTCUSDT")
            span.set_attribute("trade.size", 0.1)
            span.set_attribute("order.id", number)


class Sink:
    """The receiver."""

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory()
        self.port_file = Path(self.folder.name, "port")
        self.summary = Path(self.folder.name, "summary.json")
        self.process = subprocess.Popen(
            [
                command,
                "sink",
                "--quiet",
                "--listen",
                "127.0.0.1:0",
                "--port-file",
                self.port_file,
                "--summary",
                self.summary,
            ]
        )
        while not self.port_file.exists():
            if self.process.poll() is not None:
                sys.exit("the receiver did not start")
            time.sleep(0.01)
        self.endpoint = f"http://127.0.0.1:{self.port_file.read_text().strip()}"

    def stop(self):
        self.process.terminate()
        self.process.wait()
        return json.loads(self.summary.read_text())


class OpenTelemetry:
    name = "OpenTelemetry"

    def __init__(self, endpoint, spans):
        def provider(sampler):
            made = TracerProvider(sampler, Resource.create({"service.name": "opentelemetry"}), shutdown_on_exit=False)
            exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
            made.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=max(2048, 2 * spans)))
            return made

        self.provider, self.off = provider(ParentBased(ALWAYS_ON)), provider(ALWAYS_OFF)
        self.tracer, self.off_tracer = self.provider.get_tracer("cost"), self.off.get_tracer("cost")
        self.parent = None

    def flush(self):
        self.provider.force_flush(60000)

    def stop(self):
        self.provider.shutdown()
        self.off.shutdown()


class Nanospan:
    name = "nanospan"

    def __init__(self, endpoint, _):
        os.environ.setdefault("NSP_RING_BYTES", str(16 << 20))
        if not nanospan.init_observability(service_name="nanospan", log_level="WARNING", endpoint=endpoint):
            sys.exit("nanospan was not started")
        self.tracer = self.off_tracer = nanospan.get_tracer()
        self.parent = nanospan.extract({"traceparent": UNSAMPLED})

    def flush(self):
        if not nanospan.flush(60):
            sys.exit("the receiver did not take all spans")

    def stop(self):
        nanospan.shutdown(60)


def measure(library, work, spans):
    tracer = library.off_tracer if work is unsampled else library.tracer
    process, thread = time.process_time_ns(), time.thread_time_ns()
    work(tracer, spans, library.parent)
    thread = time.thread_time_ns() - thread
    library.flush()
    return thread / spans / 1e3, (time.process_time_ns() - process) / spans / 1e3


def main():
    options = argparse.ArgumentParser(description="What a span costs in Python, beside OpenTelemetry's SDK.")
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--spans", type=int, default=5000, help="of each round")
    options.add_argument("--command", default="build/bin/nanospan", help="the command nanospan, for its receiver")
    options = options.parse_args()

    sink = Sink(options.command)
    libraries = [OpenTelemetry(sink.endpoint, options.spans), Nanospan(sink.endpoint, options.spans)]
    works = {
        "span without attributes": bare,
        "span with 3 attributes": three_attributes,
        "a span of a trace of 5": trace_of_five,
        "unsampled, 3 attributes": unsampled,
    }
    figures = collections.defaultdict(list)
    for turn in range(options.rounds + 1):
        for title, work in works.items():
            for library in libraries[:: 1 if turn % 2 else -1]:
                found = measure(library, work, options.spans)
                if turn > 0:  # the first round warms up
                    figures[title, library.name].append(found)
    for library in libraries:
        library.stop()

    print(f"{'microseconds':26}{'the thread':>34}{'the whole process':>34}")
    names = [library.name for library in libraries]
    print(f"{'':26}" + f"{names[0]:>16}{names[1]:>10}{'ratio':>8}" * 2)
    for title in works:
        line = f"{title:26}"
        for column in (0, 1):
            theirs, ours = (statistics.median(found[column] for found in figures[title, name]) for name in names)
            line += f"{theirs:16.2f}{ours:10.2f}{theirs / ours:8.1f}"
        print(line)
    print(
        f"OpenTelemetry {version('opentelemetry-sdk')}, Python {sys.version.split()[0]}; {options.rounds} rounds of "
        f"{options.spans} spans, turn by turn"
    )
    received = sink.stop()
    made = 3 * 2 * (options.rounds + 1) * options.spans
    print(f"spans made and sent {made:,}, received {received['spans']:,}")
    return 0 if received["spans"] == made else 1


if __name__ == "__main__":
    sys.exit(main())
