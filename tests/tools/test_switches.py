# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""NSP_SWITCHES from an engine to its receiver: drained by itself and by the agent, permitted and refused."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from agent_process import EXTERNAL, Agent
from engine_process import BUILD, PATIENCE, environment, wait_until
from peers import missing
from sink_process import Sink, command


def program(name):
    path = BUILD / "tests" / name
    if not os.access(path, os.X_OK):
        missing(f"there is no {path}")
    return str(path)


def why_not():
    """Why the kernel permits no such events here; None: it does."""
    done = subprocess.run([command(), "doctor", "--json", "--no-send"], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          env=environment("none", NSP_SWITCHES="1"))
    return None if "the kernel permits perf events of context switches" in done.stdout else done.stdout


class Waiting:
    def __init__(self, shm, *before, **settings):
        self.process = subprocess.Popen([*before, program("waiting")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True,
                                        env=environment(shm, SERVICE_NAME="waiting", OTEL_BSP_SCHEDULE_DELAY="20", OTEL_LOG_LEVEL="warn",
                                                        **settings))
        self.first = self.process.stdout.readline()

    def end(self):
        _, error = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, error

    def kill(self):
        self.process.kill()
        self.process.communicate()


def spans(sink):
    try:
        documents = sink.lines()
    except (ValueError, OSError):  # the last line is just being written, or none has been yet
        documents = []
    return [span for document in documents for resource in document["resourceSpans"] for scope in resource["scopeSpans"]
            for span in scope["spans"]]


def number(entity):
    for attribute in entity.get("attributes", ()):
        if attribute["key"] == "nanospan.off_cpu_ns":
            return int(attribute["value"]["intValue"])
    return None


class Switches(unittest.TestCase):
    def setUp(self):
        self.shm = tempfile.mkdtemp(prefix="nanospan-switches-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.shm, True)

    def start(self, *before, **settings):
        engine = Waiting(self.shm, *before, **settings)
        self.addCleanup(engine.kill)
        return engine

    def check(self, sink, engine):
        self.assertEqual(engine.first, "ready\n")
        waited = lambda: [span for span in spans(sink) if any(event["name"] == "waited" for event in span.get("events", ()))]
        wait_until(lambda: len(waited()) >= 5, "a span that waited")
        shown = subprocess.run([command(), "top", "--once", "--interval", "100ms"], env=environment(self.shm), text=True,
                               capture_output=True, timeout=PATIENCE, check=True, stdin=subprocess.DEVNULL).stdout
        self.assertRegex(re.sub(r"\s+", " ", shown), r", context switches [1-9][\d,]*, switches lost \d")
        self.assertEqual(engine.end(), (0, ""))
        roots = {span["traceId"]: span for span in spans(sink) if span["name"] == "order"}
        full = [span for span in waited() if span["name"] == "wait"]
        self.assertGreaterEqual(len(full), 5)
        for span in full:
            took = int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])
            self.assertTrue(2_500_000 < number(span) <= took, span)
            self.assertEqual(number(span), sum(number(event) for event in span["events"]), span)
            root = roots[span["traceId"]]
            whole = int(root["endTimeUnixNano"]) - int(root["startTimeUnixNano"])
            self.assertTrue(number(span) <= number(root) <= whole, (span, root))

    def test_an_engine_that_drains_itself(self):
        if why_not():
            self.skipTest(f"the kernel permits no perf events of context switches here: {why_not()}")
        with Sink() as sink:
            self.check(sink, self.start(NSP_SWITCHES="1", OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}"))

    def test_an_engine_that_the_agent_drains(self):
        """The agent opens the events of its threads: the engine's own process has no permission for any."""
        if why_not():
            self.skipTest(f"the kernel permits no perf events of context switches here: {why_not()}")
        with Sink() as sink, Agent(self.shm, OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}"):
            self.check(sink, self.start(program("refusing"), "EACCES", NSP_SWITCHES="1", **EXTERNAL))

    def test_where_it_is_forbidden(self):
        """One line says what to do, and everything else works."""
        with Sink() as sink:
            engine = self.start(program("refusing"), "EACCES", NSP_SWITCHES="1", OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}")
            if engine.first.startswith("skipped"):
                self.skipTest(engine.first)
            wait_until(lambda: len(spans(sink)) >= 20, "20 spans")
            code, error = engine.end()
        self.assertEqual((code, error.count("NSP_SWITCHES")), (0, 1), error)
        self.assertIn("the kernel does not permit perf events: kernel.perf_event_paranoid ", error)
        self.assertIn("has to allow perf_event_open", error)
        self.assertTrue(all("events" not in span and number(span) is None for span in spans(sink)))

    def test_where_the_agent_may_not(self):
        with Sink() as sink, Agent(self.shm, OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}",
                                   prefix=(program("refusing"), "ENOSYS")) as agent:
            engine = self.start(NSP_SWITCHES="1", **EXTERNAL)
            wait_until(lambda: len(spans(sink)) >= 20, "20 spans")
            agent.wait_for(r"waiting \(pid \d+\): NSP_SWITCHES: this kernel has no perf events")
            self.assertEqual(engine.end(), (0, ""))

    def test_where_the_agent_has_another_pid_namespace(self):
        """Its processes have the engine's numbers, or none: their threads are not the engine's."""
        enter = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
        if os.geteuid() != 0 or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
            self.skipTest("needs root and PID namespaces")
        with Sink() as sink, Agent(self.shm, OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}", prefix=enter) as agent:
            engine = self.start(NSP_SWITCHES="1", **EXTERNAL)
            wait_until(lambda: len(spans(sink)) >= 20, "20 spans")
            agent.wait_for(r"waiting \(pid \d+\): NSP_SWITCHES: the engine is not the process here that has its number")
            self.assertEqual(engine.end(), (0, ""))
            self.assertTrue(all("events" not in span and number(span) is None for span in spans(sink)))
            self.assertEqual(len(agent.said("NSP_SWITCHES")), 1, agent.lines)

    def test_nobody_asked_for_them(self):
        with Sink() as sink:
            engine = self.start(OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}")
            wait_until(lambda: len(spans(sink)) >= 20, "20 spans")
            self.assertEqual(engine.end(), (0, ""))
            self.assertTrue(all("events" not in span and number(span) is None for span in spans(sink)))


if __name__ == "__main__":
    unittest.main()
