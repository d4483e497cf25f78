# SPDX-License-Identifier: Apache-2.0
"""Starts `nanospan sink --web` on free ports for a test, and asks its live page."""
import gzip
import http.client
import json
import tempfile
import time
from pathlib import Path

from sink_process import Sink, request


class Live(Sink):
    """A sink with a live page."""

    def __init__(self, *options, address="0", url_file=None, **how):
        self.about = tempfile.TemporaryDirectory()
        self.unread = 0
        self.port_file, self.url_file = Path(self.about.name, "web port"), url_file or Path(self.about.name, "web url")
        super().__init__("--web", address, "--web-port-file", self.port_file, "--web-url-file", self.url_file, *options,
                         **how)
        self.web_port = int(self.port_file.read_text())
        self.url = self.url_file.read_text().strip()
        self.token = self.url.partition("#token=")[2]

    def __exit__(self, *how):
        super().__exit__(*how)
        self.about.cleanup()

    def send(self, *spans, **how):
        sent = request(*spans, **how)
        status, _, body = self.post(sent)
        if status != 200:
            raise AssertionError((status, body))
        # On a busy machine, the page's thread may fall behind. Nothing is to be left out in these tests by chance.
        self.unread += len(sent)
        if self.unread > 50_000:
            self.wait(lambda state: state["queue"]["bytes"] == 0)
            self.unread = 0

    def ask(self, path, method="GET", token=True, host=None, body=None, **headers):
        """Makes one request to the live page; returns (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            hosts = [f"127.0.0.1:{self.web_port}"] if host is None else [host] if isinstance(host, str) else host
            for one in hosts:
                connection.putheader("Host", one)
            if token:
                connection.putheader("Authorization", f"Bearer {self.token if token is True else token}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def state(self):
        status, _, body = self.ask("/api/state")
        if status != 200:
            raise AssertionError((status, body))
        return json.loads(body)

    def wait(self, condition):
        """The state, once the condition holds for it."""
        deadline = time.monotonic() + 60
        while True:
            state = self.state()
            if condition(state):
                return state
            if time.monotonic() > deadline:
                raise AssertionError(f"this never came: {state}")
            time.sleep(0.02)

    def wait_read(self, spans):
        """The state, once all spans have come and been read."""
        return self.wait(lambda s: s["totals"]["spans"] == spans and s["queue"]["bytes"] == 0 and
                         s["queue"]["read_spans"] + s["queue"]["skipped_spans"] == spans)

    def trace(self, trace):
        """The header of a trace's pack and how many of its spans are missing; None if nothing of it is held."""
        status, headers, body = self.ask(f"/api/trace?id={trace:032x}")
        if status == 204:
            return None
        if status != 200:
            raise AssertionError((status, body))
        packed = gzip.decompress(body)
        if packed[:8] != b"nspage\0\1":
            raise AssertionError(packed[:8])
        length = int.from_bytes(packed[8:12], "little")
        header = json.loads(packed[12:12 + length])
        header["missing"] = int(headers["Nanospan-Missing-Spans"])
        return header
