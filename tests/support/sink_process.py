# SPDX-License-Identifier: Apache-2.0
"""Starts `nanospan sink` on a free port for a test, posts to it, and ends it."""
import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from peers import missing


def command():
    """The path of the command nanospan; ends the test if it was not built."""
    path = os.environ.get("NSP_COMMAND") or str(Path(os.environ.get("NSP_BUILD_DIR", "build")) / "bin" / "nanospan")
    if not os.access(path, os.X_OK):
        missing(f"there is no {path}")
    return path


class Sink:
    """One running sink, a context manager: at the end of the block the sink is ended and its files are
    removed."""

    def __init__(self, *options, output=True, quiet=True):
        self.folder = tempfile.TemporaryDirectory()
        self.output = Path(self.folder.name, "spans.jsonl")
        self.summary_file = Path(self.folder.name, "summary.json")
        port_file = Path(self.folder.name, "port")
        arguments = [command(), "sink", "--listen", "127.0.0.1:0", "--port-file", str(port_file), "--summary",
                     str(self.summary_file)]
        if quiet:
            arguments.append("--quiet")
        if output:
            arguments += ["--output", str(self.output)]
        self.process = subprocess.Popen(arguments + [str(option) for option in options], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sink did not start: {self.process.communicate()[1].decode()}")
            time.sleep(0.01)
        self.port = int(port_file.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.folder.cleanup()

    def post(self, body, kind="application/x-protobuf", path="/v1/traces", method="POST", **headers):
        """Makes one request on a connection of its own; returns (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if kind:
                sent["Content-Type"] = kind
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def stop(self, how=signal.SIGTERM):
        """Ends the sink; returns its exit code."""
        self.process.send_signal(how)
        return self.process.wait(60)

    def lines(self):
        return [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]

    def summary(self):
        return json.loads(self.summary_file.read_text(encoding="utf-8"))


# A small protobuf writer, so that the tests need no packages.
def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed64(field, value):
    return varint(field << 3 | 1) + (value & (1 << 64) - 1).to_bytes(8, "little")


def fixed32(field, value):
    return varint(field << 3 | 5) + value.to_bytes(4, "little")


def chunk(field, value):
    value = value.encode() if isinstance(value, str) else bytes(value)
    return varint(field << 3 | 2) + varint(len(value)) + value


def attribute(field, key, value):
    return chunk(field, chunk(1, key) + chunk(2, value))


def request(*spans, service="engine"):
    """An ExportTraceServiceRequest of ready-made spans."""
    resource = chunk(1, attribute(1, "service.name", chunk(1, service)))
    scope = chunk(2, chunk(1, chunk(1, "scope")) + b"".join(chunk(2, span) for span in spans))
    return chunk(1, resource + scope)


def plain_span(trace, span, name="work", **more):
    """A span with small numbers for ids; `more` holds ready-made bytes, in the order given."""
    return (chunk(1, trace.to_bytes(16, "big")) + chunk(2, span.to_bytes(8, "big")) + chunk(5, name) + number(6, 1) +
            fixed64(7, 1_700_000_000_000_000_000) + fixed64(8, 1_700_000_000_000_001_000) + b"".join(more.values()))
