# SPDX-License-Identifier: Apache-2.0
"""Runs `nanospan agent` for a test, and waits for what it says."""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from engine_process import PATIENCE, Engine, doomed, environment, spans_of, wait_until
from sink_process import Sink, command

SHM = tempfile.TemporaryDirectory(prefix="nanospan-agent-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


EXTERNAL = {"NSP_COLLECTOR": "external", "OTLP_ENDPOINT": ""}


class Agent:
    """A running agent, a context manager: at the end of the block it is killed."""

    def __init__(self, shm, *options, before=None, start=True, prefix=(), **settings):
        # Batches are not waited for, and a receiver that is away is tried again soon.
        settings = {"OTEL_BSP_SCHEDULE_DELAY": "50", "NSP_RETRY_MIN_MS": "10", "NSP_RETRY_MAX_MS": "100", **settings}
        self.process = subprocess.Popen([*prefix, command(), "agent", *map(str, options)], text=True, errors="backslashreplace",
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=before,
                                        env=environment(shm, **settings))
        self.pid = self.process.pid
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if start:
            self.wait_for("started; ")

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stderr.close()

    def said(self, pattern):
        """The lines in which the pattern occurs."""
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def wait_for(self, pattern, count=1):
        """Waits until the pattern has occurred in so many lines; returns the last of them."""
        ended = lambda: self.process.poll() is not None and not self.reader.is_alive()
        wait_until(lambda: len(self.said(pattern)) >= count or ended(), f"the line '{pattern}' of {self.lines}")
        if len(self.said(pattern)) < count:
            raise AssertionError(f"the agent ended with {self.process.returncode} before it said '{pattern}': {self.lines}")
        return self.said(pattern)[count - 1]

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)

    def end(self, how=signal.SIGTERM):
        """Ends it in order; returns its exit code."""
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return code


class AgentTest(unittest.TestCase):
    """With a folder of sessions of its own; what a test starts ends with it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=SHM.name)
        self.addCleanup(folder.cleanup)
        self.shm = Path(folder.name)

    @property
    def sessions(self):
        return self.shm / f"nanospan-{os.geteuid()}"

    def agent(self, *options, **more):
        return self.enterContext(Agent(self.shm, *options, **more))

    def sink(self, *options):
        sink = self.enterContext(Sink(*options))
        sink.url = f"http://127.0.0.1:{sink.port}"
        return sink

    def doomed(self, *arguments, **settings):
        engine = doomed(self.shm, *arguments, **{**EXTERNAL, **settings})
        self.addCleanup(engine.kill)
        return engine

    def steady(self, *arguments, service="steady", **settings):
        engine = Engine(self.shm, *arguments, service=service, program="steady", **{**EXTERNAL, **settings})
        self.addCleanup(engine.kill)
        return engine

    def left(self):
        """The names of the sessions that exist."""
        return sorted(path.name for path in self.sessions.iterdir()) if self.sessions.exists() else []

    def listed(self):
        """What `nanospan recover --list` says of each session, by service."""
        listed = subprocess.run([command(), "recover", "--list", "--json"], env=environment(self.shm), capture_output=True,
                                text=True, timeout=PATIENCE, check=True).stdout
        return {one["service"]: one for one in map(json.loads, listed.splitlines())}

    def not_sent(self, service):
        """How many spans its session holds; None if there is no session."""
        return self.listed().get(service, {}).get("not_sent")

    def wait_for_delivery(self, service):
        wait_until(lambda: self.not_sent(service) == 0, f"the delivery of what {service} holds: {self.listed()}")

    def wait_for_finished(self, service, unfinished):
        """Waits until the session holds only its unfinished spans."""
        wait_until(lambda: self.not_sent(service) == unfinished, f"the delivery of what {service} has finished: {self.listed()}")

    def received(self, sink, name, service):
        """The numbers of the spans of this name that the sink has got, which is ended for that."""
        if sink.process.poll() is None:
            self.assertEqual(sink.stop(), 0)
        spans, twice = spans_of(sink.lines(), service)  # in the memory of others, a test may have written anything
        self.assertEqual(twice, 0)
        return sorted(span.attributes["number"] for span in spans.values() if span.name == name)

    def ended(self, engine):
        """Ends a steady engine; returns its account."""
        engine.process.send_signal(signal.SIGTERM)
        account = json.loads(engine.process.stdout.read().splitlines()[-1])
        self.assertEqual(engine.process.wait(PATIENCE), 0)
        return account
